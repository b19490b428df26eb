"""The page as a file: its scripts and styles within it, and a policy of the browser that lets nothing else run.

What models said is in the page as escaped text, or as data that our script makes text nodes of. Should a mistake of ours let
markup through all the same, the policy names the digests of our scripts, and no browser runs another one, loads anything, or
lets a script write markup (Trusted Types).
"""

import json
from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha256
from importlib.resources import files

OURS = ("unpack.js", "card.js", "state.js", "explorer.js", "plots.js", "page.js")
KEPT = ("uPlot-1.6.32", "table-core-8.21.3")
"""Libraries of others, as they were published: curves, and which rows of a table are shown."""


@dataclass(frozen=True, slots=True)
class Inline:
    """A script or a style of the page; ``digest`` is how the policy names it."""

    text: str

    @property
    def digest(self) -> str:
        """As a policy has it."""
        return f"'sha256-{b64encode(sha256(self.text.encode()).digest()).decode()}'"


@cache
def scripts() -> tuple[Inline, ...]:
    """Libraries first, each below its licence, then ours in one."""
    ours = "\n".join(_text(name) for name in OURS)
    kept = (Inline(f"/*\n{_licence(name)}*/\n{_bare(_text(f'vendor/{name}.min.js'))}") for name in KEPT)
    return (*kept, Inline(f'(() => {{\n"use strict";\n{ours}}})();\n'))


@cache
def style() -> Inline:
    """All styles."""
    own = files("cai.report").joinpath("style.css").read_text("utf-8")
    return Inline(
        "\n".join((own, _text("report.css"), f"/*\n{_licence(KEPT[0])}*/", _text(f"vendor/{KEPT[0]}.min.css")))
    )


def policy() -> str:
    """What a browser lets the page do: run our scripts, and nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(each.digest for each in scripts())}",
            f"style-src {style().digest}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )


def as_data(data: object) -> str:
    """JSON for an element of the page: nothing in it can end the element."""
    return json.dumps(data, ensure_ascii=True).replace("<", "\\u003c")


def _text(name: str) -> str:
    text = files("cai.report").joinpath("browser", *name.split("/")).read_text("utf-8")
    assert "</script" not in text, name
    return text


def _licence(name: str) -> str:
    file = f"vendor/{name.rpartition('-')[0]}-LICENSE.txt"
    return f"{name}\n{_text(file).rstrip()}\n"


def _bare(script: str) -> str:
    """Without the name of a map of it, which a browser's inspector would look for."""
    return script.partition("//# sourceMappingURL=")[0]
