"""OpenAI-compatible servers: several replicas of one model behind one ``ask``.

Errors fall in three kinds. *Transient* (connection, timeout, 429, 5xx) is tried again, elsewhere where there is an
elsewhere, with back-off and honouring Retry-After; a replica that fails thrice is left alone for a while, then tried with
one request. *The row's* (context too long, refused) drops the row. *Everyone's*
(key, unknown model) stops the run.
"""

import asyncio
import os
import time
from collections import OrderedDict
from collections.abc import Awaitable, Collection
from functools import partial
from typing import Any, Self

import aiohttp

from cai.errors import RowError, RunError, UserError
from cai.models import concurrency
from cai.models.dialect import OpenAI, Scores, Vllm
from cai.models.retries import Transient, again, retry_after
from cai.models.types import ModelSpec, Reply, Request

FAILURES_BEFORE_REST = 3
REST_SECONDS = 5.0
LONGEST_REST = 60.0
PROBE_SECONDS = 2.0
HOMES = 100_000


class Replica:
    """One server: its URL, what it has to do and how it has been doing."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.load = self.asked = self.failures = 0
        self.rests_until = 0.0

    def well(self) -> bool:
        """Whether it may be asked; after a rest, by one request that shows whether it is well again."""
        if self.failures < FAILURES_BEFORE_REST:
            return True
        return time.monotonic() >= self.rests_until and not self.load

    def failed(self) -> None:
        self.failures += 1
        rests = self.failures - FAILURES_BEFORE_REST
        if rests >= 0:
            self.rests_until = time.monotonic() + min(REST_SECONDS * 2**rests, LONGEST_REST)

    def answered(self) -> None:
        self.failures, self.rests_until = 0, 0.0


class Endpoint:
    """One model on one or more servers; use as ``async with``.

    Attributes:
        name: the model's, for the rows.
        wire_name: under which the servers know it, where that is another.

    Raises:
        UserError: on entering: no server answers, or none has the model.
    """

    def __init__(self, urls: tuple[str, ...], model: str, spec: ModelSpec) -> None:
        self.replicas = [Replica(url) for url in urls]
        self.name = model
        self.wire_name = ""
        self.format = spec.format
        # "auto" follows a server's own figures, where it has some.
        self.concurrency = spec.concurrency or concurrency.START * len(urls)
        self.most = spec.concurrency or concurrency.MOST * len(urls)
        self.spec = spec
        self.dialect: OpenAI = Scores() if spec.scorer else OpenAI()
        self.homes: OrderedDict[str, Replica] = OrderedDict()
        self.asking_around = asyncio.Lock()

    async def __aenter__(self) -> Self:
        headers = {}
        if self.spec.api_key_env:
            key = os.environ.get(self.spec.api_key_env)
            if not key:
                raise UserError(f"models.{self.spec.role}.api_key_env: {self.spec.api_key_env} is not set; export it")
            headers["Authorization"] = f"Bearer {key}"
        # One connection for each request in flight: a pool smaller than that would be a second, hidden limit.
        self.http = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0),
            timeout=aiohttp.ClientTimeout(total=self.spec.timeout),
            headers=headers,
        )
        try:
            await self._meet()
        except BaseException:
            await self.http.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.http.close()

    @property
    def continues(self) -> bool:
        """vLLM's chat does, and so does every server that is sent a transcript."""
        return isinstance(self.dialect, Vllm) or self.format == "transcript"

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``; what fails is asked elsewhere, and while no server is there, for ``patience`` seconds more."""
        while True:
            try:
                return await self._try(request, row_id)
            except Transient as error:
                if error.busy:
                    raise RunError(f"{self.name} has been too busy for {self.spec.patience:.0f} s: {error}") from None
                if await self._any_well():
                    raise RowError("server_error", str(error)) from None
                if not await self._comes_back():
                    raise RunError(self._gone(error)) from None

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
            async with self.http.post(self.dialect.at(replica.url, path), json=body) as response:
                if response.status != 200:
                    await self._refused(response)
                answer = await response.json()
        except (TimeoutError, aiohttp.ClientError, ValueError, RecursionError) as error:
            replica.failed()
            raise Transient(f"{replica.url}: {type(error).__name__} {error}".strip()) from error
        except Transient as error:
            if not error.busy:
                replica.failed()
            raise
        finally:
            replica.load -= 1
        replica.answered()
        try:
            return self.dialect.reply(answer, request)
        except (KeyError, IndexError, TypeError) as error:
            raise Transient(f"{replica.url}: an answer without {error}") from error

    async def _refused(self, response: aiohttp.ClientResponse) -> None:
        text = (await response.text())[:500]
        match response.status:
            case 401 | 403:
                raise RunError(f"{response.url.origin()} refuses the key ({response.status}); set api_key_env")
            case 404:
                raise RunError(f"{response.url.origin()} does not know the model {self.name}: {text}")
            case 429:
                raise Transient(f"429 {text}", retry_after(response.headers.get("Retry-After")), busy=True)
            case status if status in (408, 409) or status >= 500:
                after = retry_after(response.headers.get("Retry-After"))
                # With a time to come back, a 503 is a server that is busy, such as one that still loads.
                raise Transient(f"{status} {text}", after, busy=status == 503 and after is not None)
        if "context length" in text or "context_length" in text or "too long" in text:
            raise RowError("context_too_long", text)
        raise RowError("refused_by_server", text)

    async def _any_well(self) -> bool:
        async def well(replica: Replica) -> bool:
            url = self.dialect.health(replica.url)
            try:
                async with self.http.get(url, timeout=aiohttp.ClientTimeout(total=10)) as response:
                    return response.status < 500  # a proxy may not show the page, and is there
            except (TimeoutError, aiohttp.ClientError):
                return False

        return any(await asyncio.gather(*map(well, self.replicas)))

    async def _comes_back(self) -> bool:
        """Wait for any server, for ``patience`` seconds; all requests wait together."""
        until = time.monotonic() + self.spec.patience
        async with self.asking_around:
            while not (well := await self._any_well()) and time.monotonic() < until:
                await asyncio.sleep(PROBE_SECONDS)
        if well:
            for replica in self.replicas:
                replica.answered()
        return well

    def _gone(self, error: Transient) -> str:
        """The sentence for a model without a server."""
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
        url = self.dialect.beside(replica.url, "metrics")
        try:
            async with self.http.get(url, timeout=aiohttp.ClientTimeout(total=10)) as response:
                return concurrency.read_load(await response.text()) if response.status == 200 else None
        except (TimeoutError, aiohttp.ClientError):
            return None

    async def _meet(self) -> None:
        """Ask every server for its models: whether it is there, has ours, and speaks vLLM's dialect."""
        for replica in self.replicas:
            until = time.monotonic() + self.spec.patience
            while (listed := await self._listed(replica)) is None:  # it is there, and still loads
                if time.monotonic() > until:
                    raise RunError(f"{replica.url} was still loading after {self.spec.patience:.0f} s; try again later")
                await asyncio.sleep(PROBE_SECONDS)
            self._recognise(replica, listed)

    async def _listed(self, replica: Replica) -> list[dict[str, Any]] | None:
        """A server's models; nothing where it does not list them, None while it says that it is not ready."""
        try:
            async with self.http.get(f"{replica.url}/models", timeout=aiohttp.ClientTimeout(total=30)) as response:
                if response.status in (401, 403):
                    raise UserError(f"{replica.url} refuses the key ({response.status}); set api_key_env")
                if response.status in (502, 503, 504):
                    return None
                return (await response.json(content_type=None))["data"] if response.status == 200 else []
        except (TimeoutError, aiohttp.ClientError, KeyError, TypeError, ValueError, RecursionError) as error:
            text = f"{replica.url} does not answer ({type(error).__name__}); check the URL or start the server"
            raise UserError(text) from None

    def _recognise(self, replica: Replica, listed: list[dict[str, Any]]) -> None:
        names = [each.get("id", "") for each in listed]
        if not self.name and len(names) == 1:
            self.name = names[0]
        if not self.name:
            raise UserError(f"{replica.url} has {len(names)} models ({', '.join(names)}); name one: {replica.url}#NAME")
        if names and self.name not in names:
            raise UserError(f'{replica.url} has no model "{self.name}"; it has: {", ".join(names)}')
        if not self.spec.scorer and any(each.get("owned_by") == "vllm" for each in listed):
            self.dialect = Vllm()
