"""Gradio's components for files, restricted to uploads."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

import gradio as gr

from inverso.web._look import BRUSH

Input = TypeVar("Input", bound=gr.components.Component)

SUFFIXES = [
    ".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".heic", ".heif", ".avif", ".bmp", ".gif", ".jp2", ".ppm",
]  # fmt: skip
"""What the browser offers to choose from; what a file holds is looked at later."""
_CANVAS = (800, 600)
_HEIGHT = 460


def photo_file(label: str, *, height: int, elem_id: str) -> gr.File:
    """Make an upload field for a photo."""
    return _uploads_only(gr.File(label=label, height=height, elem_id=elem_id, file_types=SUFFIXES))


def editor(label: str, *, elem_id: str) -> gr.ImageEditor:
    """Make an editor to paint on a photo, with brush, eraser and zoom; hidden at first."""
    return _uploads_only(
        gr.ImageEditor(
            label=label,
            height=_HEIGHT,
            type="pil",
            sources=(),
            transforms=(),
            layers=False,
            brush=gr.Brush(colors=[BRUSH], color_mode="fixed", default_size=6),
            eraser=gr.Eraser(default_size=12),
            canvas_size=_CANVAS,
            visible=False,
            elem_id=elem_id,
        )
    )


def _uploads_only(component: Input) -> Input:
    """Make a component reject addresses, which Gradio's server would otherwise download.

    This sets an attribute instead of using a subclass, since Gradio writes a file beside the module of every subclass.
    """
    move = component.async_move_resource_to_block_cache

    async def move_uploaded(url_or_file_path: str | Path | None) -> str | None:
        if "://" in str(url_or_file_path or ""):
            msg = "a file is uploaded, not named by an address"
            raise ValueError(msg)
        return await move(url_or_file_path)

    # mypy knows methods, and not attributes that take their place.
    vars(component)["async_move_resource_to_block_cache"] = move_uploaded
    return component
