"""Servers' batch APIs: many requests are handed in together, and answered within a day for less money."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import aiohttp

from cai.errors import RunError, UserError
from cai.models.dialect import OpenAI
from cai.models.refusals import Refused, refusal
from cai.models.replica import Replica
from cai.models.retries import Transient
from cai.models.spec import ModelSpec
from cai.models.transport import Page, download, get

T = TypeVar("T")
PAGE_SECONDS = 60.0
WAIT_SECONDS = 5.0
"""Before what failed for a moment is tried again."""
CANCELLED, FAILED, GONE = "cancelled", "failed", "gone"
ENDS = ("completed", "expired", CANCELLED, FAILED, GONE)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was looked at.

    Attributes:
        status: one of ``ENDS``, of which the last is said of one that the server does not know; of its own until it has ended.
        files: those that hold what became of its requests.
        words: what the server says was wrong with it.
    """

    status: str
    files: tuple[str, ...] = ()
    words: str = ""


class BatchUnknown(RunError):
    """It cannot be told whether a batch was made."""


class BatchApi(Protocol):
    """What a batch door needs of a server.

    Attributes:
        most_requests, most_bytes: of one batch.
    """

    most_requests: int
    most_bytes: int

    async def check(self) -> None:
        """Raises UserError where the server has no such API."""
        ...

    def line(self, key: str, path: str, body: Mapping[str, object]) -> bytes:
        """One request as a line, known by its key."""
        ...

    async def hand_in(self, lines: bytes, path: str, note: Callable[[str], None]) -> str:
        """Make a batch of requests, all for one path; returns its id.

        Args:
            note: told, before the batch is made, by what it is found again if its id is not heard; empty once none was made.
        """
        ...

    async def find(self, note: str) -> str:
        """The id of the batch of which this was noted; empty where none was made. Raises BatchUnknown where that cannot be told."""
        ...

    async def look(self, batch: str) -> Batch:
        """How far it is."""
        ...

    async def fetch(self, file: str, to: Path) -> None:
        """Bring one of its files."""
        ...

    def answer(self, line: Mapping[str, object]) -> tuple[str, object]:
        """The key of a line of such a file, and the body of the answer; None where there was none."""
        ...


class Server(Protocol):
    """The server whose batches these are, as far as they go."""

    spec: ModelSpec
    name: str
    dialect: OpenAI
    replicas: list[Replica]
    http: aiohttp.ClientSession


class Pages:
    """A server's pages as a batch needs them: asked again for as long as its role is patient."""

    def __init__(self, server: Server) -> None:
        self.server, self.replica = server, server.replicas[0]

    async def check(self, page: str) -> None:
        """Make sure that a list of batches is there.

        Raises:
            UserError: it is not.
            RunError: the server does not answer.
        """
        try:
            await self.patiently(lambda: self.get(page, limit=1))
        except Refused as refused:
            hint = refused.advice() if refused.status in (401, 402, 403) else "take `batch` out, or name another server"
            raise UserError(
                f"models.{self.server.spec.role}.batch: {self.replica.title} shows no batches ({refused}); {hint}"
            ) from None

    def url(self, page: str) -> str:
        """Where a page is."""
        return self.server.dialect.at(self.replica.url, page)

    async def get(self, page: str, **query: int) -> dict[str, object]:
        """A page's object; raises Refused or Transient."""
        url, more = self.url(page), "&".join(f"{key}={value}" for key, value in query.items())
        whole = f"{url}{'&' if '?' in url else '?'}{more}" if more else url
        return await self.fields(get(self.server.http, whole, PAGE_SECONDS))

    async def fields(self, request: Awaitable[Page]) -> dict[str, object]:
        """As ``get``, of a page that was asked for otherwise."""
        page = await request
        if not 200 <= page.status < 300:
            raise refusal(page, (), self.replica)
        with suppress(ValueError, RecursionError):
            if isinstance(data := page.json(), dict):
                return data
        raise self.unreadable("a page that is no JSON object")

    async def id(self, request: Awaitable[Page]) -> str:
        """The id of what a request made; raises Refused or Transient."""
        name = (await self.fields(request)).get("id")
        if isinstance(name, str) and name:
            return name
        raise self.unreadable("a page without an id")

    def unreadable(self, words: str) -> Transient:
        """What is raised of a page that is not as it should be."""
        return Transient(words, status=500, place=self.replica.title)

    async def look(self, page: str, key: str) -> tuple[str, Mapping[str, object]]:
        """How far a batch is, as it says under a key, and the batch; ``GONE`` with its words where the server does not know it."""

        async def attempt() -> tuple[str, Mapping[str, object]]:
            try:
                batch = await self.get(page)
            except Refused as refused:
                if refused.status not in (404, 410):
                    raise
                return GONE, {"words": str(refused)}
            if not isinstance(status := batch.get(key), str):
                raise self.unreadable("a batch without a status")
            return status or GONE, batch

        return await self.result(attempt)

    async def fetch(self, page: str, to: Path) -> None:
        """Bring a file of any size."""

        async def attempt() -> None:
            answer = await download(self.server.http, self.url(page), to)
            if answer.status != 200:
                raise refusal(answer, (), self.replica)

        await self.result(attempt)

    async def patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What an attempt gives, the first that does not fail for a moment.

        Raises:
            Refused: it was refused.
            RunError: it fails for longer than our patience.
        """
        until = time.monotonic() + self.server.spec.patience
        while True:
            try:
                return await attempt()
            except Transient as error:
                if time.monotonic() > until:
                    raise RunError(
                        f"{self.replica.title} does not answer for a batch of {self.server.name} ({error}); run the same command "
                        "again, which goes on with the batches that are there"
                    ) from None
                await asyncio.sleep(WAIT_SECONDS if error.after is None else error.after)

    async def result(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """As ``patiently``; what is refused is everyone's, a RunError."""
        try:
            return await self.patiently(attempt)
        except Refused as refused:
            raise RunError(
                f"{self.replica.title} refuses a batch of {self.server.name} ({refused}); {refused.advice()}"
            ) from None
