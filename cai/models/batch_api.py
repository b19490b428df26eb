"""Servers' batch APIs: many requests are handed in together, and answered within a day for less money.

``FileBatches`` is OpenAI's, which others have taken over: a file of requests is uploaded, a batch is made of it, and its answers
are files again, one of those that were answered and one of the others.
"""

import asyncio
import itertools
import json
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import aiohttp

from cai.errors import RunError, UserError
from cai.models.dialect import OpenAI
from cai.models.refusals import Refused, refusal
from cai.models.replica import Replica
from cai.models.replies import words_of
from cai.models.retries import Transient
from cai.models.spec import ModelSpec
from cai.models.transport import Page, download, get, post, upload

T = TypeVar("T")
PAGE_SECONDS = 60.0
WAIT_SECONDS = 5.0
"""Before what failed for a moment is tried again."""
LOOKED_THROUGH = 100
"""Batches, the newest, among which one is looked for of which the id was not heard."""
CANCELLED = "cancelled"
ENDS = ("completed", "expired", CANCELLED, "failed")


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch that was looked at.

    Attributes:
        status: one of ``ENDS``, or of its own until it has ended.
        files: those that hold what became of its requests.
        words: what the server says was wrong with it.
    """

    status: str
    files: tuple[str, ...] = ()
    words: str = ""


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

    def line(self, key: str, path: str, body: Mapping[str, Any]) -> bytes:
        """One request as a line, known by its key."""
        ...

    async def hand_in(self, lines: bytes, path: str, note: Callable[[str], None]) -> str:
        """Make a batch of requests, all for one path; returns its id.

        Args:
            note: told, before the batch is made, by what it is found again if its id is not heard; empty where by nothing.
        """
        ...

    async def found(self, note: str) -> str:
        """The id of the batch of which this was noted; empty where none was made."""
        ...

    async def look(self, batch: str) -> Batch:
        """How far it is."""
        ...

    async def fetch(self, file: str, to: Path) -> None:
        """Bring one of its files."""
        ...

    def answer(self, line: Mapping[str, Any]) -> tuple[str, Any]:
        """The key of a line of such a file, and the body of the answer; None where there was none."""
        ...


class Server(Protocol):
    """The server whose batches these are, as far as they go."""

    spec: ModelSpec
    name: str
    dialect: OpenAI
    replicas: list[Replica]
    http: aiohttp.ClientSession


class FileBatches:
    """OpenAI's batches. All methods raise RunError where the server refuses, or is away for longer than our patience."""

    most_requests, most_bytes = 50_000, 190_000_000

    def __init__(self, server: Server) -> None:
        self.server, self.replica = server, server.replicas[0]

    async def check(self) -> None:
        """See ``BatchApi.check``."""
        try:
            await self._patiently(lambda: self._get("batches", limit=1))
        except Refused as refused:
            hint = refused.advice() if refused.status in (401, 402, 403) else "take `batch` out, or name another server"
            raise UserError(
                f"models.{self.server.spec.role}.batch: {self.replica.title} shows no batches ({refused}); {hint}"
            ) from None

    def line(self, key: str, path: str, body: Mapping[str, Any]) -> bytes:
        """See ``BatchApi.line``."""
        asked = {"custom_id": key, "method": "POST", "url": f"/v1/{path}", "body": body}
        return json.dumps(asked, ensure_ascii=False).encode() + b"\n"

    async def hand_in(self, lines: bytes, path: str, note: Callable[[str], None]) -> str:
        """See ``BatchApi.hand_in``."""
        url, form = self._url("files"), {"purpose": "batch"}
        file = await self._said(lambda: self._id(upload(self.server.http, url, lines, form)))
        note(file)
        wanted = {"input_file_id": file, "endpoint": f"/v1/{path}", "completion_window": "24h"}
        tries = itertools.count()

        async def begin() -> str:
            # After a try that failed it may be there all the same.
            there = await self._of(file) if next(tries) else ""
            return there or await self._id(post(self.server.http, self._url("batches"), wanted))

        return await self._said(begin)

    async def found(self, note: str) -> str:
        """See ``BatchApi.found``."""
        return await self._said(lambda: self._of(note))

    async def look(self, batch: str) -> Batch:
        """See ``BatchApi.look``."""
        there = await self._said(lambda: self._get(f"batches/{batch}"))
        files = (there.get(key) for key in ("output_file_id", "error_file_id"))
        errors = there.get("errors")
        words = words_of(errors.get("data")) if isinstance(errors, dict) else ""
        return Batch(str(there.get("status")), tuple(str(each) for each in files if each), words)

    async def fetch(self, file: str, to: Path) -> None:
        """See ``BatchApi.fetch``."""
        url = self._url(f"files/{file}/content")

        async def brought() -> None:
            page = await download(self.server.http, url, to)
            if page.status != 200:
                raise refusal(page, (), self.replica)

        await self._said(brought)

    def answer(self, line: Mapping[str, Any]) -> tuple[str, Any]:
        """See ``BatchApi.answer``."""
        response, key = line.get("response"), str(line.get("custom_id"))
        if not isinstance(response, dict) or response.get("status_code") != 200 or line.get("error"):
            return key, None
        return key, response.get("body")

    def _url(self, page: str) -> str:
        return self.server.dialect.at(self.replica.url, page)

    async def _get(self, page: str, **query: int) -> dict[str, Any]:
        url = self._url(page)
        more = "&".join(f"{key}={value}" for key, value in query.items())
        return await self._object(
            get(self.server.http, f"{url}{'&' if '?' in url else '?'}{more}" if more else url, PAGE_SECONDS)
        )

    async def _object(self, page: Awaitable[Page]) -> dict[str, Any]:
        """A page's object; raises Refused or Transient."""
        got = await page
        if not 200 <= got.status < 300:
            raise refusal(got, (), self.replica)
        with suppress(ValueError, RecursionError):
            if isinstance(data := got.json(), dict):
                return data
        raise Transient("a page that is no JSON object", status=500, place=self.replica.title)

    async def _id(self, page: Awaitable[Page]) -> str:
        there = (await self._object(page)).get("id")
        if isinstance(there, str) and there:
            return there
        raise Transient("a page without an id", status=500, place=self.replica.title)

    async def _of(self, file: str) -> str:
        """The batch that was made of a file; empty where none was."""
        batches = (await self._get("batches", limit=LOOKED_THROUGH)).get("data")
        known = [each for each in batches if isinstance(each, dict)] if isinstance(batches, list) else []
        return next((str(each["id"]) for each in known if each.get("input_file_id") == file and each.get("id")), "")

    async def _patiently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What an attempt gives, the first that does not fail for a moment; raises Refused."""
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

    async def _said(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """As ``_patiently``; what is refused is everyone's."""
        try:
            return await self._patiently(attempt)
        except Refused as refused:
            raise RunError(
                f"{self.replica.title} refuses a batch of {self.server.name} ({refused}); {refused.advice()}"
            ) from None
