"""How the site is built: `make docs`."""

from __future__ import annotations

import html
import os
import re
import shutil
import sys
from importlib.metadata import version as version_of
from pathlib import Path

from sphinx.application import Sphinx

import inverso.browser
import inverso.priors
from inverso.errors import InversoError

HERE = Path(__file__).parent

# The notebooks live in examples/, where the code host shows them; Sphinx reads below docs/ only.
shutil.rmtree(HERE / "examples", ignore_errors=True)
shutil.copytree(HERE.parent / "examples", HERE / "examples", ignore=shutil.ignore_patterns(".*"))

# The live demo, which a reader's browser runs; where a package or ONNX Runtime Web is missing, a word takes its place.
LIVE = HERE / "_live"


def write_live_demo() -> None:
    """Write the page of `photos` into the folder that is copied to the site's root."""
    place = LIVE / "live"
    try:
        inverso.browser.write_page(
            inverso.priors.load("photos"), place, name="photos", card=inverso.priors.card("photos"), webgpu=False
        )
    except InversoError as error:
        place.mkdir(parents=True, exist_ok=True)
        reason = html.escape(str(error))
        (place / "index.html").write_text(
            f"<!doctype html><title>No demo</title><p>The demo was not built: {reason}</p>"
        )
        print(f"The live demo is left out: {error}")


write_live_demo()
html_extra_path = ["_live"]

project = "inverso"
author = "inverso developers"
copyright = "2026, inverso developers"
version = release = version_of("inverso-imaging")

sys.path.insert(0, str(HERE))
extensions = [
    "formulas",
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_live", "api/generated", "jupyter_execute"]

# Offline builds must work, so the links to other projects' pages are made on demand only.
if os.environ.get("INVERSO_DOCS_ONLINE") == "1":
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping = {
        "numpy": ("https://numpy.org/doc/stable/", None),
        "python": ("https://docs.python.org/3/", None),
        "torch": ("https://pytorch.org/docs/stable/", None),
    }

# Docstrings put code between single backticks, as Markdown does.
default_role = "literal"
autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_preserve_defaults = True
napoleon_google_docstring = True
napoleon_numpy_docstring = False
napoleon_use_rtype = False
python_use_unqualified_type_names = True

myst_enable_extensions = ["colon_fence", "dollarmath", "deflist"]
myst_heading_anchors = 3

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 900
nb_merge_streams = True
# Without one, a screen reader reads the file's name.
nb_render_image_options = {"alt": "What the code above draws"}

html_theme = "furo"
html_math_renderer = "mathml"
html_static_path = ["_static"]
html_css_files = ["phone.css"]
html_title = f"inverso {version}"
html_show_sourcelink = False
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def escape_bars(_app: Sphinx, _what: str, _name: str, _thing: object, _options: object, lines: list[str]) -> None:
    """Keep norms such as |A x - y| in a docstring's formulas from being read as substitutions."""
    prose = re.split(r"(`[^`]*`|^ *(?:>>>|\.\.\.).*$)", "\n".join(lines), flags=re.MULTILINE)
    prose[::2] = [text.replace("|", r"\|") for text in prose[::2]]
    lines[:] = "".join(prose).split("\n")


def setup(app: Sphinx) -> None:
    """Escape before napoleon (priority 500) adds types, whose bars mean "or"."""
    app.connect("autodoc-process-docstring", escape_bars, priority=400)
