"""What comes in and what goes out: records, prompts, comparisons, labels, text, clean sets, Parquet and cards.

imports: store
"""
