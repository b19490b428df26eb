"""Before the first row: one harmless request of each shape that will be asked, and what to do where a server refuses it."""

import asyncio
import re
import time
from dataclasses import replace

from cai.errors import RunError
from cai.models import verdicts
from cai.models.abilities import otherwise
from cai.models.dialect import Vllm
from cai.models.findings import Findings
from cai.models.forcing import BUDGET
from cai.models.harmless import Shape, harmless, shape, wordier
from cai.models.headstart import Asked, HeadStart
from cai.models.listing import LOADS
from cai.models.refusals import Refused
from cai.models.replica import Replica
from cai.models.retries import Transient
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


class Probes:
    """Harmless requests to one model, before the first of each shape."""

    def __init__(self, model: Asked) -> None:
        self.model, self.turn, self.asking = model, asyncio.Lock(), asyncio.Lock()
        self.findings, self.early = Findings(model), HeadStart(model)
        self.role = model.spec.role
        self.known: set[Shape] = set()
        self.doubtful: set[Shape] = set()
        """Those at which the servers fail also where they are harmless."""
        self.gives: dict[Shape, bool] = {}
        """Whether log-probabilities of choices come with an answer."""
        self.heard: set[Replica] = set()
        """Servers of which it is known whether their chat template shows system messages."""
        self.coming: list[Request] = []
        """What will be prepared, as far as it is announced."""
        self.announced: set[Shape | Replica] = set()
        """Shapes that were sent ahead, and servers which were sent a wordier request so."""

    def announce(self, request: Request) -> None:
        """Say that a request will be prepared: what is harmless of it goes out at once, beside what else is announced.

        Whoever announces calls ``recall`` in the end.
        """
        self.coming.append(request)
        for each in (request, self._bounded(request)):
            self._send(each)

    async def recall(self) -> None:
        """End what was announced and never prepared."""
        self.coming.clear()
        self.announced.clear()
        await self.early.recall()

    def _send(self, request: Request) -> None:
        looks = shape(request)
        if looks in self.known or looks in self.announced or self._ours(request):
            return
        self.announced.add(looks)
        asked = self.harmless(request)
        for server in self._servers():
            self.early.send(asked, server)
            if self._hears(asked, server) and server not in self.announced:
                self.announced.add(server)
                self.early.send(wordier(asked, "system"), server)

    async def prepared(self, request: Request, role: str = "") -> Request:
        """The request as it is to be sent: that a model thinks may have shown at the first of its shape.

        Raises:
            UserError, RunError: as ``before``.
        """
        await self.before(request, role)
        bounded = self._bounded(request)
        if bounded is not request:
            for each in self.coming:  # now that it is known to think
                self._send(self._bounded(each))
            await self.before(bounded, role)
        return bounded

    def _bounded(self, request: Request) -> Request:
        """The request with a budget for its thought, where it is a text's and one is to be expected."""
        reads = request.choices or request.score or request.likelihood
        writes = request.messages and not (reads or request.begin)
        expected = writes and (request.thinking == "on" or (self.model.thinks and not request.thinking))
        length = self.model.spec.max_len or self.model.length
        most = min(BUDGET, length // 2) if length else BUDGET
        return replace(request, budget=most) if expected and request.budget is None else request

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
            self.role = role or self.model.spec.role
            if looks not in self.known and not self._ours(request):
                await self._take(request)
            self.known.add(looks)

    def _ours(self, request: Request) -> bool:
        """Of a server of ours it is known what it takes, but for its model's chat template and thoughts."""
        system = shape(request)[0]
        return bool(self.model.spec.served) and not (system or request.thinking or request.budget)

    def _servers(self) -> list[Replica]:
        """Those that may be unlike; ours are alike."""
        return self.model.replicas[:1] if self.model.spec.served else self.model.replicas

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
                    self.findings.note(f"its verdicts are sampled, as it {none.why}")
        return self.gives[looks]

    async def takes_options(self, request: Request) -> bool:
        """Whether an answer can be bound to some options, found out as ``before`` does, whose errors it raises."""
        await self.before(request)
        return bool(self.model.dialect.now.structure)

    def doubts(self, request: Request) -> bool:
        """Whether the servers fail at harmless requests of this shape as well."""
        return shape(request) in self.doubtful

    def harmless(self, request: Request) -> Request:
        """As ``harmless``; of a server of ours few tokens are asked, as it refuses none."""
        asked = harmless(request)
        return replace(asked, max_tokens=1, budget=asked.budget and 1) if self.model.spec.served else asked

    async def patiently(self, request: Request, server: Replica, most: int = ERRORS) -> Reply:
        """An answer, also of a server that is busy or away for a while; so many errors are a refusal.

        Raises:
            Refused: so it is.
            Transient: it is away, and there are others.
            RunError: no server answers within our patience, or all are busy.
        """
        until, errors = time.monotonic() + self.model.spec.patience, 0
        while True:
            try:
                return await self.early.ask(request, server)
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
        asked = self.harmless(request)
        away, refusals, well = None, list[tuple[Replica, Refused]](), False
        for server in self._servers():
            try:
                reply = await self.patiently(asked, server)
                if self.findings.look(asked, reply, server, self.role):
                    well = await self._anew(asked, server) or well
                    continue
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

    async def _anew(self, asked: Request, server: Replica) -> bool:
        """Ask again as is put next, once an answer showed that the server does not keep to what it took; as ``_otherwise``."""
        if not self.model.dialect.now.structure:  # nothing is bound any more
            return True
        try:
            reply = await self.patiently(asked, server)
        except Refused as refused:
            return await self._otherwise(asked, refused, server, False)
        return not self.findings.look(asked, reply, server, self.role) or await self._anew(asked, server)

    async def _hear(self, asked: Request, reply: Reply, server: Replica) -> None:
        """Whether a chat template of vLLM's leaves system messages out without a word, by the tokens of a wordier one."""
        if not (self._hears(asked, server) and reply.tokens_in):
            return
        self.heard.add(server)
        for role in ("system", "user"):  # a server may count nothing of what it is asked
            wordy = await self.patiently(wordier(asked, role), server)
            if (wordy.tokens_in == reply.tokens_in) != (role == "system"):
                break
        else:
            note = "its chat template leaves system messages out, so that they stand before the words of the first turn"
            self.findings.put(replace(self.model.dialect.now, system=False), note)

    def _hears(self, asked: Request, server: Replica) -> bool:
        """Whether this would be the first system message of which a server of vLLM's shows the tokens."""
        system = any(each["role"] == "system" for each in asked.messages) and self.model.dialect.now.system
        return system and isinstance(self.model.dialect, Vllm) and server not in self.heard

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
                reply = await self.patiently(asked, server, 1)
            except Refused as refused:
                if _cause(refused) == _cause(last):
                    dialect.now = before
                    continue
                last, ways = refused, list(otherwise(asked, now, refused.words))
            else:
                self.findings.note(note)
                anew = self.findings.look(asked, reply, server, self.role)
                return await self._anew(asked, server) if anew else True
            self.findings.note(note)
        dialect.now = plain
        if first.status >= 500:
            return False
        raise verdicts.refused(asked, last, self.role, server.title)


def _cause(refused: Refused) -> tuple[int, str]:
    """By what a refusal is known to be the same as another."""
    return refused.status, _CHANGING.sub("", refused.words)
