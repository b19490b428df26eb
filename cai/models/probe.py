"""Before the first row: one harmless request of each shape that will be asked, and what to do where a server refuses it."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from cai.errors import RunError, UserError
from cai.models.abilities import Abilities, otherwise
from cai.models.dialect import WITHOUT_LOGPROBS, OpenAI
from cai.models.refusals import Refused
from cai.models.retries import Transient
from cai.models.types import Message, ModelSpec, Reply, Request

Shape = tuple[object, ...]
HARMLESS = {"system": "You are a helpful assistant.", "assistant": "Hello!", "user": "Please say hello."}
MOST_WAYS = 12
"""Other ways that are tried of one shape."""
ERRORS = 3
"""So many errors of a server in answer to a harmless request are a refusal."""
WAIT_SECONDS = 0.5
STANDS_SECONDS = 30.0
"""How long an answered harmless request shows that a refusal of its shape is the row's."""


def shape(request: Request) -> Shape:
    """What decides whether a server takes a request, beside what it says."""
    first = request.messages[0]["role"] if request.messages else "prompt"
    more = tuple(request.more)
    sampling = (request.n, request.max_tokens, request.temperature, request.top_p, len(request.stop), more)
    kind = (bool(request.tokens), request.score, request.choices, bool(request.begin), "\n\n" in request.begin)
    return (first, request.seed is None, *sampling, *kind)


def harmless(request: Request) -> Request:
    """The same request of an innocent conversation."""
    messages = tuple(map(_innocent, request.messages))
    begin = request.begin
    if "\n\n" in begin:
        begin = f"Both say hello.\n\n{begin.rsplit(chr(10) * 2, 1)[1]}"
    prompt = "Human: Please say hello.\n\nAssistant:" if request.prompt else ""
    return replace(request, messages=messages, prompt=prompt, begin=begin, tokens=request.tokens[:1])


def _innocent(message: Message) -> Message:
    return {**message, "content": HARMLESS.get(message["role"], "Hello.")}


class Asked(Protocol):
    """The model that is asked, as far as a probe goes."""

    spec: ModelSpec
    name: str
    dialect: OpenAI
    say: Callable[[str], None]

    @property
    def where(self) -> str: ...

    def once(self, request: Request) -> Awaitable[Reply]:
        """One try; raises Refused or Transient."""
        ...

    async def comes_back(self, until: float) -> bool:
        """Wait for any server until a moment of the clock."""
        ...

    def gone(self, error: Transient) -> str:
        """The sentence for a model that no server answers for."""
        ...


class Probes:
    """Harmless requests to one model: before the first of a shape, and in doubt whose fault a failure is."""

    def __init__(self, model: Asked) -> None:
        self.model, self.turn = model, asyncio.Lock()
        self.known: set[Shape] = set()
        self.stood: dict[Shape, float] = {}
        """When a harmless request of a shape was answered last."""
        self.doubtful: set[Shape] = set()
        """Those at which the servers fail also where they are harmless."""
        self.notes: set[str] = set()

    async def before(self, request: Request) -> None:
        """Find out, once for each shape, how the servers take a request.

        Raises:
            UserError: they take it in no way, or answer without what the request is for.
            RunError: no server answers, or all are busy.
        """
        looks = shape(request)
        if looks in self.known:
            return
        async with self.turn:
            # Of a server of ours it is known what it takes, but for its model's chat template.
            if looks not in self.known and (not self.model.spec.served or looks[0] == "system"):
                await self._take(request)
            self.known.add(looks)

    async def blame(self, request: Request, refused: Refused) -> None:
        """Return where a refusal is the row's.

        Raises:
            RunError: a harmless request alike is refused as well, so that it is everyone's.
        """
        looks = shape(request)
        async with self.turn:
            if time.monotonic() - self.stood.get(looks, -math.inf) < STANDS_SECONDS:
                return
            try:
                await self._patiently(self._harmless(request))
            except Refused as too:
                if too.status >= 500:
                    return  # it fails at what is harmless, which says nothing of a refusal
                raise RunError(f"{self.model.where} refuses {self.model.name} ({too}); {too.advice()}") from refused
            self.stood[looks] = time.monotonic()

    async def stands(self, request: Request) -> bool:
        """Whether a harmless request of the same shape is answered now."""
        try:
            await self.model.once(self._harmless(request))
        except (Transient, Refused):
            return False
        return True

    def doubts(self, request: Request) -> bool:
        """Whether the servers fail at harmless requests of this shape as well."""
        return shape(request) in self.doubtful

    def _harmless(self, request: Request) -> Request:
        """As ``harmless``; of a server of ours few tokens are asked, as it refuses none."""
        asked = harmless(request)
        return replace(asked, max_tokens=1) if self.model.spec.served else asked

    async def _patiently(self, request: Request) -> Reply:
        """An answer, also of a server that is busy or away for a while; an error that stays is a refusal.

        Raises:
            Refused: so it is.
            RunError: no server answers within our patience, or all are busy.
        """
        until, errors = time.monotonic() + self.model.spec.patience, 0
        while True:
            try:
                return await self.model.once(request)
            except Transient as error:
                errors += bool(error.status and not error.busy)
                if errors >= ERRORS:
                    raise Refused(error.status, error.words.removeprefix(f"{error.status} ")) from None
                left = until - time.monotonic()
                if left <= 0 or (not error.status and not await self.model.comes_back(until)):
                    raise RunError(self.model.gone(error)) from None
                await asyncio.sleep(min(error.after or WAIT_SECONDS, left))

    async def _take(self, request: Request) -> None:
        asked = self._harmless(request)
        try:
            reply = await self._patiently(asked)
        except Refused as refused:
            reply = await self._otherwise(asked, refused)
        if reply is None:
            self.doubtful.add(shape(request))
            return
        if reply.counts.get(WITHOUT_LOGPROBS):
            raise UserError(
                f"models.{self.model.spec.role}: {self.model.where} gives no log-probabilities, by which a verdict is read; "
                "name a judge that does, such as one served by vLLM"
            )
        if not request.score and len(reply.texts) < request.n:
            self._put(replace(self.model.dialect.now, samples=False), "samples are asked one by one")
        if "unknown" in reply.finishes and not request.choices:
            self._note("it does not say how its answers end, so that none counts as whole")

    async def _otherwise(self, asked: Request, last: Refused) -> Reply | None:
        """Go from refusal to refusal: what is answered, or refused with other words, was a step on the way.

        Returns:
            the answer; None where the server fails whatever is tried, so that the first row has to show what it takes.
        """
        dialect = self.model.dialect
        first, plain = last, dialect.now
        ways = list(otherwise(asked, dialect.now, last.words))
        for _ in range(MOST_WAYS):
            if not ways:
                break
            before, (now, note) = dialect.now, ways.pop(0)
            dialect.now = now
            try:
                reply = await self._patiently(asked)
            except Refused as refused:
                if refused.words == last.words:
                    dialect.now = before
                    continue
                last, ways = refused, list(otherwise(asked, now, refused.words))
            else:
                self._note(note)
                return reply
            self._note(note)
        if first.status >= 500:
            dialect.now = plain
            return None
        text = (
            f"models.{self.model.spec.role}: {self.model.where} refuses what would be asked ({last}); {last.advice()}"
        )
        raise RunError(text) if last.status == 402 else UserError(text)

    def _put(self, now: Abilities, note: str) -> None:
        self.model.dialect.now = now
        self._note(note)

    def _note(self, note: str) -> None:
        if note not in self.notes:
            self.notes.add(note)
            self.model.say(f"{self.model.name}: {note}")
