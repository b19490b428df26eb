"""Anthropic's message batches: requests are handed in as they are, and the answers are one file.

Nothing that we say of a batch is shown with it, so that one whose id was not heard cannot be found again: where it may be there
all the same, the run stops and says so.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

from cai.errors import RunError
from cai.models.batch_api import CANCELLED, Batch, BatchUnknown, Pages, Server
from cai.models.refusals import Refused
from cai.models.retries import Transient
from cai.models.transport import post
from constitution.wording import count

PAGE = "messages/batches"
UNHEARD = "handed in"


class MessageBatches:
    """See ``BatchApi``."""

    most_requests, most_bytes = 100_000, 240_000_000

    def __init__(self, server: Server) -> None:
        self.server, self.pages = server, Pages(server)

    async def check(self) -> None:
        """See ``BatchApi.check``."""
        await self.pages.check(PAGE)

    def line(self, key: str, path: str, body: Mapping[str, object]) -> bytes:
        """See ``BatchApi.line``."""
        return json.dumps({"custom_id": key, "params": body}, ensure_ascii=False).encode() + b"\n"

    async def hand_in(self, lines: bytes, path: str, note: Callable[[str], None]) -> str:
        """See ``BatchApi.hand_in``; RunError where it is not known whether the batch was made."""
        batch = {"requests": [json.loads(line) for line in lines.splitlines()]}

        async def begin() -> str:
            note(UNHEARD)
            try:
                return await self.pages.id(post(self.server.http, self.pages.url(PAGE), batch))
            except (Transient, Refused) as error:
                note("")  # what became of it is known, or said
                if isinstance(error, Refused) or error.busy:
                    raise  # it has none
                there = count(len(batch["requests"]), "request")
                raise RunError(
                    f"it is not known whether {self.pages.replica.title} has a batch of {there} of "
                    f"{self.server.name} ({error}); look in its console, cancel one that is there, and run the same command again"
                ) from None

        return await self.pages.result(begin)

    async def find(self, note: str) -> str:
        """See ``BatchApi.find``: it cannot be told."""
        raise BatchUnknown(
            f"{self.pages.replica.title} was handed a batch of {self.server.name} just as the run was stopped, and shows no way to "
            "find it again; look in its console, and cancel one that is there"
        )

    async def look(self, batch: str) -> Batch:
        """See ``BatchApi.look``."""
        status, fields = await self.pages.look(f"{PAGE}/{batch}", "processing_status")
        if status != "ended":
            return Batch(status, words=str(fields.get("words", "")))
        counts = fields.get("request_counts")
        counts = counts if isinstance(counts, dict) else {}
        end = CANCELLED if counts.get("canceled") else "expired" if counts.get("expired") else "completed"
        return Batch(end, (batch,))

    async def fetch(self, file: str, to: Path) -> None:
        """See ``BatchApi.fetch``."""
        await self.pages.fetch(f"{PAGE}/{file}/results", to)

    def answer(self, line: Mapping[str, object]) -> tuple[str, object]:
        """See ``BatchApi.answer``."""
        result, key = line.get("result"), str(line.get("custom_id"))
        if not isinstance(result, dict) or result.get("type") != "succeeded":
            return key, None
        return key, result.get("message")
