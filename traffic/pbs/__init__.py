"""Probabilistically bounded staleness: the model, and measuring it."""
