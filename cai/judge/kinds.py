"""A judge's marks by how its verdicts were read: by log-probability, from samples, or otherwise."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain

from cai.errors import UserError
from cai.judge.exam import OfKind, PlainShare, Share
from cai.judge.figures import JudgedPair, calibration, mean, right
from cai.judge.statistics import jeffreys
from cai.store.votes import DRAWN, SAMPLED, STRUCTURED, Vote


def by_kind(pairs: Sequence[JudgedPair]) -> dict[str, OfKind[Share]]:
    """The figures of the pairs of each kind of verdict; a panel whose judges differ is a kind of its own."""
    groups: dict[str, list[JudgedPair]] = defaultdict(list)
    for each in pairs:
        found = {vote.verdict for vote in each.row.votes}
        found -= (
            {SAMPLED} if STRUCTURED in found else set()
        )  # of a structured vote, too, most samples are read by their lines
        groups[" and ".join(sorted(found))].append(each)
    return {kind: _figures(some) for kind, some in sorted(groups.items())}


def doubt(vote: Vote) -> tuple[float, float] | None:
    """Jeffreys' 95% interval of P(a), where that is the share of samples that name it; None where it is something else."""
    if not vote.read or vote.p_a is None or vote.order not in ("ab", "ba") or vote.method == "rank":
        return None
    return jeffreys(vote.p_a * vote.read, vote.read)


def read_as(figures: Mapping[str, OfKind[PlainShare]]) -> dict[str, object]:
    """What a calibration says of the verdicts that it was fitted on; nothing where they were log-probabilities.

    Raises:
        UserError: they were of several kinds, whose probabilities stand for different things.
    """
    drawn = [figures[kind] for kind in DRAWN if kind in figures]
    if len(figures) > max(len(drawn), 1):
        raise UserError(
            f"verdicts by {', '.join(figures)} are not calibrated as one; set `verdict: {next(iter(figures))}`"
        )
    return {"verdict": SAMPLED, "verdicts": max(each["samples"] for each in drawn)} if drawn else {}


def kinds(all_votes: Iterable[Sequence[Vote]]) -> dict[str, dict[str, int]]:
    """Of each kind: its votes, and how many samples were asked and read, and by structured output."""
    table: dict[str, dict[str, int]] = {}
    for vote in chain.from_iterable(all_votes):
        counts = table.setdefault(vote.verdict, {"votes": 0, "samples": 0, "read": 0, "structured": 0})
        for key, count in (
            ("votes", 1),
            ("samples", vote.samples),
            ("read", vote.read),
            ("structured", vote.structured),
        ):
            counts[key] += count
    return dict(sorted(table.items()))


def _figures(all_pairs: Sequence[JudgedPair]) -> OfKind[Share]:
    pairs = [each for each in all_pairs if each.people != 0.5]
    readable = [each for each in all_pairs if each.p is not None]
    votes = [vote for each in all_pairs for vote in each.row.votes]
    marks = calibration(readable)
    return {
        "pairs": len(pairs),
        "accuracy": mean(pairs, right),
        "brier": mean(readable, lambda each: each.squared_error),
        "ece": marks["ece"],
        "ece_by_chance": marks["ece_by_chance"],
        "samples": max((vote.samples for vote in votes), default=0),
        "unread": _unread(votes),
        "structured": _structured(votes),
    }


def _unread(votes: Sequence[Vote]) -> float | None:
    samples = [vote.samples or 1 for vote in votes]
    readable = [vote.read if vote.samples else vote.p_a is not None for vote in votes]
    return 1 - sum(readable) / sum(samples) if votes else None


def _structured(votes: Sequence[Vote]) -> float | None:
    samples = sum(vote.samples for vote in votes)
    return sum(vote.structured for vote in votes) / samples if samples else None
