"""How stages search: descent, quasi-Newton steps, adaptation of weights, Krylov subspaces and risk estimates."""
