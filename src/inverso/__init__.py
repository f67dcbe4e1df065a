"""inverso: image inverse problems with generative priors."""
