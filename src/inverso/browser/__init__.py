"""A page that restores photos in its visitor's browser: static files for any web server, without uploads."""

from inverso.browser._page import Page, write_page
from inverso.browser._runtime import RUNTIME_VERSION, find_runtime

__all__ = ["RUNTIME_VERSION", "Page", "find_runtime", "write_page"]
