"""Models that are up, as one OpenAI-compatible server on this machine's loopback: for programs of others, which ask by HTTP.

A program asks under a role's name, with a key that lives as long as the server. Its requests then go the way of all others: in the
role's form and sampling, through the model's slots and retries, out of the run's purse; so whatever a recipe may name can be
asked, a script or transformers in this process as well as a server, and the keys of servers stay in this process.
"""

import asyncio
import hashlib
import hmac
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from aiohttp import web

from cai.errors import RowError
from cai.flow.ask import Ask
from cai.models import chat_body
from cai.models.chat_body import UnfitBody
from cai.models.types import Request

LOOPBACK = "127.0.0.1"
LARGEST = 64 * 2**20
"""Bytes of a request."""
GRACE_SECONDS = 1.0
CODES = {"context_too_long": "context_length_exceeded", "content_filter": "content_filter"}
"""Why a row is left out → OpenAI's word, which programs know."""


@dataclass(slots=True)
class Gateway:
    """The server.

    Attributes:
        asks: role → the way to its model.
        most: tokens of an answer for which a program gives no limit.
        on_reply: told the tokens (in, cached, out) of each answer.
        url: where it is asked, ending in ``/v1``.
        key: with which.
        tokens: of all answers since it was last looked at: in, cached, out.
        asked: how many were answered, by the name under which they were asked.
        refused: why requests were not answered → how many.
        error: what no request would be answered after, such as a budget that is spent.
    """

    asks: Mapping[str, Ask]
    most: int
    on_reply: Callable[[Sequence[int]], None] = lambda tokens: None
    url: str = ""
    key: str = field(default_factory=secrets.token_urlsafe)
    tokens: list[int] = field(default_factory=lambda: [0, 0, 0])
    refused: Counter[str] = field(default_factory=Counter)
    asked: Counter[str] = field(default_factory=Counter)
    error: Exception | None = None

    async def chat(self, request: web.Request) -> web.Response:
        """``POST /v1/chat/completions``."""
        if not self._admits(request):
            return _refusal(401, "the key is not this server's", "invalid_api_key")
        try:
            name, asked = self._read(await request.json())
        except (ValueError, LookupError, RecursionError) as error:  # no JSON, in no known encoding, or without end
            self.refused["unfit_request"] += 1
            return _refusal(400, str(error), "unfit_request")
        try:
            return await self._answer(name, asked)
        except RowError as error:
            self.refused[error.reason] += 1
            return _refusal(400, str(error), CODES.get(error.reason, error.reason))
        except Exception as error:  # to a server's own error a program would come back for ever
            self.error = self.error or error
            return _refusal(403, str(error), "run_stopped")

    async def models(self, request: web.Request) -> web.Response:
        """``GET /v1/models``."""
        data = [{"id": role, "object": "model", "owned_by": "cai", "created": 0} for role in self.asks]
        return web.json_response({"object": "list", "data": data})

    def _admits(self, request: web.Request) -> bool:
        given = request.headers.get("Authorization", "").encode(errors="replace")
        return hmac.compare_digest(given, f"Bearer {self.key}".encode())

    def _read(self, body: Any) -> tuple[str, Request]:
        """The name under which a model is asked, and what; raises ValueError where that cannot be."""
        if not isinstance(body, dict) or body.get("model") not in list(self.asks):
            raise UnfitBody(f"there is no model of this name; there are: {', '.join(self.asks)}")
        return body["model"], chat_body.read(body, self.most, self.asks[body["model"]].model.format)

    async def _answer(self, name: str, asked: Request) -> web.Response:
        row = hashlib.sha256(f"{asked.messages}{asked.prompt}".encode("utf-8", "surrogatepass")).hexdigest()[:16]
        ask = replace(self.asks[name], row_id=row, tokens=[0, 0, 0], counts=Counter(), on_reply=self._count)
        reply = await ask(asked)
        self.asked[name] += 1
        return web.json_response(chat_body.write(reply, name, self.asked.total()))

    def _count(self, tokens: Sequence[int]) -> None:
        self.tokens = [was + more for was, more in zip(self.tokens, tokens, strict=True)]
        self.on_reply(tokens)


@asynccontextmanager
async def serve(gateway: Gateway) -> AsyncIterator[Gateway]:
    """The server, on a free port, until the block is left; what is being answered then is cut off."""
    app = web.Application(client_max_size=LARGEST)
    app.add_routes([web.post("/v1/chat/completions", gateway.chat), web.get("/v1/models", gateway.models)])
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=GRACE_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0).start()
        gateway.url = f"http://{LOOPBACK}:{runner.addresses[0][1]}/v1"
        yield gateway
    finally:
        await asyncio.shield(runner.cleanup())


def _refusal(status: int, text: str, code: str) -> web.Response:
    return web.json_response(chat_body.refusal(text, code), status=status)
