"""Its one evaluation: cards."""
