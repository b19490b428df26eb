"""What comes in and what goes out: sources and their rows, conversations, prompts, comparisons, clean sets, Parquet and cards.

imports: store
"""
