"""Guards: what is watched while a policy learns, so that it is seen, and stopped where asked, when it goes wrong.

Policies that are trained on preferences fail in known ways: they drift far from where they began, their answers grow long or
short, lose their variety, loop, or all open and close alike (the released samples of Bai et al. 2022 close with being "here
to listen" in 88.7% of answers after RL), and the likelihood even of the chosen answers falls. Each is one figure here.
"""

import math
import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from cai.data.clean import Exchange, boilerplate
from cai.judge.methods.rules import CLOSERS

Bounds = tuple[float | None, float | None]
"""The least and the most that is well."""


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is watched.

    Attributes:
        about: what it is, with its unit.
        warn: the bounds outside which it is told, unless a recipe says otherwise.
        stop: those outside which the training ends; most have none unless a recipe says so.
    """

    about: str
    warn: Bounds
    stop: Bounds | None = None


MEASURES: Mapping[str, Measure] = MappingProxyType(
    {
        "kl": Measure("KL of an answer to the reference, in nats", (None, 30.0)),
        "length": Measure("mean words of an answer, over those before training", (0.5, 2.0)),
        "entropy": Measure("entropy of the next token, in nats, over that before training", (0.5, None)),
        "repetition": Measure("share of an answer's three-word sequences that were there before", (None, 0.3)),
        "boilerplate": Measure("share of answers with a known boilerplate opening or closer", (None, 0.5)),
        "opening": Measure("share of answers that open with the same four words", (None, 0.5)),
        "closer": Measure("share of answers that close with the same sentence", (None, 0.3)),
        "chosen": Measure(
            "log-probability of chosen answers: change since the beginning, as a share of it", (-0.25, None)
        ),
        # Servers in bfloat16 are some thousandths from a policy with the same weights.
        "drawn": Measure("KL of what sampled the answers to the policy, in nats a token", (None, 0.02), (None, 0.1)),
    }
)


@dataclass(frozen=True, slots=True)
class Guards:
    """A block's ``guards``.

    Attributes:
        every: steps between looks at held-out prompts; 0 looks never.
        prompts: how many are answered then.
        max_new_tokens: of those answers.
        judge: a role that scores those answers, and that the policy is not trained on; with
        method: as for a reward, and
        rules: its weights.
        warn, stop: measure → bounds.
    """

    every: int = 50
    prompts: int = 16
    max_new_tokens: int = 64
    judge: str = ""
    method: str = ""
    rules: Mapping[str, float] = field(default_factory=dict)
    warn: Mapping[str, Bounds] = field(default_factory=dict)
    stop: Mapping[str, Bounds] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Alarm:
    """A measure outside its bounds.

    Attributes:
        stops: whether the training is to end.
    """

    text: str
    stops: bool


def parse(block: Mapping[str, object]) -> Guards:
    """A block's ``guards``, as YAML or JSON has it: settings, and for each measure {warn: …, stop: …}.

    A bound is a number (the least for entropy and chosen, the most for others) or a pair.
    """
    settings = {key: value for key, value in block.items() if key not in MEASURES}
    limits: dict[str, dict[str, Bounds]] = {"warn": {}, "stop": {}}
    for name, bounds in block.items():
        if name in MEASURES:
            assert isinstance(bounds, Mapping)
            for act, bound in bounds.items():
                limits[act][name] = _bounds(name, bound)
    warn = {name: each.warn for name, each in MEASURES.items()}
    stop = {name: each.stop for name, each in MEASURES.items() if each.stop}
    return replace(Guards(), **settings, warn=warn | limits["warn"], stop=stop | limits["stop"])


def scoring(block: Mapping[str, object]) -> str:
    """The method by which the held-out judge scores answers; empty where nobody does."""
    return str(block.get("method") or ("score" if block.get("judge") else ""))


def text_measures(texts: Sequence[str]) -> dict[str, float]:
    """What answers tell without a model: mean words, and shares of repetition, boilerplate, and the commonest ends."""
    answers = [text for text in texts if text.strip()]
    if not answers:
        return {"words": 0.0}
    return {
        "words": statistics.fmean(len(text.split()) for text in texts),
        "repetition": statistics.fmean(map(_repetition, answers)),
        "boilerplate": statistics.fmean(map(_has_boilerplate, answers)),
        "opening": _commonest([" ".join(_words(text)[:4]) for text in answers]),
        "closer": _commonest([" ".join(_words(_last_sentence(text))) for text in answers]),
    }


def measures(figures: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """The measures, from figures now and before training; those without a figure are left out."""
    values = {name: figures[name] for name in MEASURES if name in figures}
    for name, key in (("length", "words"), ("entropy", "entropy")):
        values.pop(name, None)
        if figures.get(key) is not None and before.get(key):
            values[name] = figures[key] / before[key]
    if "logps" in figures and before.get("logps"):
        values["chosen"] = (figures["logps"] - before["logps"]) / abs(before["logps"])
    return values


def alarms(measures: Mapping[str, float], guards: Guards) -> list[Alarm]:
    """What is outside its bounds; a measure that stops does not warn as well."""
    breaches = []
    for name, value in measures.items():
        for bounds, stops in ((guards.stop.get(name), True), (guards.warn.get(name), False)):
            if bounds and (breach := _breach(value, bounds)):
                breaches.append(Alarm(f"{name} {value:.3g} {breach} ({MEASURES[name].about})", stops))
                break
    return breaches


def _breach(value: float, bounds: Bounds) -> str:
    least, most = bounds
    if math.isnan(value):
        return "is no number"
    if least is not None and value < least:
        return f"is below {least:g}"
    return f"is above {most:g}" if most is not None and value > most else ""


def _bounds(name: str, bound: float | Sequence[float | None]) -> Bounds:
    if isinstance(bound, Sequence):
        return (bound[0], bound[1])
    return (bound, None) if MEASURES[name].warn[1] is None else (None, bound)


def _has_boilerplate(text: str) -> bool:
    return boilerplate(Exchange((), text)) or bool(CLOSERS.search(text))


def _repetition(text: str) -> float:
    words = _words(text)
    triples = [tuple(words[n : n + 3]) for n in range(len(words) - 2)]
    return 1 - len(set(triples)) / len(triples) if triples else 0.0


def _commonest(ends: Sequence[str]) -> float:
    """The share of the commonest; what one answer alone has is not common."""
    count = Counter(end for end in ends if end).most_common(1)
    return count[0][1] / len(ends) if count and count[0][1] > 1 else 0.0


def _last_sentence(text: str) -> str:
    return (re.findall(r"[^.!?\n]+", text) or [""])[-1]


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['\u2019-][^\W_]+)*", text.lower())
