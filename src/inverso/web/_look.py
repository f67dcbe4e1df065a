"""The style of the page: colors with contrast in light and dark mode, sizes for touch, one column on a phone."""

from __future__ import annotations

import json
from typing import Any

from inverso.web._words import status

BRUSH = "#ff2d95"
"""Color of the brush: in few photos."""

CSS = """
.gradio-container { max-width: min(1280px, 100%) !important; margin: auto; }
#title h1 { margin: 0.3rem 0 0; }
#title p { margin: 0.2rem 0 0.4rem; }
.say { padding: 0.6rem 0.9rem; border-radius: 8px; background: var(--background-fill-secondary);
  border: 1px solid var(--border-color-primary); color: var(--body-text-color); }
.say:empty { display: none; }
.say.error { background: #fdecec; color: #7a0b0b; border-color: #d66; }
.dark .say.error { background: #4a1414; color: #ffe3e3; border-color: #a55; }
.say progress { width: 100%; height: 0.7rem; margin-top: 0.5rem; display: block; appearance: none; border: none;
  border-radius: 6px; overflow: hidden; background: #d4d4d8; }
.say progress::-webkit-progress-bar { background: #d4d4d8; }
.say progress::-webkit-progress-value { background: #0f766e; }
.say progress::-moz-progress-bar { background: #0f766e; }
.said { margin: 0; padding-left: 1.2rem; }
.said li { margin: 0.25rem 0; }
button { min-height: 28px; }
#restore, #cancel { min-height: 48px; }
:focus-visible { outline: 3px solid #2563eb !important; outline-offset: 2px; }
.dark :focus-visible { outline-color: #93c5fd !important; }
#examples button { min-width: 0; }
#learn-pictures .caption-label { white-space: normal; max-width: 100%; overflow: visible; text-overflow: clip; }
@media (max-width: 600px) {
  #examples { flex-wrap: wrap; }
  #examples button { flex: 1 0 30%; }
  #learn-pictures .grid-container { grid-template-columns: repeat(2, minmax(0, 1fr)) !important; }
}
"""

# On a narrow window the browser must not pretend to be a wide one.
HEAD = '<meta name="viewport" content="width=device-width, initial-scale=1">'

SHOW_RESULTS = """() => {
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  if (!document.querySelector("#say .error"))
    document.querySelector("#results")?.scrollIntoView({behavior: calm ? "auto" : "smooth"});
}"""
"""Brings what was made into view."""


def reading(text: str) -> str:
    """Return the script that shows a line as the status, and disables "Restore" until the server has read the photo."""
    return f"() => [{{__type__: 'update', interactive: false}}, {json.dumps(status(text))}]"


def theme(gradio: Any) -> Any:  # noqa: ANN401 - the module, and one of its themes
    """Return the theme: teal, with contrast ratios of at least 4.5 between text and background."""
    teal = {"button_primary_background_fill": "#0f766e", "button_primary_background_fill_hover": "#115e59"}
    both = teal | {f"{name}_dark": value for name, value in teal.items()}
    return gradio.themes.Default(primary_hue="teal").set(
        button_primary_text_color="#ffffff",
        button_primary_text_color_dark="#ffffff",
        body_text_color_subdued="#52525b",
        body_text_color_subdued_dark="#c4c4cc",
        block_info_text_color="#52525b",
        block_info_text_color_dark="#c4c4cc",
        color_accent="#0f766e",
        slider_color="#0f766e",
        slider_color_dark="#2dd4bf",
        checkbox_background_color_selected="#0f766e",
        **both,
    )
