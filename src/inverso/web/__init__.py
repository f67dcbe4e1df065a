"""A local web page to restore photos, and to watch the stages of a reconstruction."""

from inverso.web._server import Settings, serve

__all__ = ["Settings", "serve"]
