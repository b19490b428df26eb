"""Answers from a file or a function: for tests, dry runs and documentation. Nothing is computed, all is repeatable.

A file is a YAML list of rules; the first whose ``when`` (a regular expression, searched in the last message) matches
answers. ``say`` holds texts, one of which the request's seed draws, with ``{seed}`` replaced, and ``{asked}`` by a
fingerprint of all that was asked; ``choose`` holds the probabilities of the choices (of a script without any, verdicts are
sampled); ``delay`` is in seconds.

    - {when: "Critique request", say: ["It is careless.", "It is rude."]}
    - {when: "Question:", say: ["(A) is kinder."], choose: {A: 0.7, B: 0.2}}
    - {say: ["Answer {seed}."], delay: 0.01}
"""

import asyncio
import hashlib
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TypeGuard

from cai.errors import UserError
from cai.models.replies import text_sample, thought_counts, whole
from cai.models.types import Reply, Request, Sample
from cai.models.usage import share
from constitution.source import nearest, read_yaml

Answer = Callable[[Request], str | float | Mapping[str, float]]
"""Gives a text, a score, or the probabilities of the request's choices."""


LONGEST_DELAY = 3600


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule of a script."""

    when: re.Pattern[str]
    say: tuple[str, ...]
    choose: Mapping[str, float]
    delay: float


class Scripted:
    """A model whose answers are known beforehand.

    Args:
        answer: called once for each sample, with the request.
        delay: seconds before each reply.

    Attributes:
        logprobs: whether it gives probabilities of choices.
        structured: whether what it answers is always one of a request's options.
    """

    continues, logprobs, structured = True, True, False

    def __init__(
        self,
        answer: Answer,
        delay: float = 0.0,
        concurrency: int = 64,
        name: str = "scripted",
        format: str = "chat",
    ) -> None:
        self.answer, self.delay, self.concurrency, self.name, self.format = answer, delay, concurrency, name, format

    @classmethod
    def from_file(cls, path: Path, concurrency: int = 64, format: str = "chat") -> "Scripted":
        """A script on disk.

        Raises:
            InputError: it is not a list of rules.
        """
        rules = read_script(path)
        delay = max(rule.delay for rule in rules)
        script = cls(lambda request: _by_rules(rules, request), delay, concurrency, f"scripted:{path.name}", format)
        script.logprobs = any(rule.choose for rule in rules)
        return script

    async def gives_logprobs(self, request: Request) -> bool:
        """See ``cai.models.verdicts``."""
        return self.logprobs

    async def takes_options(self, request: Request) -> bool:
        """See ``cai.models.verdicts``."""
        return self.structured

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``."""
        await asyncio.sleep(self.delay)  # without a delay, too, others get their turn, as with any server
        texts = (*(message["content"] for message in request.messages), request.prompt, request.thought)
        length = sum(len(text.split()) for text in texts)
        if request.score:
            score = self.answer(request)
            assert isinstance(score, int | float), "a request for a score is answered with a number"
            return Reply(tokens_in=length, model=self.name, score=float(score))
        if request.choices:
            shares = self.answer(request)
            assert isinstance(shares, Mapping), "a request with choices is answered with probabilities"
            logprobs = {choice: math.log(p) for choice, p in shares.items() if choice in request.choices and p > 0}
            return Reply((Sample(""),), logprobs, tokens_in=length, tokens_out=1, model=self.name)
        texts = tuple(str(self.answer(each)) for each in _samples(request))
        words = sum(len(text.split()) for text in texts)
        samples = tuple(text_sample(whole(text), "stop") for text in texts)
        thought, counts = share(words, samples), thought_counts(samples)
        return Reply(samples, {}, length, 0, words, self.name, counts=counts, tokens_thought=thought)


def read_script(path: Path) -> list[Rule]:
    """The rules of a script.

    Raises:
        InputError: a rule is not of the form above.
    """
    source = read_yaml(path)
    if not isinstance(source.data, list) or not source.data:
        raise UserError(f"{path}:1: a script is a list of rules, each with `say` or `choose`")
    return [_rule(source.where((number,)), data) for number, data in enumerate(source.data)]


def _rule(where: str, data: object) -> Rule:
    keys = ["when", "say", "choose", "delay"]
    if not isinstance(data, dict) or not ({"say", "choose"} & data.keys()):
        raise UserError(f"{where}: a rule needs `say` or `choose`")
    for key in data:
        if key not in keys:
            raise UserError(f"{where}.{key}: unknown key; {nearest(key, keys)}")
    try:
        when = re.compile(str(data.get("when", "")))
    except re.error as error:
        raise UserError(f"{where}.when: not a regular expression: {error}") from None
    say, choose, delay = data.get("say", []), data.get("choose", {}), data.get("delay", 0)
    if not isinstance(say, list):
        raise UserError(f"{where}.say: expected a list of texts")
    if not isinstance(choose, dict) or not all(_is_number(p) and 0 <= p <= 1 for p in choose.values()):
        raise UserError(f"{where}.choose: expected a probability for each choice, such as {{A: 0.7, B: 0.2}}")
    if not _is_number(delay) or not 0 <= delay <= LONGEST_DELAY:
        raise UserError(f"{where}.delay: expected seconds, from 0 to {LONGEST_DELAY}")
    return Rule(when, tuple(map(str, say)), choose, float(delay))


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _by_rules(rules: list[Rule], request: Request) -> str | Mapping[str, float]:
    question = request.messages[-1]["content"] if request.messages else request.prompt
    for rule in rules:
        if rule.when.search(question) and (rule.choose if request.choices else rule.say):
            if request.choices:
                return rule.choose
            text = Random(request.seed).choice(rule.say).replace("{seed}", str(request.seed))
            return text.replace("{asked}", _fingerprint(request)) if "{asked}" in text else text
    raise UserError(f'the script has no rule for "{question[:60]}…"; end it with a rule without `when`')


def _fingerprint(request: Request) -> str:
    return hashlib.sha256(repr((request.messages, request.prompt)).encode()).hexdigest()[:8]


def _samples(request: Request) -> list[Request]:
    return [replace(request, n=1, seed=(request.seed or 0) + number) for number in range(request.n)]
