"""From a constitution to a harmless, helpful assistant: the work.

``cli → run → stage``: a command walks a recipe's stages, a stage is a plain function over rows, ``flow`` and ``models``
do the waiting and ``store`` does the writing.
"""

__version__ = "0.1.0"
