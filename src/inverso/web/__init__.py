"""A page on this machine to restore a photo, and to watch a reconstruction come about."""

from inverso.web._server import Settings, serve

__all__ = ["Settings", "serve"]
