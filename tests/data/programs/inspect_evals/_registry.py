# ruff: noqa: F401
from inspect_evals.cards import broken, cards, endless, graded, keyless, offline, packageless, scoreless, tooled
