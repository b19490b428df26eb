"""What a server was seen to take, and how a request is put where it does not take all.

Only what keeps the meaning is put otherwise: another name for the same limit, samples one by one, the opening joined to the first
turn, stops that are cut here. A seed that is left out is counted, as its row cannot be drawn again.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from cai.models.types import Message, Request

TOP = 20
FEW = 5
"""Log-probabilities of the likeliest tokens: as many as servers usually give, and as few as some do."""
USUAL_STOPS = 4
CHOICE, SCHEMA, TOOL = "choice", "schema", "tool"
STRUCTURES = (CHOICE, SCHEMA, TOOL, "")
"""How an answer is bound to some options, each tried where the one before is not taken: vLLM's list of choices, a JSON schema, a
tool that has to be called, and at last not at all; see ``cai.models.structure``."""
EFFORT, TEMPLATE, REASONING, BLOCKS = "effort", "template", "reasoning", "blocks"
"""How thinking is switched: OpenAI's ``reasoning_effort``, the chat template's variables, OpenRouter's ``reasoning``, Anthropic's
``thinking``; see ``cai.models.switches`` and ``cai.models.anthropic``."""


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a server takes; each is so until it was seen to be otherwise.

    Attributes:
        limit: the name of the limit of tokens.
        seed, samples, system: whether it takes a seed, more than one sample, a system message.
        temperature, top_p: whether these are sent where they are 1, or where no token is drawn.
        top: of how many tokens it gives log-probabilities.
        stops: how many it takes.
        switch: how thinking is switched.
        on, off: the effort that stands for thinking and for none; empty where the server takes no switch for it.
        budget: whether it takes a bound for the thought alone.
        room: whether its context or its longest answer has room for a thought beside the answer.
        structure: how an answer is bound to some options, one of ``STRUCTURES``.
    """

    limit: str = "max_tokens"
    seed: bool = True
    samples: bool = True
    system: bool = True
    temperature: bool = True
    top_p: bool = True
    top: int = TOP
    stops: int = 1 << 10
    switch: str = EFFORT
    on: str = "medium"
    off: str = "none"
    budget: bool = True
    room: bool = True
    structure: str = SCHEMA


@dataclass(frozen=True, slots=True)
class Way:
    """One way to put a request otherwise.

    Attributes:
        words: what a refusal that calls for it speaks of.
        helps: whether the request would be put otherwise by it.
        note: what a person is told.
    """

    words: re.Pattern[str]
    change: Mapping[str, object]
    helps: Callable[[Request, Abilities], bool]
    note: str


def _way(words: str, note: str, helps: Callable[[Request, Abilities], bool], **change: object) -> Way:
    return Way(re.compile(words, re.I), change, helps, note)


WAYS = (
    _way(
        "max_(completion_)?tokens",
        "the limit goes as max_completion_tokens",
        lambda request, now: not request.prompt and now.limit == "max_tokens" and now.switch != BLOCKS,
        limit="max_completion_tokens",
    ),
    _way(
        "seed",
        "it takes no seed, so that its answers cannot be drawn again",
        lambda request, now: now.seed and request.seed is not None,
        seed=False,
    ),
    _way(
        "system|role|alternate",
        "the system message stands before the first turn",
        lambda request, now: now.system and any(each["role"] == "system" for each in request.messages),
        system=False,
    ),
    _way(
        r"\bn\b|candidate|choices|best_of",
        "samples are asked one by one",
        lambda r, now: now.samples and r.n > 1,
        samples=False,
    ),
    _way(
        "logprobs",
        f"log-probabilities are those of {FEW} tokens",
        lambda request, now: bool(request.choices) and now.top > FEW,
        top=FEW,
    ),
    _way(
        "stop",
        f"answers are cut here at all stops but {USUAL_STOPS}",
        lambda request, now: len(request.stop) > USUAL_STOPS and now.stops > USUAL_STOPS,
        stops=USUAL_STOPS,
    ),
    _way("stop", "answers are cut here at their stops", lambda r, now: bool(r.stop and now.stops), stops=0),
    _way(
        "temperature",
        "temperature 1 is left to it",
        lambda request, now: now.temperature and (request.temperature == 1 or bool(request.choices or request.options)),
        temperature=False,
    ),
    _way(
        "top_p",
        "top_p 1 is left to it",
        lambda request, now: now.top_p and (request.top_p == 1 or bool(request.choices)),
        top_p=False,
    ),
)

