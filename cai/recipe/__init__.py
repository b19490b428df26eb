"""A recipe in YAML → ``Recipe``, with all that can be wrong with it said before anything starts.

imports: train.launch, stages
"""
