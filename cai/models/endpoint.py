"""OpenAI-compatible servers: several replicas of one model behind one ``ask``.

What fails is of three kinds. *Transient* (connection, timeout, busy, 5xx) is tried again, elsewhere where there is an elsewhere,
with back-off and honouring Retry-After; a replica that fails thrice is left alone for a while, then tried with one request.
*The row's* drops the row, *everyone's* stops the run: which of the two a refusal is shows a harmless request of the same shape.
The first request of each shape is preceded by such a one, which also shows how the server wants it put (``cai.models.probe``).
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from functools import partial
from typing import Self

import aiohttp

from cai.errors import RowError, RunError, UserError
from cai.models import concurrency
from cai.models.batch_api import BatchApi
from cai.models.dialect import Vllm
from cai.models.dialects import batches_of, shown, spoken
from cai.models.forcing import BUDGET, closed
from cai.models.headers import headers, secrets
from cai.models.listing import Listing, met
from cai.models.probe import Probes
from cai.models.reasoning import TAGS
from cai.models.refusals import Refused, refusal
from cai.models.replica import Replica
from cai.models.replies import THINKING, Unreadable, failure
from cai.models.retries import Transient, again
from cai.models.spec import ModelSpec
from cai.models.transport import get, post
from cai.models.types import Reply, Request

PROBE_SECONDS = 2.0
HEALTH_SECONDS = 10.0
HOMES = 100_000


class Endpoint:
    """One model on one or more servers; use as ``async with``.

    Attributes:
        name: the model's, for the rows.
        wire_name: under which the servers know it, where that is another.

    Raises:
        UserError: on entering: no server answers, or none has the model.
    """

    def __init__(self, urls: tuple[str, ...], model: str, spec: ModelSpec) -> None:
        self.dialect = spoken(spec, urls)
        self.replicas = [Replica(self.dialect.base(url)) for url in urls]
        self.name = model
        self.wire_name = ""
        self.format = spec.format
        # "auto" follows a server's own figures, where it has some.
        self.concurrency = spec.concurrency or concurrency.START * len(urls)
        self.most = spec.concurrency or concurrency.MOST * len(urls)
        self.spec = spec
        self.homes: OrderedDict[str, Replica] = OrderedDict()
        self.asking_around, self.probes = asyncio.Lock(), Probes(self)
        self.length, self.thinks, self.tags, self.closes = 0, False, TAGS, True
        """Tokens that its servers take, as far as they say; whether it was seen to think; what stands around its thoughts;
        whether one that is cut off can be closed."""
        self.say: Callable[[str], None] = lambda note: None
        """Told what of a request is put otherwise, once."""

    @property
    def where(self) -> str:
        """The server, or the first of several, as people are shown it."""
        return self.replicas[0].title

    async def __aenter__(self) -> Self:
        self.http = self._opened()
        try:
            await self._meet()
        except BaseException:
            await self.http.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    def _opened(self) -> aiohttp.ClientSession:
        """One connection for each request in flight: a pool smaller than that would be a second, hidden limit."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self.spec.timeout),
            headers=headers(self.spec, self.dialect),
        )

    @property
    def continues_chat(self) -> bool:
        """vLLM's chat goes on from a forced beginning."""
        return isinstance(self.dialect, Vllm)

    @property
    def continues(self) -> bool:
        """So does every server that is sent a transcript."""
        return self.continues_chat or self.format == "transcript"

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``; what fails is asked elsewhere, and while no server is there, for ``patience`` seconds more."""
        request = await self.prepared(request)
        return await self.whole(await self._answer(request, row_id), request, row_id)

    async def whole(self, reply: Reply, request: Request, row_id: str) -> Reply:
        """A reply with the samples that a server left out, and an answer after each thought that took all it might."""
        if len(reply.texts) < request.n and not request.score:
            reply = await self._more(reply, request, row_id)
        if THINKING in reply.finishes and request.budget and self.continues_chat and self.closes:
            return await closed(reply, request, self.tags, partial(self._go_on, row_id))
        return reply

    async def _go_on(self, row_id: str, request: Request) -> Reply:
        """The answer to a request that goes on from another's; raises Refused where no server takes such."""
        try:
            return await self._try(request, row_id)
        except Transient:
            return await self._answer(request, row_id)

    async def prepare(self, request: Request, role: str = "") -> None:
        """Find out, before any row, how the servers take a request of this shape that a role asks; raises as ``ask``."""
        await self.prepared(request, role)

    async def prepared(self, request: Request, role: str = "") -> Request:
        """The request as it is to be sent: that a model thinks may have shown at the first of its shape."""
        await self.probes.before(request, role)
        bounded = self._bounded(request)
        if bounded is not request:
            await self.probes.before(bounded, role)
        return bounded

    def _bounded(self, request: Request) -> Request:
        """The request with a budget for its thought, where it is a text's and one is to be expected."""
        writes = request.messages and not (request.choices or request.score or request.begin)
        expected = writes and (request.thinking == "on" or (self.thinks and not request.thinking))
        length = self.spec.max_len or self.length
        most = min(BUDGET, length // 2) if length else BUDGET
        return replace(request, budget=most) if expected and request.budget is None else request

    async def gives_logprobs(self, request: Request) -> bool:
        """Whether verdicts can be read by log-probability, found out before any row; raises as ``ask``."""
        return await self.probes.gives_logprobs(request)

    def batch_api(self) -> BatchApi | None:
        """How requests go in batches, where the role wants it so."""
        return batches_of(self) if self.spec.batch else None

    async def _more(self, reply: Reply, request: Request, row_id: str) -> Reply:
        """The samples that a server left out, asked one by one."""
        while (count := len(reply.texts)) < request.n:
            seed = None if request.seed is None else request.seed + count
            reply = reply.joined(await self._answer(replace(request, n=1, seed=seed), row_id))
        return reply

    async def _answer(self, request: Request, row_id: str) -> Reply:
        suspect, until = False, time.monotonic() + self.spec.patience
        while True:
            try:
                return await (self._once(request, row_id, set()) if suspect else self._try(request, row_id))
            except Refused as refused:
                if await self.probes.blames_row(request, refused):
                    raise RowError(refused.reason, str(refused)) from None
            except Transient as error:
                if error.busy:
                    raise RunError(self.gone(error)) from None
                if suspect:  # what is harmless was answered in between
                    raise RowError("server_error", str(error)) from None
                suspect = await self.probes.stands(request)
                hopeless = (error.status and self.probes.doubts(request)) or time.monotonic() > until
                if not suspect and (hopeless or not await self.comes_back(until)):
                    raise RunError(self.gone(error)) from None

    def once(self, request: Request, server: Replica | None = None) -> Awaitable[Reply]:
        """One try, of no row, at any server unless told; raises Refused or Transient."""
        return self._post(server, request) if server else self._once(request, "", set())

    async def _try(self, request: Request, row_id: str) -> Reply:
        failed: set[Replica] = set()
        try:
            return await self._once(request, row_id, failed)
        except Transient as error:  # only now, as what tries again takes as long to set up as a request takes
            return await again(error, partial(self._once, request, row_id, failed), self.spec.patience)

    def _once(self, request: Request, row_id: str, failed: set[Replica]) -> Awaitable[Reply]:
        replica = self._choose(row_id, failed)
        failed.add(replica)
        return self._post(replica, request)

    def _choose(self, row_id: str, failed: Collection[Replica]) -> Replica:
        """The row's own replica, whose cache has its beginning, while that is well; else the one with least to do."""
        home = self.homes.get(row_id)
        if home is not None and home not in failed and home.well():
            return home
        well = [replica for replica in self.replicas if replica.well()] or self.replicas
        fresh = [replica for replica in well if replica not in failed] or well
        least = min(fresh, key=lambda replica: (replica.load, replica.asked))
        self.homes[row_id] = least
        if len(self.homes) > HOMES:
            self.homes.popitem(last=False)
        return least

    async def _post(self, replica: Replica, request: Request) -> Reply:
        path, body = self.dialect.body(self.wire_name or self.name, request)
        replica.load += 1
        replica.asked += 1
        try:
            page = await post(self.http, self.dialect.at(replica.url, path), body)
            answer = page.json() if page.status == 200 else None
            wrong = failure(answer) if page.status == 200 else page
            if wrong:
                sent = (*(each["content"] for each in request.messages), request.prompt, *secrets(self.spec))
                raise refusal(wrong, sent, replica)
            reply = self.dialect.reply(answer, request)
        except (Unreadable, ValueError, RecursionError) as error:
            replica.failed()
            what = str(error) if isinstance(error, Unreadable) else "an answer that is not JSON"
            raise Transient(what, status=500, place=replica.title) from error
        except Transient as error:
            if not error.busy:
                replica.failed()
            raise
        finally:
            replica.load -= 1
        replica.answered()
        return reply

    async def _any_well(self) -> bool:
        async def well(replica: Replica) -> bool:
            try:
                page = await get(self.http, self.dialect.health(replica.url), HEALTH_SECONDS)
            except (Transient, RunError):
                return False
            return page.status < 500  # a proxy may not show the page, and is there

        return any(await asyncio.gather(*map(well, self.replicas)))

    async def comes_back(self, until: float) -> bool:
        """Wait for any server until a moment of the clock; all requests wait together."""
        async with self.asking_around:
            while not (well := await self._any_well()) and time.monotonic() < until:
                await asyncio.sleep(PROBE_SECONDS)
        if well:
            for replica in self.replicas:
                replica.answered()
        return well

    def gone(self, error: Transient) -> str:
        """The sentence for a model that no server answers for."""
        if error.busy:
            return f"{self.name} has been too busy for {self.spec.patience:.0f} s: {error}"
        if error.status:
            return f"{self.where} fails at what {self.name} is asked ({error}); look at its log, then run the same command again"
        waited = f", also not in {self.spec.patience:.0f} s more" if self.spec.patience else ""
        return f"no server answers for {self.name} ({error}){waited}; start it and run the same command again"

    async def load(self) -> concurrency.ServerLoad | None:
        """What the servers are doing, together; None where none tells."""
        loads = [load for load in await asyncio.gather(*map(self._load, self.replicas)) if load]
        return (
            concurrency.ServerLoad(sum(each.running for each in loads), sum(each.waiting for each in loads))
            if loads
            else None
        )

    async def _load(self, replica: Replica) -> concurrency.ServerLoad | None:
        try:
            page = await get(self.http, self.dialect.beside(replica.url, "metrics"), HEALTH_SECONDS)
        except (Transient, RunError):
            return None
        return concurrency.read_load(page.data.decode("utf-8", "replace")) if page.status == 200 else None

    async def _meet(self) -> None:
        """Ask every server for its models: whether it is there, has ours, and which dialect it speaks."""
        lists = [await met(self.http, replica, self.spec) for replica in self.replicas]
        before, self.dialect = self.dialect, shown(self.spec, self.dialect, lists)
        if self.dialect.headers("") != before.headers(""):
            await self.http.close()
            self.http = self._opened()
        for replica, listed in zip(self.replicas, lists, strict=True):
            self._recognise(replica, listed)
        # vLLM leaves out what gpt-oss is to go on from, and what it thinks anew is no answer.
        self.closes = not any(listed.harmony for listed in lists)
        self.length = min((listed.length for listed in lists if listed.length), default=0)

    def _recognise(self, replica: Replica, listed: Listing) -> None:
        if not self.name and len(listed.names) == 1:
            self.name = listed.names[0]
        names = ", ".join(listed.names[:20])
        if not self.name and listed.refusal:
            raise UserError(listed.refusal)
        if not self.name:
            raise UserError(f"{replica.title} has {len(listed.names)} models ({names}); name one: {replica.title}#NAME")
        if not listed.has(self.name):
            raise UserError(f'{replica.title} has no model "{self.name}"; it has: {names}')
