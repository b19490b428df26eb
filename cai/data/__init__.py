"""What comes in and what goes out: sources and their rows, conversations, prompts, comparisons, labels, clean sets, cards.

imports: store
"""
