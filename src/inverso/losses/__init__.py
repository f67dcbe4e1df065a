"""Losses as small functions that recipes combine."""
