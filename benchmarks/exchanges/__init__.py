"""What is said between a client and the servers that people have, written down: what each lists, answers, refuses and errs with.

After their documentation and, of those that are open, after their source; the ids and the words that are said are ours.
"""
