"""What comes in and what goes out: records, prompts, comparisons, text, clean sets, Parquet and cards.

imports: store
"""
