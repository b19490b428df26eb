"""OpenAI-compatible servers: several replicas of one model behind one ``ask``.

Errors fall in three kinds. *Transient* (connection, timeout, 429, 5xx) is tried again, elsewhere where there is an
elsewhere, with back-off and honouring Retry-After. *The row's* (context too long, refused) drops the row. *Everyone's*
(key, unknown model) stops the run.
"""

import asyncio
import hashlib
import os
import time
from typing import Any, Self

import aiohttp
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from cai.errors import RowError, RunError, UserError
from cai.models import ModelSpec, Reply, Request
from cai.models.dialect import OpenAI, Vllm

TRIES = 6
REST_SECONDS = 10.0
FAILURES_BEFORE_REST = 3


class Transient(Exception):
    """Worth another try; ``after`` is the server's Retry-After in seconds."""

    def __init__(self, text: str, after: float | None = None) -> None:
        super().__init__(text)
        self.after = after


class Replica:
    """One server: its URL and how it has been doing."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.failures = 0
        self.rests_until = 0.0

    def well(self) -> bool:
        return time.monotonic() >= self.rests_until

    def failed(self) -> None:
        self.failures += 1
        if self.failures >= FAILURES_BEFORE_REST:
            self.rests_until = time.monotonic() + REST_SECONDS

    def answered(self) -> None:
        self.failures, self.rests_until = 0, 0.0


class Endpoint:
    """One model on one or more servers; use as ``async with``.

    Raises:
        UserError: on entering: no server answers, or none has the model.
    """

    def __init__(self, urls: tuple[str, ...], model: str, spec: ModelSpec) -> None:
        self.replicas = [Replica(url) for url in urls]
        self.name = model
        self.concurrency, self.format = spec.concurrency, spec.format
        self.spec = spec
        self.dialect: Vllm | OpenAI = OpenAI()

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

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``."""
        home = int.from_bytes(hashlib.blake2b(row_id.encode(), digest_size=4).digest(), "big")
        try:
            async for attempt in AsyncRetrying(
                retry=retry_if_exception_type(Transient),
                wait=_wait,
                stop=stop_after_attempt(TRIES),
                reraise=True,
            ):
                with attempt:
                    tried = attempt.retry_state.attempt_number - 1
                    return await self._post(self._choose(home + tried), request)
        except Transient as error:
            if await self._any_well():
                raise RowError("server_error", str(error)) from None
            raise RunError(
                f"no server answers for {self.name} ({error}); start it and run the same command again"
            ) from None
        raise AssertionError("unreachable")

    def _choose(self, number: int) -> Replica:
        well = [replica for replica in self.replicas if replica.well()] or self.replicas
        return well[number % len(well)]

    async def _post(self, replica: Replica, request: Request) -> Reply:
        path, body = self.dialect.body(self.name, request)
        try:
            async with self.http.post(f"{replica.url}/{path}", json=body) as response:
                if response.status != 200:
                    await self._refused(response)
                answer = await response.json()
        except (TimeoutError, aiohttp.ClientError, ValueError) as error:
            replica.failed()
            raise Transient(f"{replica.url}: {type(error).__name__} {error}".strip()) from error
        except Transient:
            replica.failed()
            raise
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
            case 408 | 409 | 429:
                raise Transient(f"{response.status} {text}", _seconds(response.headers.get("Retry-After")))
            case status if status >= 500:
                raise Transient(f"{status} {text}", _seconds(response.headers.get("Retry-After")))
        if "context length" in text or "context_length" in text or "too long" in text:
            raise RowError("context_too_long", text)
        raise RowError("refused_by_server", text)

    async def _any_well(self) -> bool:
        async def well(replica: Replica) -> bool:
            try:
                async with self.http.get(f"{replica.url}/models", timeout=aiohttp.ClientTimeout(total=10)) as response:
                    return response.status == 200
            except (TimeoutError, aiohttp.ClientError):
                return False

        return any(await asyncio.gather(*map(well, self.replicas)))

    async def _meet(self) -> None:
        """Ask every server for its models: whether it is there, has ours, and speaks vLLM's dialect."""
        for replica in self.replicas:
            try:
                async with self.http.get(f"{replica.url}/models", timeout=aiohttp.ClientTimeout(total=30)) as response:
                    if response.status in (401, 403):
                        raise UserError(f"{replica.url} refuses the key ({response.status}); set api_key_env")
                    listed = (await response.json(content_type=None))["data"] if response.status == 200 else []
            except (TimeoutError, aiohttp.ClientError, KeyError, TypeError, ValueError) as error:
                text = f"{replica.url} does not answer ({type(error).__name__}); check the URL or start the server"
                raise UserError(text) from None
            self._recognise(replica, listed)

    def _recognise(self, replica: Replica, listed: list[dict[str, Any]]) -> None:
        names = [each.get("id", "") for each in listed]
        if not self.name and len(names) == 1:
            self.name = names[0]
        if not self.name:
            raise UserError(f"{replica.url} has {len(names)} models ({', '.join(names)}); name one: {replica.url}#NAME")
        if names and self.name not in names:
            raise UserError(f'{replica.url} has no model "{self.name}"; it has: {", ".join(names)}')
        if any(each.get("owned_by") == "vllm" for each in listed):
            self.dialect = Vllm()


_backoff = wait_random_exponential(multiplier=0.5, max=20)


def _wait(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, Transient) and error.after is not None:
        return error.after
    return _backoff(state)


def _seconds(header: str | None) -> float | None:
    try:
        return min(float(header), 120.0) if header else None
    except ValueError:  # Retry-After may be a date; back-off then does as well
        return None
