"""Training of priors and restorers, on Lightning Fabric."""
