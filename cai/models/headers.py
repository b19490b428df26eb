"""What is sent to a server with each request, from the environment: keys stand in no file."""

import os
from collections.abc import Mapping

from cai.errors import UserError
from cai.models.types import ModelSpec


def headers(spec: ModelSpec) -> dict[str, str]:
    """Header → what is sent in it.

    Raises:
        UserError: a variable is not set, or holds what no header can.
    """
    wanted = {"Authorization": ("api_key_env", spec.api_key_env)} if spec.api_key_env else {}
    wanted |= {header: (f"headers_env.{header}", variable) for header, variable in spec.headers_env.items()}
    sent = {}
    for header, (key, variable) in wanted.items():
        value = os.environ.get(variable, "").strip()
        if not value:
            raise UserError(f"models.{spec.role}.{key}: {variable} is not set; export it")
        if not (value.isprintable() and value.isascii()):
            raise UserError(
                f"models.{spec.role}.{key}: {variable} holds a character that no header can; export it anew"
            )
        sent[header] = f"Bearer {value}" if key == "api_key_env" else value
    return sent


def secrets(sent: Mapping[str, str]) -> tuple[str, ...]:
    """What of the headers no sentence and no file may hold, though some servers repeat it."""
    return tuple(value.removeprefix("Bearer ") for value in sent.values())
