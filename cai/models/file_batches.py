"""OpenAI's batch API, which others have taken over: a file of requests is uploaded, and a batch made of it.

Its answers are files again, one of the requests that were answered and one of the others.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from cai.models.batch_api import GONE, Batch, Pages, Server
from cai.models.replies import words_of
from cai.models.transport import post, upload

LOOKED_THROUGH = 100
"""Batches, the newest, among which one is looked for of which the id was not heard."""


class FileBatches:
    """See ``BatchApi``."""

    most_requests, most_bytes = 50_000, 190_000_000

    def __init__(self, server: Server) -> None:
        self.server, self.pages = server, Pages(server)

    async def check(self) -> None:
        """See ``BatchApi.check``."""
        await self.pages.check("batches")

    def line(self, key: str, path: str, body: Mapping[str, Any]) -> bytes:
        """See ``BatchApi.line``."""
        asked = {"custom_id": key, "method": "POST", "url": f"/v1/{path}", "body": body}
        return json.dumps(asked, ensure_ascii=False).encode() + b"\n"

    async def hand_in(self, lines: bytes, path: str, note: Callable[[str], None]) -> str:
        """See ``BatchApi.hand_in``."""
        url, form = self.pages.url("files"), {"purpose": "batch"}
        file = await self.pages.said(lambda: self.pages.id(upload(self.server.http, url, lines, form)))
        note(file)
        wanted = {"input_file_id": file, "endpoint": f"/v1/{path}", "completion_window": "24h"}
        tries = itertools.count()

        async def begin() -> str:
            # After a try that failed it may be there all the same.
            there = await self._of(file) if next(tries) else ""
            return there or await self.pages.id(post(self.server.http, self.pages.url("batches"), wanted))

        return await self.pages.said(begin)

    async def found(self, note: str) -> str:
        """See ``BatchApi.found``."""
        return await self.pages.said(lambda: self._of(note))

    async def look(self, batch: str) -> Batch:
        """See ``BatchApi.look``."""
        there = await self.pages.look(f"batches/{batch}", "status")
        files = (there.get(key) for key in ("output_file_id", "error_file_id"))
        errors = there.get("errors")
        words = there.get("words") or words_of(errors.get("data") if isinstance(errors, dict) else None)
        return Batch(there["status"] or GONE, tuple(str(each) for each in files if each), words)

    async def fetch(self, file: str, to: Path) -> None:
        """See ``BatchApi.fetch``."""
        await self.pages.fetch(f"files/{file}/content", to)

    def answer(self, line: Mapping[str, Any]) -> tuple[str, Any]:
        """See ``BatchApi.answer``."""
        response, key = line.get("response"), str(line.get("custom_id"))
        if not isinstance(response, dict) or response.get("status_code") != 200 or line.get("error"):
            return key, None
        return key, response.get("body")

    async def _of(self, file: str) -> str:
        """The batch that was made of a file; empty where none was."""
        batches = (await self.pages.get("batches", limit=LOOKED_THROUGH)).get("data")
        known = [each for each in batches if isinstance(each, dict)] if isinstance(batches, list) else []
        return next((str(each["id"]) for each in known if each.get("input_file_id") == file and each.get("id")), "")
