"""What is sent to a server with each request, from the environment: keys stand in no file."""

import os

from cai.errors import UserError
from cai.models.dialect import OpenAI
from cai.models.spec import ModelSpec


def headers(spec: ModelSpec, dialect: OpenAI) -> dict[str, str]:
    """Header → what is sent in it; those that a role names win.

    Raises:
        UserError: a variable is not set, or holds what no header can.
    """
    usual = dialect.headers(_value(spec, "api_key_env", spec.api_key_env) if spec.api_key_env else "")
    values = {header: _value(spec, f"headers_env.{header}", name) for header, name in spec.headers_env.items()}
    names = {header.lower() for header in values}
    return {header: value for header, value in usual.items() if header.lower() not in names} | values


def secrets(spec: ModelSpec) -> tuple[str, ...]:
    """What of the headers no sentence and no file may hold, though some servers repeat it."""
    variables = filter(None, (spec.api_key_env, *spec.headers_env.values()))
    return tuple(filter(None, (os.environ.get(each, "").strip() for each in variables)))


def _value(spec: ModelSpec, key: str, variable: str) -> str:
    value = os.environ.get(variable, "").strip()
    if not value:
        raise UserError(f"models.{spec.role}.{key}: {variable} is not set; export it")
    if not (value.isprintable() and value.isascii()):
        raise UserError(f"models.{spec.role}.{key}: {variable} holds a character that no header can; export it anew")
    return value
