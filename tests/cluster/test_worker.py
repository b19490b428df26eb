"""A worker of a cluster, without the cluster."""

import asyncio
import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cai.cluster.worker import Worker
from cai.errors import UserError
from cai.flow.live import Job, RowStage
from cai.flow.rehearsal import of_each_track
from cai.models.spec import ModelSpec
from cai.stages import STAGES, read_block
from cai.store.rows import Draft, Pair
from cai.store.stage import Stage
from constitution.load import load

pytest.importorskip("fsspec")


class NoLogprobs(BaseHTTPRequestHandler):
    """Answers whatever it is asked with a text alone; what was asked is kept."""

    asked: list[str]

    def do_GET(self) -> None:
        self.answer({"data": [{"id": "m"}]})

    def do_POST(self) -> None:
        self.asked.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer({"choices": [{"message": {"content": "Fine."}, "finish_reason": "stop"}]})

    def answer(self, data: dict[str, Any]) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


def test_what_a_judge_cannot_do_is_known_to_a_worker_before_its_first_row(tmp_path: Path) -> None:
    handler = type("Handler", (NoLogprobs,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    spec = ModelSpec("judge", endpoints=(f"http://127.0.0.1:{server.server_port}/v1",), model="m")
    table, want = STAGES["label"], read_block("label", {"model": "judge", "method": "cot", "verdict": "logprobs"})

    async def do(row: Any, ask: Any) -> Any:
        return [await table.work(row, want, ask)]  # pyright: ignore[reportOptionalCall]

    source = Stage(tmp_path / "sample")
    answers = Draft("Yes.", "m", "stop", 1), Draft("No.", "m", "stop", 2)
    source.write_parts([Pair("1", "1", ({"role": "user", "content": "Row one?"},), *answers, "redteam")], 10)
    label = RowStage("label", Stage(tmp_path / "label"), Pair, do, ("judge",))
    constitution = load(Path("principles/harmless.yaml"))
    task = Job([label], {"judge": spec}, constitution, 0, of_each_track(label, source))
    (tmp_path / "seen").touch()

    async def prepare() -> Any:
        worker = Worker(str(tmp_path), "seen", str(tmp_path))
        try:
            return await worker.prepare(task)
        finally:
            await worker.close()

    found = asyncio.run(prepare())
    server.shutdown()
    assert isinstance(found, UserError)
    assert "models.judge" in str(found) and "gives no log-probabilities" in str(found)
    assert handler.asked and "Row one?" not in "".join(handler.asked)
