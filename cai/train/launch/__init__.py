"""What a run knows of its trainers, without torch: how they are started and on what, their memory, checkpoints and guards.

imports: stages, judge
"""
