"""The password, or the key, in a server's URL: it is used, and stands nowhere."""

import asyncio
import json
import subprocess
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from cai.errors import CaiError, RowError, RunError, UserError
from cai.models import passwords
from cai.models.endpoint import Endpoint
from cai.models.spec import ModelSpec
from cai.models.types import Request
from cai.stages.dpo import Dpo
from cai.store.rows import plain
from cai.train.launch.start import job
from constitution.visible import without_password


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://ada:sec@ret@host:8000/v1", "http://host:8000/v1"),
        ("https://ada@host", "https://host"),
        ('two: "http://a:b@c/v1", "ftp://d:e@f"', 'two: "http://c/v1", "ftp://f"'),
        ("http://host/a@b?c=d@e", "http://host/a@b?c=d@e"),
        ("write to ada@host", "write to ada@host"),
    ],
)
def test_a_url_is_shown_without_its_password(text: str, shown: str) -> None:
    assert without_password(text) == shown
    for error in (UserError(text), RunError(text), RowError("server_error", text)):
        assert str(error) == shown
    assert RowError("server_error", text).detail == shown


def test_a_training_has_the_password_from_its_environment_and_its_job_file_has_it_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    judge = ModelSpec("judge", endpoints=("http://ada:secret@a:1/v1", "http://b:1/v1?key=secret"), model="m")
    beside = {"judging": {"spec": plain(judge), "method": "logprob"}}
    file = job("dpo", Dpo("owner/name"), "owner/name", (tmp_path, tmp_path), 0, beside)
    assert "secret" not in file.read_text()
    written = json.loads(file.read_text())
    assert passwords.restored(written)["judging"]["spec"]["endpoints"] == ["http://a:1/v1", "http://b:1/v1"]
    for name, value in passwords.environment(beside).items():
        monkeypatch.setenv(name, value)
    assert tuple(passwords.restored(written)["judging"]["spec"]["endpoints"]) == judge.endpoints
    assert passwords.environment({"spec": "http://b:1/v1"}) == {}


class Failing(BaseHTTPRequestHandler):
    """Lists a model, answers what is harmless, and fails where a row asks."""

    def do_GET(self) -> None:
        self.answer({"data": [{"id": "m"}]})

    def answer(self, data: dict[str, object]) -> None:
        body = json.dumps(data).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        if b"Please say hello." in self.rfile.read(int(self.headers["Content-Length"])):
            self.answer({"choices": [{"message": {"content": "Hello!"}, "finish_reason": "stop"}]})
        self.close_connection = True  # to a row without an answer, which is told with the URL

    def log_message(self, *_: object) -> None:
        pass


def test_a_run_that_fails_tells_of_its_server_without_the_password(
    cai: Callable[..., subprocess.CompletedProcess[str]], write: Callable[[str, str], Path], tmp_path: Path
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Failing)
    Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://ada:hunter2@127.0.0.1:{server.server_port}/v1?key=hunter3"
    write("c.yaml", "name: c\nprinciples:\n  - {id: one, critique: Criticise., revision: Rewrite.}\n")
    write("p.jsonl", '{"prompt": "hello"}\n')
    write(
        "r.yaml",
        f"name: r\nconstitution: c.yaml\nmodels: {{m: {{endpoints: ['{url}'], model: m, patience: 0}}}}\n"
        "stages: [{prompts: {redteam: p.jsonl, heldout: 0}}, {revise: {model: m, rounds: 1}}]\n",
    )
    lines = [("run", "r.yaml"), ("run", "r.yaml", "--debug"), ("status", "r"), ("show", "r", "revise", "--drops")]
    for each in [cai(*line, cwd=tmp_path) for line in lines]:
        assert "hunter" not in each.stdout + each.stderr
    lines = [("run", "r.yaml", f"models.m.endpoints={url}"), ("run", "r.yaml", f"models.m.endpoints.5={url}")]
    for each in [cai(*line, cwd=tmp_path) for line in lines]:
        assert "hunter2" not in each.stdout + each.stderr
    files = [path for path in (tmp_path / "runs").rglob("*") if path.is_file()]
    assert (tmp_path / "runs" / "r" / "revise" / "drops.jsonl") in files
    assert not [path for path in files if b"hunter" in path.read_bytes()]
    server.shutdown()


class Telltale(Failing):
    """Repeats the key that it is sent in all that it refuses: a list, a row, or an error within an answer."""

    def do_GET(self) -> None:
        self.refuse(403)

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        if b"Please say hello." in asked:
            self.answer({"choices": [{"message": {"content": "Hello!"}, "finish_reason": "stop"}]})
        else:
            self.refuse(200 if b"inside" in asked else 400)

    def refuse(self, status: int) -> None:
        body = json.dumps(
            {"error": {"message": f"no entry with {self.headers['Authorization']}", "code": 400}}
        ).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.mark.parametrize(("model", "text"), [("", "hello"), ("m", "hello"), ("m", "inside")])
def test_a_server_that_repeats_the_key_is_not_quoted_with_it(
    monkeypatch: pytest.MonkeyPatch, model: str, text: str
) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Telltale)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("KEY", "sk-verysecret")
    spec = ModelSpec("m", endpoints=(f"http://127.0.0.1:{server.server_port}/v1",), model=model, api_key_env="KEY")

    async def ask() -> None:
        async with Endpoint(spec.endpoints, model, spec) as endpoint:
            await endpoint.ask(Request(({"role": "user", "content": text},)), "row")

    with pytest.raises(CaiError, match="no entry with Bearer …") as error:
        asyncio.run(ask())
    assert "verysecret" not in str(error.value)
    server.shutdown()
