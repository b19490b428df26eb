"""Before the first row: one harmless request of each shape that will be asked, and what to do where a server refuses it."""

import asyncio
import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Protocol

from cai.errors import RunError
from cai.models import verdicts
from cai.models.abilities import Abilities, otherwise
from cai.models.dialect import OpenAI, Vllm
from cai.models.harmless import Shape, harmless, shape, wordier
from cai.models.listing import LOADS
from cai.models.refusals import Refused
from cai.models.replica import Replica
from cai.models.replies import THINKING
from cai.models.retries import Transient
from cai.models.spec import ModelSpec
from cai.models.switches import room
from cai.models.types import Reply, Request

MOST_WAYS = 12
"""Other ways that are tried of one shape."""
ERRORS = 3
"""So many errors of a server in answer to a harmless request are a refusal."""
WAIT_SECONDS = 0.5
HOPELESS = (401, 402, 407)
"""Refusals of a key or an account, which no other way to put a request helps."""
_CHANGING = re.compile(r"(?=[\w-]*\d)[\w-]{8,}")
"""Ids and times, by which two refusals of one cause differ."""


class Asked(Protocol):
    """The model that is asked, as far as a probe goes."""

    spec: ModelSpec
    name: str
    dialect: OpenAI
    replicas: list[Replica]
    thinks: bool
    say: Callable[[str], None]

    def once(self, request: Request, server: Replica | None = None) -> Awaitable[Reply]:
        """One try, at any server unless told; raises Refused or Transient."""
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
        self.model, self.turn, self.asking = model, asyncio.Lock(), asyncio.Lock()
        self.role = model.spec.role
        self.known: set[Shape] = set()
        self.stood: dict[tuple[Shape, Replica], float] = {}
        """When the last harmless request of a shape was sent that a server answered."""
        self.doubtful: set[Shape] = set()
        """Those at which the servers fail also where they are harmless."""
        self.gives: dict[Shape, bool] = {}
        """Whether log-probabilities of choices come with an answer."""
        self.heard: set[Replica] = set()
        """Servers of which it is known whether their chat template shows system messages."""
        self.notes: set[str] = set()

    async def before(self, request: Request, role: str = "") -> None:
        """Find out, once for each shape, how the servers take a request; of several roles, sentences name the one that asks.

        Raises:
            UserError: they take it in no way, or answer without what the request is for.
            RunError: no server answers, or all are busy.
        """
        looks = shape(request)
        if looks in self.known:
            return
        async with self.turn:
            # Of a server of ours it is known what it takes, but for its model's chat template and thoughts.
            self.role = role or self.model.spec.role
            ours = self.model.spec.served and not (looks[0] or request.thinking or request.budget)
            if looks not in self.known and not ours:
                await self._take(request)
            self.known.add(looks)

    async def gives_logprobs(self, request: Request) -> bool:
        """Whether verdicts can be read by log-probability, found out as ``before`` does, whose other errors it raises."""
        looks = shape(request)
        async with self.asking:
            if looks not in self.gives:
                try:
                    await self.before(request)
                    self.gives[looks] = True
                except verdicts.NoLogprobs as none:
                    self.gives[looks] = False
                    self._note(f"its verdicts are sampled, as it {none.why}")
        return self.gives[looks]

    async def blames_row(self, request: Request, refused: Refused) -> bool:
        """Whether a refusal is the row's: a harmless request that is sent after it, to the same server, is answered.

        All that were refused before it is sent share it. False where the server went away, so that it cannot be told.

        Raises:
            RunError: a harmless request alike is refused as well, so that it is everyone's.
        """
        server = refused.replica or self.model.replicas[0]
        looks, since = (shape(request), server), time.monotonic()
        if refused.status == 402:  # what is harmless may be paid for with the last cent
            raise self._everyones(refused, server) from refused
        async with self.turn:
            if self.stood.get(looks, -math.inf) >= since:
                return True
            sent = time.monotonic()
            try:
                await self._patiently(self._harmless(request), server)
            except Transient:
                return False
            except Refused as too:
                if too.status >= 500:
                    return True  # it fails at what is harmless, which says nothing of a refusal
                raise self._everyones(too, server) from refused
            self.stood[looks] = sent
            return True

    def _everyones(self, refused: Refused, server: Replica) -> RunError:
        return RunError(f"{server.title} refuses {self.model.name} ({refused}); {refused.advice()}")

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
        return replace(asked, max_tokens=1, budget=asked.budget and 1) if self.model.spec.served else asked

    async def _patiently(self, request: Request, server: Replica, most: int = ERRORS) -> Reply:
        """An answer, also of a server that is busy or away for a while; so many errors are a refusal.

        Raises:
            Refused: so it is.
            Transient: it is away, and there are others.
            RunError: no server answers within our patience, or all are busy.
        """
        until, errors = time.monotonic() + self.model.spec.patience, 0
        while True:
            try:
                return await self.model.once(request, server)
            except Transient as error:
                away = not error.status or error.status in LOADS
                errors += not error.busy and (not away or bool(self.model.replicas[1:]))
                if errors >= most and away:
                    raise
                if errors >= most:
                    raise Refused(error.status, error.words.removeprefix(f"{error.status} ")) from None
                left = until - time.monotonic()
                if left <= 0 or (not error.status and not await self.model.comes_back(until)):
                    raise RunError(self.model.gone(error)) from None
                await asyncio.sleep(min(error.after or WAIT_SECONDS, left))

    async def _take(self, request: Request) -> None:
        """At each server, as they may be unlike; one that is away or fails is left to what it does with rows."""
        asked = self._harmless(request)
        servers = self.model.replicas[:1] if self.model.spec.served else self.model.replicas
        away, refusals, well = None, list[tuple[Replica, Refused]](), False
        for server in servers:
            try:
                reply = await self._patiently(asked, server)
                self._look(asked, reply, server)
                well = True
                await self._hear(asked, reply, server)
            except Refused as refused:
                refusals.append((server, refused))
            except Transient as error:
                away = error
        if away and not refusals and not well:
            raise RunError(self.model.gone(away))
        tried = self.model.dialect.now
        for server, refused in refusals:
            if refused.status < 500 or not well:
                well = await self._otherwise(asked, refused, server, self.model.dialect.now is not tried) or well
        if not well:
            self.doubtful.add(shape(request))

    def _look(self, asked: Request, reply: Reply, server: Replica) -> None:
        """What of an answer to a harmless request shows that rows would be asked in vain, or put otherwise."""
        if asked.choices:
            goes_on = bool(asked.prompt) or isinstance(self.model.dialect, Vllm)
            verdicts.look(reply, self.role, server.title, goes_on)
            return
        self.model.thinks |= (bool(reply.thinking) or THINKING in reply.finishes) and not asked.thinking
        for note in self.model.dialect.learn(asked, reply):
            self._note(note)
        if not asked.score and len(reply.texts) < asked.n:
            self._put(replace(self.model.dialect.now, samples=False), "samples are asked one by one")
        if "unknown" in reply.finishes:
            self._note("it does not say how its answers end, so that none counts as whole")
        if self.model.spec.served:  # few tokens were asked
            return
        if THINKING in reply.finishes:
            self._note_spent(asked)
        elif reply.thinking and not any(reply.texts):
            self._note("it answers a greeting with a thought alone, as where a server takes all for one")

    def _note_spent(self, asked: Request) -> None:
        """That a thought took all tokens; not of a request that is asked anew, with a budget for its thought."""
        off = asked.thinking == "off"
        if asked.messages and not (asked.budget or off or asked.begin):
            return
        most = asked.max_tokens + (room(asked) if self.model.dialect.now.room else 0)
        more, less = "max_tokens", "extra_body"
        if asked.messages and not off:
            more, less = f"{more}, or thinking: {{budget: TOKENS}}", f"thinking: off, or {less}"
        spent = f"a thought took all {most:,} tokens of its answer to a greeting"
        self._note(f"{spent}; give it more ({more}), or lessen its thinking ({less})")

    async def _hear(self, asked: Request, reply: Reply, server: Replica) -> None:
        """Whether a chat template of vLLM's leaves system messages out without a word, by the tokens of a wordier one."""
        system = any(each["role"] == "system" for each in asked.messages) and self.model.dialect.now.system
        if not (system and reply.tokens_in and isinstance(self.model.dialect, Vllm)) or server in self.heard:
            return
        self.heard.add(server)
        for role in ("system", "user"):  # a server may count nothing of what it is asked
            wordy = await self._patiently(wordier(asked, role), server)
            if (wordy.tokens_in == reply.tokens_in) != (role == "system"):
                break
        else:
            note = "its chat template leaves system messages out, so that they stand before the words of the first turn"
            self._put(replace(self.model.dialect.now, system=False), note)

    async def _otherwise(self, asked: Request, first: Refused, server: Replica, anew: bool) -> bool:
        """Go from refusal to refusal: what is answered, or refused with other words, was a step on the way.

        Args:
            anew: whether requests are put otherwise by now than when it refused.

        Returns:
            whether it is answered; False where the server fails whatever is tried, so that the first row has to show what
            it takes.
        """
        dialect, last = self.model.dialect, first
        plain = dialect.now
        ways = [] if last.status in HOPELESS else list(otherwise(asked, plain, last.words))
        ways = [(plain, ""), *ways] if anew or first.status >= 500 else ways  # an error may have passed
        for _ in range(MOST_WAYS):
            if not ways:
                break
            before, (now, note) = dialect.now, ways.pop(0)
            dialect.now = now
            try:
                reply = await self._patiently(asked, server, 1)
            except Refused as refused:
                if _cause(refused) == _cause(last):
                    dialect.now = before
                    continue
                last, ways = refused, list(otherwise(asked, now, refused.words))
            else:
                self._note(note)
                self._look(asked, reply, server)
                return True
            self._note(note)
        dialect.now = plain
        if first.status >= 500:
            return False
        raise verdicts.refused(asked, last, self.role, server.title)

    def _put(self, now: Abilities, note: str) -> None:
        self.model.dialect.now = now
        self._note(note)

    def _note(self, note: str) -> None:
        if note and note not in self.notes:
            self.notes.add(note)
            self.model.say(f"{self.model.name}: {note}")


def _cause(refused: Refused) -> tuple[int, str]:
    """By what a refusal is known to be the same as another."""
    return refused.status, _CHANGING.sub("", refused.words)
