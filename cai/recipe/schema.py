"""The schema that editors complete against, as the checks use it."""

from functools import cache
from pathlib import Path

from jsonschema import Draft202012Validator

from constitution.schema import load_schema

SCHEMA = Path(__file__).parents[1] / "recipe.schema.json"


@cache
def validator() -> Draft202012Validator:
    """The schema that editors complete against, as a validator."""
    return load_schema(SCHEMA)
