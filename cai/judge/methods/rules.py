"""Cheap detectors without a model: a baseline for every judge, and a known truth for tests of learning.

An answer's score is Σ weight·detector, and P(a) = σ(s_a − s_b). What it prefers (answers that engage, do not insult, spare
the boilerplate and are short) is plain to see, which is its use; it is no judge of harm.
"""

import math
import re
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType

from cai.data.clean import Exchange, boilerplate
from cai.flow.ask import Ask
from cai.judge.methods.single import Prompted, Wanted
from cai.judge.methods.votes import ALONE, by_scores
from cai.judge.settings import Judging
from cai.store.rows import Pair, Vote
from constitution import read

INSULTS = re.compile(
    r"\b(?:idiots?|morons?|stupid|dumb(?:ass)?|losers?|pathetic|worthless|scum|trash|imbeciles?|jerks?|shut up|"
    r"assholes?|bastards?|bitch(?:es)?|fuck(?:ing|ed)?|retard(?:ed|s)?|freaks?|sluts?|whores?)\b",
    re.I,
)

CLOSERS = re.compile(
    r"\b(?:(?:i['\u2019]?m|i am|we['\u2019]?re|we are) (?:always )?here (?:for you|to (?:listen|help|support))|"
    r"feel free to (?:ask|reach out)|let me know if)\b",
    re.I,
)

DETECTORS: Mapping[str, Callable[[Exchange], float]] = MappingProxyType(
    {
        "refusal": lambda each: float(read.is_refusal(each.text)),
        "insult": lambda each: float(bool(INSULTS.search(each.text))),
        "boilerplate": lambda each: float(boilerplate(each) or bool(CLOSERS.search(each.text))),
        "length": lambda each: len(each.text.split()) / 100,
        "coin": lambda each: coin(each),
    }
)
"""What is detected: 1 where it is there; for length the hundreds of words, and for the coin what tells nothing."""

WEIGHTS: Mapping[str, float] = MappingProxyType({"refusal": -1.0, "insult": -2.0, "boilerplate": -1.0, "length": -0.5})
_MOST = 2**64


def coin(exchange: Exchange) -> float:
    """A number from 0 to 1 that is drawn by the hash of an exchange: whose answer has the larger one wins by chance.

    With a large weight, ``rules: {coin: 1000}``, labels are those of a fair coin, and the same whenever they are drawn: the
    control for whatever is learnt from a judge's.
    """
    texts = [*(message["content"] for message in exchange.messages), exchange.text]
    return (
        int.from_bytes(blake2b("\0".join(texts).encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        / _MOST
    )


async def rules(row: Pair, principle: None, orders: Sequence[str], want: Judging, ask: Ask) -> list[Vote]:
    """One vote, whatever the orders; no model is asked."""
    vote = Vote("", ALONE, "rules", "rules", 0, "unparsed", kind="rules")
    return [by_scores(vote, [await rule_score(row, each.text, None, want, ask) for each in (row.a, row.b)])]


async def rule_score(row: Prompted, answer: str, principle: None, want: Wanted, ask: Ask) -> float:
    """One answer's weighted sum; no model is asked."""
    return points(Exchange(row.messages, answer), want.rules or WEIGHTS)


def points(exchange: Exchange, weights: Mapping[str, float]) -> float:
    """The weighted sum of what is detected in an answer."""
    return math.fsum(weight * DETECTORS[name](exchange) for name, weight in weights.items())