BOUND = (
    "response_format|schema|structured|output_(config|format)|extra (inputs|fields)|guided|grammar|tool|function|json"
)


def _structure(place: int, note: str) -> Way:
    """Another way to bind an answer to some options, after those before it."""

    def helps(request: Request, now: Abilities) -> bool:
        return bool(request.options) and now.structure in STRUCTURES[:place]

    return _way(BOUND, note, helps, structure=STRUCTURES[place])


BINDING = (
    _structure(1, ""),
    _structure(2, ""),
    _structure(3, "it takes no structured output, so that sampled verdicts are read from last lines alone"),
)

THOUGHT = "reason|think|effort|chat_template|budget"
LESS = ("none", "minimal", "low", "")
"""Efforts that stand for no thinking, where the ones before are not taken; at last it is left to the server."""


def _less(place: int, note: str) -> Way:
    """Less than off, where the switch has degrees."""

    def helps(request: Request, now: Abilities) -> bool:
        graded = not LESS[place] or now.switch in (EFFORT, REASONING)
        return request.thinking == "off" and graded and now.off in LESS[:place]

    return _way(THOUGHT, note, helps, off=LESS[place])


def _bounds(request: Request, now: Abilities) -> bool:
    """Whether a bound is sent for the thought alone."""
    bound = bool(request.budget) or (now.switch == BLOCKS and request.thinking == "on")
    return bound and now.budget and request.thinking != "off" and now.switch != EFFORT


THINKING = (
    _way(
        THOUGHT,
        "it takes no bound for a thought, which shares the limit of tokens with its answer",
        _bounds,
        budget=False,
    ),
    _way(
        "max_(completion_)?tokens|context|maximum|too (long|large)",
        "it has no room for a thought beside the answer, so that both share the answer's tokens",
        lambda r, now: (
            bool(r.budget) and r.thinking != "off" and now.room and not (now.switch == BLOCKS and now.budget)
        ),
        room=False,
    ),
    _less(1, "its thinking cannot be switched off, so that it is asked for minimal effort"),
    _less(2, "its thinking cannot be switched off, so that it is asked for low effort"),
    _less(3, "it takes no switch that puts thinking off"),
    _way(
        THOUGHT,
        "it takes no switch that puts thinking on",
        lambda r, now: r.thinking == "on" and bool(now.on) and not (now.switch == BLOCKS and now.budget),
        on="",
    ),
)


def otherwise(request: Request, now: Abilities, refusal: str) -> Iterator[tuple[Abilities, str]]:
    """Each other way to put a request, with its note: those first that the refusal speaks of."""
    ways = [way for way in (*WAYS, *THINKING, *BINDING) if way.helps(request, now)]
    for way in sorted(ways, key=lambda each: not each.words.search(refusal)):
        yield replace(now, **way.change), way.note  # pyright: ignore[reportArgumentType]


def bound_otherwise(now: Abilities) -> tuple[Abilities, str]:
    """The next way to bind an answer to some options, with its note, as the server does not keep to this one."""
    way = BINDING[STRUCTURES.index(now.structure)]
    return replace(now, **way.change), way.note  # pyright: ignore[reportArgumentType]


def without_system(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The conversation with its system messages before the words of the first turn."""
    opening = "\n\n".join(each["content"] for each in messages if each["role"] == "system")
    first, *others = [each for each in messages if each["role"] != "system"] or [{"role": "user", "content": ""}]
    if not opening:
        return messages
    return ({**first, "content": f"{opening}\n\n{first['content']}".strip()}, *others)
