"""What a recipe's schema cannot say: settings that do not go together, and what a machine cannot do, each a sentence.

imports: train.launch, stages
"""
