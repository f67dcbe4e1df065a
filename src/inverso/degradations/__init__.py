"""Degradations: what happened to a photo, drawn at random from a seed."""

from inverso.degradations.old_photo import OldPhoto, OldPhotograph

__all__ = ["OldPhoto", "OldPhotograph"]
