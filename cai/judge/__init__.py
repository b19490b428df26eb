"""Votes → one probability that an answer is the better, and how good a judge is at telling.

imports: flow, data
"""
