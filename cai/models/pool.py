"""The servers of one model: met, chosen among, asked, and waited for while none of them is there.

A row stays on one server, whose cache has its beginning, while that is well; one that fails thrice is left alone for a while,
then tried with one request.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Collection
from typing import Self

import aiohttp

from cai.errors import RunError, UserError
from cai.models.concurrency import ServerLoad, read_load
from cai.models.dialects import dialect_of_lists, dialect_of_urls
from cai.models.headers import headers, secrets
from cai.models.listing import Listing, list_models
from cai.models.refusals import refusal
from cai.models.replica import Replica
from cai.models.replies import Unreadable, failure
from cai.models.retries import Transient
from cai.models.spec import ModelSpec
from cai.models.transport import get, post, to_json
from cai.models.types import Reply, Request

PROBE_SECONDS = 2.0
HEALTH_SECONDS = 10.0
HOMES = 100_000


class Pool:
    """One model on one or more servers; use as ``async with``.

    Attributes:
        name: the model's, for the rows.
        wire_name: under which the servers know it, where that is another.
        length: tokens that they take of prompt and answer together, as far as they say; 0 where they do not.
        closes: whether a thought that is cut off can be closed, and its answer asked for.

    Raises:
        UserError: on entering: no server answers, or none has the model.
    """

    def __init__(self, urls: tuple[str, ...], model: str, spec: ModelSpec) -> None:
        self.dialect = dialect_of_urls(spec, urls)
        self.replicas = [Replica(self.dialect.base(url)) for url in urls]
        self.spec, self.name, self.wire_name, self.length, self.closes = spec, model, "", 0, True
        self.homes: OrderedDict[str, Replica] = OrderedDict()
        self.turn = asyncio.Lock()
        """Of looking for servers that are back: all requests wait for one look."""

    @property
    def where(self) -> str:
        """The server, or the first of several, as people are shown it."""
        return self.replicas[0].title

    async def __aenter__(self) -> Self:
        self.http = self._session()
        try:
            await self._meet()
        except BaseException:
            await self.http.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    def _session(self) -> aiohttp.ClientSession:
        """One connection for each request in flight: a pool smaller than that would be a second, hidden limit."""
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self.spec.timeout),
            headers=headers(self.spec, self.dialect),
            json_serialize=to_json,
        )

    def once(self, request: Request, server: Replica | None = None) -> Awaitable[Reply]:
        """One try, of no row, at any server unless told; raises Refused or Transient."""
        return self._post(server, request) if server else self.attempt(request, "", set())

    def attempt(self, request: Request, row_id: str, failed: set[Replica]) -> Awaitable[Reply]:
        """One try of a row, at a server that has not failed it, which is added to those; raises as ``once``."""
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
        least = min(fresh, key=lambda replica: (replica.load, replica.requests))
        self.homes[row_id] = least
        if len(self.homes) > HOMES:
            self.homes.popitem(last=False)
        return least

    async def _post(self, replica: Replica, request: Request) -> Reply:
        path, body = self.dialect.body(self.wire_name or self.name, request)
        replica.load += 1
        replica.requests += 1
        try:
            page = await post(self.http, self.dialect.at(replica.url, path), body)
            answer = page.json() if page.status == 200 else None
            wrong = failure(answer) if page.status == 200 else page
            if wrong:
                texts = (*(each["content"] for each in request.messages), request.prompt, *secrets(self.spec))
                raise refusal(wrong, texts, replica)
            reply = self.dialect.reply(answer, request)
        except (Unreadable, ValueError, RecursionError) as error:
            replica.note_failure()
            what = str(error) if isinstance(error, Unreadable) else "an answer that is not JSON"
            raise Transient(what, status=500, place=replica.title) from error
        except Transient as error:
            if not error.busy:
                replica.note_failure()
            raise
        finally:
            replica.load -= 1
        replica.note_answer()
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
        async with self.turn:
            while not (well := await self._any_well()) and time.monotonic() < until:
                await asyncio.sleep(PROBE_SECONDS)
        if well:
            for replica in self.replicas:
                replica.note_answer()
        return well

    async def load(self) -> ServerLoad | None:
        """What the servers are doing, together; None where none tells."""
        loads = [load for load in await asyncio.gather(*map(self._load, self.replicas)) if load]
        return ServerLoad(sum(each.running for each in loads), sum(each.waiting for each in loads)) if loads else None

    async def _load(self, replica: Replica) -> ServerLoad | None:
        try:
            page = await get(self.http, self.dialect.root_page(replica.url, "metrics"), HEALTH_SECONDS)
        except (Transient, RunError):
            return None
        return read_load(page.data.decode("utf-8", "replace")) if page.status == 200 else None

    async def _meet(self) -> None:
        """Ask every server for its models: whether it is there, has ours, and which dialect it speaks."""
        lists = [await list_models(self.http, replica, self.spec) for replica in self.replicas]
        before, self.dialect = self.dialect, dialect_of_lists(self.spec, self.dialect, lists)
        if self.dialect.headers("") != before.headers(""):
            await self.http.close()
            self.http = self._session()
        for replica, listing in zip(self.replicas, lists, strict=True):
            self._recognise(replica, listing)
        # vLLM leaves out what gpt-oss is to go on from, and what it thinks anew is no answer.
        self.closes = not any(each.harmony for each in lists)
        self.length = min((each.length for each in lists if each.length), default=0)

    def _recognise(self, replica: Replica, listing: Listing) -> None:
        if not self.name and len(listing.names) == 1:
            self.name = listing.names[0]
        names = ", ".join(listing.names[:20])
        if not self.name and listing.refusal:
            raise UserError(listing.refusal)
        if not self.name:
            raise UserError(
                f"{replica.title} has {len(listing.names)} models ({names}); name one: {replica.title}#NAME"
            )
        if not listing.has(self.name):
            raise UserError(f'{replica.title} has no model "{self.name}"; it has: {names}')
