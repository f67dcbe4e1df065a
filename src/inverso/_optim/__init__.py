"""Optimization for stages: descent, quasi-Newton steps, adaptation of weights, Lanczos spectra and risk estimates."""
