"""The page with its tabs."""

from __future__ import annotations

import gradio as gr

from inverso.jobs._desk import Desk
from inverso.web._learn_tab import LearnTab
from inverso.web._restore_tab import RestoreTab
from inverso.web._server import Settings
from inverso.web._visits import Visits

TITLE = """# Restore a photo
Everything happens on this machine: nothing is uploaded anywhere else, and what you bring is deleted when you leave."""
PUBLIC = """# Restore a photo
Your photo is worked on by the machine that shows this page, and deleted when you leave."""


def build_page(settings: Settings, *, work: Desk, looks: Desk, visits: Visits) -> gr.Blocks:
    """Build the page.

    Args:
        settings: Settings of the server.
        work: Desk for long tasks.
        looks: Desk for short tasks.
        visits: The visitors.
    """

    def leave(request: gr.Request) -> None:
        visits.end(request.session_hash)

    page: gr.Blocks
    with gr.Blocks(title="inverso: restore a photo", analytics_enabled=False) as page:
        gr.Markdown(PUBLIC if settings.is_public else TITLE, elem_id="title")
        with gr.Tabs():
            with gr.Tab("Restore"):
                RestoreTab.build(settings, work=work, looks=looks, visits=visits)
            with gr.Tab("Learn"):
                LearnTab.build(work=work, visits=visits)
        page.unload(leave)
    return page
