"""A recipe's steps walked in order: what each is made of, what is done again, rounds and their verdicts.

imports: recipe, report, cluster
"""
