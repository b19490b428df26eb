"""Stands where inspect_evals is not installed."""
