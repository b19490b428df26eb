"""OpenAI's batch API, which others have taken over: a file of requests is uploaded, and a batch made of it.

Its answers are files again, one of the requests that were answered and one of the others.
"""

import itertools
import json
from collections.abc import Callable, Mapping
from pathlib import Path

from cai.models.batch_api import Batch, Pages, Server
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

    def line(self, key: str, path: str, body: Mapping[str, object]) -> bytes:
        """See ``BatchApi.line``."""
        request = {"custom_id": key, "method": "POST", "url": f"/v1/{path}", "body": body}
        return json.dumps(request, ensure_ascii=False).encode() + b"\n"

    async def hand_in(self, lines: bytes, path: str, note: Callable[[str], None]) -> str:
        """See ``BatchApi.hand_in``."""
        url, form = self.pages.url("files"), {"purpose": "batch"}
        file = await self.pages.result(lambda: self.pages.id(upload(self.server.http, url, lines, form)))
        note(file)
        batch = {"input_file_id": file, "endpoint": f"/v1/{path}", "completion_window": "24h"}
        tries = itertools.count()

        async def begin() -> str:
            # After a try that failed it may be there all the same.
            name = await self._of(file) if next(tries) else ""
            return name or await self.pages.id(post(self.server.http, self.pages.url("batches"), batch))

        return await self.pages.result(begin)

    async def find(self, note: str) -> str:
        """See ``BatchApi.find``."""
        return await self.pages.result(lambda: self._of(note))

    async def look(self, batch: str) -> Batch:
        """See ``BatchApi.look``."""
        status, fields = await self.pages.look(f"batches/{batch}", "status")
        files = (fields.get(key) for key in ("output_file_id", "error_file_id"))
        errors = fields.get("errors")
        words = fields.get("words") or words_of(errors.get("data") if isinstance(errors, dict) else None)
        return Batch(status, tuple(str(each) for each in files if each), str(words))

    async def fetch(self, file: str, to: Path) -> None:
        """See ``BatchApi.fetch``."""
        await self.pages.fetch(f"files/{file}/content", to)

    def answer(self, line: Mapping[str, object]) -> tuple[str, object]:
        """See ``BatchApi.answer``."""
        response, key = line.get("response"), str(line.get("custom_id"))
        if not isinstance(response, dict) or response.get("status_code") != 200 or line.get("error"):
            return key, None
        return key, response.get("body")

    async def _of(self, file: str) -> str:
        """The batch that was made of a file; empty where none was."""
        batches = (await self.pages.get("batches", limit=LOOKED_THROUGH)).get("data")
        rows = [each for each in batches if isinstance(each, dict)] if isinstance(batches, list) else []
        return next((str(each["id"]) for each in rows if each.get("input_file_id") == file and each.get("id")), "")
