"""Checkpoints: how a prior gets out of a file, and a file out of the network."""
