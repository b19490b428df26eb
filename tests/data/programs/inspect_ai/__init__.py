"""Stands where Inspect is not installed: it takes the same command lines, asks in earnest, and leaves a log of the same form."""
