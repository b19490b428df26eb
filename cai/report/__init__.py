"""Seals, metrics and sampled rows → what people read: a summary in the terminal and one HTML page.

imports: stages, judge, train.launch
"""
