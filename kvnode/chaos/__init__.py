"""Chaos on a running cluster: a fault schedule from a seed, the run that carries it out, and the convergence check."""
