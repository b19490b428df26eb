"""Rows, and how they are kept: types and codec, files, parts, seals, ledger, a run's folder.

imports: errors
"""
