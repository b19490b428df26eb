"""The one seam to the outside, ``Request`` → ``Reply``: servers of ours and of others, processes, concurrency.

imports: errors
"""
