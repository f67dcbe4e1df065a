"""A page that restores photos in its visitor's browser: a folder of files for any web server, nothing is uploaded."""

from inverso.browser._page import Page, write_page
from inverso.browser._runtime import RUNTIME_VERSION, find_runtime

__all__ = ["RUNTIME_VERSION", "Page", "find_runtime", "write_page"]
