"""The commands: what a person types, and what each does, a file a command.

imports: run
"""

from cai.cli.app import main

__all__ = ["main"]
