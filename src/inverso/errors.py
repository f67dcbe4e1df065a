"""What inverso raises beside ValueError and TypeError."""

from __future__ import annotations


class InversoError(RuntimeError):
    """Something went wrong while working, with input that looked right."""


class ConvergenceWarning(UserWarning):
    """An iterative solve stopped before it reached its tolerance."""
