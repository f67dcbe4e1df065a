"""Readers and writers of checkpoints of priors."""
