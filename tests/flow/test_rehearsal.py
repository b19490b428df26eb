"""What stages will ask is known before their first row: a judge that cannot be read costs no answer of the policy."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from cai.errors import UserError
from cai.flow.ask import Up
from cai.flow.live import Live, RowStage
from cai.flow.rehearsal import of_each_track, rehearse
from cai.models.concurrency import Slots
from cai.models.endpoint import Endpoint
from cai.models.spec import ModelSpec
from cai.stages import STAGES, read_block
from cai.store.rows import Prompt
from cai.store.stage import Stage
from constitution.load import load

Stages = list[tuple[str, dict[str, Any]]]
RECIPE: Stages = [
    ("revise", {"model": "policy", "rounds": 1, "judge": "judge"}),
    ("sample", {"model": "policy"}),
    ("label", {"model": "judge", "method": "cot"}),
    ("label", {"model": "judge", "method": "score"}),
]
GUARD_SECONDS = 20
"""Only a failing test waits for it."""


class Server:
    """Answers everything, once so many requests have come; what was asked of it is kept."""

    def __init__(self, logprobs: bool = True, together: int = 0) -> None:
        self.logprobs, self.together, self.opened = logprobs, together, asyncio.Event()
        self.bodies: list[dict[str, Any]] = []

    async def chat(self, request: web.Request) -> web.Response:
        self.bodies.append(body := await request.json())
        if len(self.bodies) >= self.together:
            self.opened.set()
        await self.opened.wait()
        top = [{"token": token, "logprob": -2.0} for token in ("A", "B", "1", "2")]
        logprobs = {"content": [{"top_logprobs": top}]} if self.logprobs and body.get("logprobs") else None
        choices = [
            {"message": {"content": "Fine."}, "finish_reason": "stop", "logprobs": logprobs}
            for _ in range(body.get("n", 1))
        ]
        return web.json_response({"choices": choices})


async def scene(tmp_path: Path, stages: Stages, **servers: Server) -> None:
    """The stages rehearsed on prompts of both tracks, each role on a server of its own."""
    rows = [
        Prompt(f"{track} {number}", ({"role": "user", "content": f"Row {number}?"},), "x", track)
        for number, track in enumerate(("helpful", "redteam", "redteam"))
    ]
    source = Stage(tmp_path / "prompts")
    source.write_parts(rows, 10)
    runners, up = [], dict[str, Up]()
    for role, server in servers.items():
        app = web.Application()
        app.router.add_post("/v1/chat/completions", server.chat)
        runners.append(web.AppRunner(app))
        await runners[-1].setup()
        await web.TCPSite(runners[-1], "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runners[-1].addresses[0][1]}/v1"
        model = Endpoint((url,), "m", ModelSpec(role, endpoints=(url,), model="m"))
        up[role] = (await model.__aenter__(), Slots(4))
    constitution = load(Path("principles/harmless.yaml"))
    steps = [
        Live(row_stage(kind, block, tmp_path), Stage(tmp_path / kind), up, constitution, 0) for kind, block in stages
    ]
    try:
        await rehearse(steps, of_each_track(steps[0].stage, source))
    finally:
        for model, _ in up.values():
            await model.__aexit__()
        for runner in runners:
            await runner.cleanup()


def row_stage(kind: str, block: dict[str, Any], folder: Path) -> RowStage:
    table, want = STAGES[kind], read_block(kind, block)

    async def do(row: Any, ask: Any) -> Any:
        out = await table.work(row, want, ask)  # type: ignore[misc]
        return out if isinstance(out, list) or type(out).__name__ == "Drop" else [out]

    roles = tuple(dict.fromkeys(block[key] for key in ("model", "judge") if key in block))
    return RowStage(kind, Stage(folder / kind), table.takes, do, roles)  # type: ignore[arg-type]


def test_each_kind_of_request_is_shown_once_and_no_row_s_words_are_sent(tmp_path: Path) -> None:
    policy, judge = Server(), Server()
    asyncio.run(scene(tmp_path, RECIPE[1:3], policy=policy, judge=judge))
    assert [body.get("n") for body in policy.bodies] == [2]
    assert [bool(body.get("logprobs")) for body in judge.bodies] == [True, False]
    assert "Row" not in json.dumps([*policy.bodies, *judge.bodies])
    assert not (tmp_path / "sample").exists()


def test_what_the_stages_will_ask_is_under_way_at_once(tmp_path: Path) -> None:
    stages: Stages = [("revise", {"model": "policy", "rounds": 2})]
    policy = Server()
    asyncio.run(scene(tmp_path, stages, policy=policy))
    together = Server(together=len(policy.bodies))
    asyncio.run(asyncio.wait_for(scene(tmp_path, stages, policy=together), GUARD_SECONDS))
    assert len(together.bodies) == len(policy.bodies) > 1


def kind(body: dict[str, Any]) -> str:
    """What a judge is asked for."""
    if body.get("logprobs"):
        return "logprobs"
    return "bound" if {"response_format", "tool_choice"} & body.keys() else "samples"


def only_logprobs(stages: Stages) -> Stages:
    return [(kind, {**block, "verdict": "logprobs"} if "judge" in block.values() else block) for kind, block in stages]


@pytest.mark.parametrize("stages", [RECIPE[:1], RECIPE[1:3], [RECIPE[1], RECIPE[3]]])
def test_a_judge_that_gives_no_log_probabilities_is_known_before_the_first_row(tmp_path: Path, stages: Stages) -> None:
    policy, judge = Server(), Server(logprobs=False)
    with pytest.raises(UserError, match=r"models.judge: .* gives no log-probabilities.*set `verdict: sampled`"):
        asyncio.run(scene(tmp_path, only_logprobs(stages), policy=policy, judge=judge))
    assert "Row" not in json.dumps([*policy.bodies, *judge.bodies])


@pytest.mark.parametrize("stages", [RECIPE[:1], RECIPE[1:3], [RECIPE[1], RECIPE[3]]])
def test_and_is_shown_how_it_will_be_sampled_unless_told_otherwise(tmp_path: Path, stages: Stages) -> None:
    policy, judge = Server(), Server(logprobs=False)
    asyncio.run(scene(tmp_path, stages, policy=policy, judge=judge))
    assert sorted(map(kind, judge.bodies)) == ["bound", "bound", "logprobs", "samples"]
    assert [body["n"] for body in judge.bodies if kind(body) == "samples"] == [5]
    assert "Row" not in json.dumps([*policy.bodies, *judge.bodies])
