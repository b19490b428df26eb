"""An OpenAI-compatible server with files and batches: one request or a batch of them, it answers the same body with the same words.

It holds ``--slots`` requests at once, of batches and single ones together, each for ``--mean`` seconds, so that what a client adds
to either can be measured. Tests run it in a thread, with what goes wrong.

    python benchmarks/batch_server.py --slots 64 --mean 0.5
"""

import argparse
import asyncio
import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import hosting
from aiohttp import web

Body = dict[str, Any]
Odd = Callable[[web.Response], web.Response]
HELLO = "Please say hello."


class BatchServer:
    """The server, and what it was asked.

    Args:
        refused: the requests that it will not answer in a batch.
        expired: those that no batch has come to when it ends.
        held: whether batches never end.

    Attributes:
        singles: bodies of requests that came alone, but for harmless ones.
        batches: by id, as the server shows them.
        lines: of each batch, as they were handed in.
    """

    def __init__(
        self,
        slots: int = 1000,
        seconds: float = 0.0,
        refused: Callable[[Body], bool] = lambda body: False,
        expired: Callable[[Body], bool] = lambda body: False,
        held: bool = False,
    ) -> None:
        self.free, self.seconds, self.refused, self.expired, self.held = slots, seconds, refused, expired, held
        self.singles: list[Body] = []
        self.batches: dict[str, Body] = {}
        self.files: dict[str, bytes] = {}
        self.lines: dict[str, list[Body]] = {}
        self.end, self.errors = "", list[Body]()
        self.odd: dict[str, Odd] = {}
        """What comes instead of a page, or of what would stand in it, by "files", "content", "batches" (made), "look"."""
        self.working: set[asyncio.Task[None]] = set()

    def application(self) -> web.Application:
        """What a runner serves."""
        self.slots = asyncio.Semaphore(self.free)
        app = web.Application(client_max_size=1 << 30)
        app.add_routes(
            [
                web.get("/v1/models", self._models),
                web.post("/v1/chat/completions", self._chat),
                web.post("/v1/files", self._upload),
                web.get("/v1/files/{id}/content", self._content),
                web.post("/v1/batches", self._begin),
                web.get("/v1/batches", self._list),
                web.get("/v1/batches/{id}", self._look),
            ]
        )
        app.on_shutdown.append(self._stop)
        return app

    async def _stop(self, _: web.Application) -> None:
        for task in self.working:
            task.cancel()

    async def _models(self, _: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "big", "owned_by": "somebody"}]})

    async def _answer(self, body: Body) -> Body:
        async with self.slots:
            if self.seconds:
                await asyncio.sleep(self.seconds)
        return answer(body)

    async def _chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        if not any(HELLO in message["content"] for message in body["messages"]):
            self.singles.append(body)
        return web.json_response(await self._answer(body))

    async def _upload(self, request: web.Request) -> web.Response:
        form = await request.post()
        file = form["file"]
        assert form["purpose"] == "batch" and isinstance(file, web.FileField)
        known = {"id": self._file(file.file.read()), "object": "file", "purpose": "batch"}
        return self._oddly("files", web.json_response(known))

    def _oddly(self, page: str, usual: web.Response) -> web.Response:
        return self.odd[page](usual) if page in self.odd else usual

    def _file(self, data: bytes) -> str:
        self.files[f"file-{len(self.files)}"] = data
        return f"file-{len(self.files) - 1}"

    async def _content(self, request: web.Request) -> web.Response:
        return self._oddly("content", web.Response(body=self.files[request.match_info["id"]]))

    async def _begin(self, request: web.Request) -> web.Response:
        asked = await request.json()
        id = f"batch-{len(self.batches)}"
        lines = [json.loads(line) for line in self.files[asked["input_file_id"]].splitlines()]
        assert len({line["custom_id"] for line in lines}) == len(lines)
        assert {line["url"] for line in lines} == {asked["endpoint"]}
        self.batches[id] = {"id": id, "object": "batch", "status": "in_progress", **asked}
        self.lines[id] = lines
        task = asyncio.create_task(self._work(id))
        self.working.add(task)
        task.add_done_callback(self.working.discard)
        return self._oddly("batches", web.json_response(self.batches[id]))

    async def _work(self, id: str) -> None:
        if self.end:
            self.batches[id] |= {"status": self.end, "errors": {"object": "list", "data": self.errors}}
            return
        while self.held:
            await asyncio.sleep(0.001)
        both = await asyncio.gather(*map(self._line, self.lines[id]))
        for key, there in (("output_file_id", True), ("error_file_id", False)):
            if some := [line for line in reversed(both) if (line["error"] is None and _status(line) == 200) == there]:
                self.batches[id][key] = self._file("".join(f"{json.dumps(line)}\n" for line in some).encode())
        late = any(line["error"] for line in both)
        self.batches[id]["status"] = "expired" if late else "completed"

    async def _line(self, line: Body) -> Body:
        known = {"id": f"batch_req_{line['custom_id']}", "custom_id": line["custom_id"]}
        if self.expired(line["body"]):
            return {**known, "response": None, "error": {"code": "batch_expired", "message": "not within 24h"}}
        if self.refused(line["body"]):
            wrong = {"error": {"message": "The server had an error", "type": "server_error"}}
            return {**known, "response": {"status_code": 500, "body": wrong}, "error": None}
        return {**known, "response": {"status_code": 200, "body": await self._answer(line["body"])}, "error": None}

    async def _list(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": list(reversed(self.batches.values()))})

    async def _look(self, request: web.Request) -> web.Response:
        return self._oddly("look", web.json_response(self.batches[request.match_info["id"]]))


def _status(line: Body) -> int:
    return line["response"]["status_code"] if line["response"] else 0


def answer(body: Body) -> Body:
    """The same words to the same body."""
    found = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()[:8]
    top = [{"token": "A", "logprob": -0.4}, {"token": "B", "logprob": -1.2}]
    logprobs = {"content": [{"token": "A", "logprob": -0.4, "top_logprobs": top}]} if body.get("logprobs") else None
    choices = [
        {
            "index": number,
            "finish_reason": "stop",
            "message": {"role": "assistant", "content": f"Rye is dark, and kind, number {number} of {found}."},
            "logprobs": logprobs,
        }
        for number in range(body.get("n", 1))
    ]
    usage = {"prompt_tokens": 200, "completion_tokens": 12 * len(choices)}
    return {"object": "chat.completion", "model": body["model"], "choices": choices, "usage": usage}


@contextmanager
def in_a_thread(server: BatchServer) -> Iterator[str]:
    """The server until the block is left; gives its base URL."""
    with hosting.in_thread(server.application()) as url:
        yield f"{url}/v1"


@contextmanager
def in_a_process(slots: int, seconds: float) -> Iterator[str]:
    """The same in a process of its own, whose work is not the client's."""
    with hosting.in_process(__file__, "--slots", slots, "--mean", seconds) as (_, port):
        yield f"http://127.0.0.1:{port}/v1"


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--mean", type=float, default=0.5)
    options = parser.parse_args()
    asyncio.run(hosting.serve(BatchServer(options.slots, options.mean).application(), options.port))


if __name__ == "__main__":
    main()
