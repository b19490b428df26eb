"""Rows through models: what a row asks through, the bounded window, models up and down, the screen.

imports: store, models
"""
