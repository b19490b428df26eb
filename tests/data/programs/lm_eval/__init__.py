"""Stands where lm-eval is not installed."""
