"""Whole runs with a judge whose server gives no log-probabilities: every vote is sampled, and what is unread is counted."""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import hosting
import pytest
import yaml
from aiohttp import web
from rich.console import Console

from cai.cli.judge_eval import JudgeEval, judge_eval
from cai.errors import RunError, UserError
from cai.flow.screen import Screen
from cai.models.spec import ModelSpec
from cai.recipe.read import load_recipe
from cai.report import judge as judge_report
from cai.run.walk import start
from cai.store.rows import Preference
from cai.store.stage import Stage
from constitution.shipped import SHIPPED

PROMPTS = 12


class Server:
    """An OpenAI server without log-probabilities; what it says follows from the question, the seed and the sample.

    Of its answers one in eight is no verdict, and one in eight is spent on a thought.
    """

    owner = "somebody"

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.credit = 10**9

    async def chat(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.bodies.append(body)
        self.credit -= 1
        if self.credit < 0:
            return web.json_response({"error": {"message": "Insufficient credits"}}, status=402)
        choices = [self.choice(body, number) for number in range(body.get("n", 1))]
        usage = {"prompt_tokens": 10, "completion_tokens": 5 * len(choices)}
        return web.json_response({"model": "big", "choices": choices, "usage": usage})

    def choice(self, body: dict[str, Any], number: int) -> dict[str, Any]:
        text = body["messages"][-1]["content"]
        draw = hashlib.sha256(f"{text}{body.get('seed')}{number}".encode()).digest()[0]
        better = "A" if text.find("odd") < text.find("even") else "B"
        said = f"It is odd.\nThe answer is: ({better})" if draw % 4 else "The answer is: (A)"
        if draw % 8 == 1:
            said = "Both have their merits."
        message: dict[str, Any] = {"role": "assistant", "content": said}
        end = "stop"
        if draw % 8 == 2:
            message, end = {"content": None, "reasoning_content": "The answer is: (B), is it?"}, "length"
        return {"index": number, "message": message, "finish_reason": end, "logprobs": None}


class Structured(Server):
    """Takes a schema, and puts into it what its own answer came to: the letter that it would have said."""

    def choice(self, body: dict[str, Any], number: int) -> dict[str, Any]:
        if "response_format" not in body:
            return super().choice(body, number)
        asked = next((each["content"] for each in reversed(body["messages"][:-1]) if "odd" in each["content"]), "")
        better = "A" if asked.find("odd") < asked.find("even") else "B"
        said = {"role": "assistant", "content": json.dumps({"verdict": better})}
        return {"index": number, "message": said, "finish_reason": "stop", "logprobs": None}


class Thinker(Server):
    """A vLLM server whose model thinks where it may; its thought names the wrong letter, and after it the right one is likely."""

    owner = "vllm"

    def choice(self, body: dict[str, Any], number: int) -> dict[str, Any]:
        *_, last = body["messages"]
        asked = next(each["content"] for each in reversed(body["messages"]) if each["role"] == "user")
        better, worse = "AB" if asked.find("odd") < asked.find("even") else "BA"
        if body.get("logprobs"):
            sure = -0.1 if last.get("reasoning") else -0.7  # without its thought it cannot tell
            top = [{"token": better, "logprob": sure}, {"token": worse, "logprob": -0.7 if sure == -0.7 else -3.0}]
            logprobs = {"content": [{"token": better, "logprob": sure, "top_logprobs": top}]}
            return {"index": 0, "message": {"content": better}, "finish_reason": "length", "logprobs": logprobs}
        message = {"content": "One is odd.", "reasoning": f"The answer is: ({worse}), or is it?"}
        return {"index": number, "message": message, "finish_reason": "stop", "logprobs": None}


@contextmanager
def serving(server: Server) -> Iterator[str]:
    """The server in a thread; gives its base URL."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", server.chat)

    async def listing(_: web.Request) -> web.Response:
        return web.json_response({"data": [{"id": "big", "owned_by": server.owner}]})

    app.router.add_get("/v1/models", listing)
    with hosting.in_thread(app) as url:
        yield f"{url}/v1"


def recipe(folder: Path, url: str, **label: object) -> Path:
    """Answers that are odd and even, compared by the server's model."""
    (folder / "say.yaml").write_text(
        "- {say: ['odd {seed}', 'even {seed}', 'odd, number {seed}', 'even, number {seed}']}\n"
    )
    prompts = "".join(json.dumps({"id": f"r{n}", "prompt": f"Question {n}?"}) + "\n" for n in range(PROMPTS))
    (folder / "prompts.jsonl").write_text(prompts)
    judge = {"endpoints": [url], "model": "big", "concurrency": 4, "patience": 0.5}
    steps = [{"prompts": {"redteam": "prompts.jsonl", "heldout": 0}}, {"sample": {"model": "policy"}}]
    steps += [{"label": {"model": "judge", "exemplars": 0, **label}}, {"prefs": {"test": 0}}, {"report": {}}]
    models = {"policy": {"scripted": "say.yaml"}, "judge": judge}
    data = {"name": "r", "constitution": "principles/harmless.yaml", "models": models, "stages": steps}
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(data, sort_keys=False))
    return path


def run(path: Path, out: Path) -> str:
    """What a person is told."""
    heard = StringIO()
    start(load_recipe(path, ()), out, Screen(Console(file=heard, width=500)))
    return heard.getvalue()


def labels(out: Path) -> list[Preference]:
    return list(Stage(out / "label").all_rows(Preference))


@pytest.mark.parametrize("method", ["logprob", "cot", "score"])
def test_a_run_is_sampled_whole_and_its_unread_answers_are_counted(method: str, tmp_path: Path) -> None:
    server = Server()
    if method == "score":
        server.choice = rated(server.choice)  # type: ignore[method-assign]
    with serving(server) as url:
        told = run(recipe(tmp_path, url, method=method), tmp_path / "run")
    assert told.count("its verdicts are sampled, as it gives no log-probabilities") == 1
    rows, seal = labels(tmp_path / "run"), Stage(tmp_path / "run" / "label").seal
    assert seal is not None and seal["rows_kept"] == len(rows) == PROMPTS
    votes = [vote for row in rows for vote in row.votes]
    assert {(vote.kind, vote.samples) for vote in votes} == {("sampled", 5)}
    for vote in votes:
        assert (vote.p_a is None) == (2 * vote.read < 5) == (vote.status in ("unparsed", "truncated"))
    for row in rows:
        assert (row.p_label is None) == (row.status != "ok")
    counts, rows_alone = Counter(seal["counts"]), [body for body in server.bodies if "End with" in json.dumps(body)]
    assert counts["verdicts_sampled"] == sum(body["n"] for body in rows_alone)
    assert counts["verdicts_unread"] and counts["verdicts_cut_while_thinking"]
    if method != "score":
        unread = counts["verdicts_unread"] + counts["verdicts_cut_while_thinking"]
        assert counts["verdicts_sampled"] - unread == sum(vote.read for vote in votes)
    shown = (tmp_path / "run" / "report" / "report.html").read_text()
    assert f"{len(votes)} by samples" in shown and "of 5 samples could be read" in shown
    assert ("(95%: " in shown) == (method != "score")


def rated(choice: Any) -> Any:
    """Ratings in the place of letters."""

    def rate(body: dict[str, Any], number: int) -> dict[str, Any]:
        made = choice(body, number)
        if (text := made["message"]["content"]) and "answer is" in text:
            good = "Assistant: odd" in body["messages"][-1]["content"]
            made["message"]["content"] = f"The rating is: ({8 if good else 3})"
        return made

    return rate


def test_a_run_that_was_stopped_goes_on_to_the_same_rows(tmp_path: Path) -> None:
    server = Server()
    with serving(server) as url:
        path = recipe(tmp_path, url, method="cot")
        run(path, tmp_path / "whole")
        server.credit = 9
        with pytest.raises(RunError, match="Insufficient credits"):
            run(path, tmp_path / "again")
        assert not Stage(tmp_path / "again" / "label").seal
        server.credit = 10**9
        run(path, tmp_path / "again")
    assert labels(tmp_path / "again") == labels(tmp_path / "whole")


def test_what_no_last_line_says_is_read_by_structured_output_and_counted_so(tmp_path: Path) -> None:
    server = Structured()
    with serving(server) as url:
        path = recipe(tmp_path, url, method="cot")
        told = run(path, tmp_path / "run")
        server.credit = 11
        with pytest.raises(RunError, match="Insufficient credits"):
            run(path, tmp_path / "again")
        server.credit = 10**9
        run(path, tmp_path / "again")
    assert "structured output" not in told
    rows, seal = labels(tmp_path / "run"), Stage(tmp_path / "run" / "label").seal
    assert labels(tmp_path / "again") == rows
    votes = [vote for row in rows for vote in row.votes]
    assert {vote.kind for vote in votes} == {"sampled", "structured"}
    assert all((vote.structured > 0) == (vote.kind == "structured") for vote in votes)
    assert seal is not None
    counts = seal["counts"]
    assert counts["verdicts_structured"] == sum(vote.structured for vote in votes)
    assert "verdicts_unread" not in counts and counts["verdicts_cut_while_thinking"]
    of_rows = [body for body in server.bodies if "response_format" in body and "odd" in json.dumps(body)]
    structured = sum(vote.kind == "structured" for vote in votes)
    assert len(of_rows) <= 2 * 2 * structured  # in two runs and both orders, once for equal samples
    shown = (tmp_path / "run" / "report" / "report.html").read_text()
    assert "by samples and structured output" in shown


def test_who_wants_structured_output_alone_is_told_before_any_row(tmp_path: Path) -> None:
    server = Server()
    with serving(server) as url, pytest.raises(UserError, match="has no structured output, by which a verdict is read"):
        run(recipe(tmp_path, url, method="logprob", verdict="structured"), tmp_path / "run")
    assert not any("Question" in json.dumps(body) for body in server.bodies)


def test_an_evaluation_and_a_revision_s_judge_are_sampled_as_well(tmp_path: Path) -> None:
    with serving(Server()) as url:
        path = recipe(tmp_path, url, method="logprob")
        data = yaml.safe_load(path.read_text())
        prompts = {"prompts": {"redteam": "prompts.jsonl", "heldout": 0.5}}
        revise = {"revise": {"model": "policy", "judge": "judge", "rounds": 1, "verdicts": 3}}
        compare = {"evaluate": {"models": ["policy", "judge"], "judge": "judge", "verdict": "sampled", "verdicts": 3}}
        path.write_text(yaml.safe_dump({**data, "stages": [prompts, revise, compare, {"report": {}}]}, sort_keys=False))
        run(path, tmp_path / "run")
    compared = json.loads((tmp_path / "run" / "evaluate" / "metrics.json").read_text())["judge"]["compared"]["all"]
    votes = 2 * compared["compared"]
    assert compared["verdicts"]["sampled"].items() >= {"votes": votes, "samples": 3 * votes}.items()
    assert (
        f"judge over policy: Verdicts: {votes} by samples" in (tmp_path / "run" / "report" / "report.html").read_text()
    )
    seal = Stage(tmp_path / "run" / "revise").seal
    assert seal is not None and seal["counts"]["verdicts_sampled"] == 2 * 3 * seal["rows_in"]


@pytest.mark.parametrize(("method", "words"), [("logprob", ""), ("cot", "One is odd.\n\n")])
def test_a_judge_that_thinks_gives_its_verdict_after_its_thought(method: str, words: str, tmp_path: Path) -> None:
    with serving(server := Thinker()) as url:
        path = recipe(tmp_path, url, method=method)
        data = yaml.safe_load(path.read_text())
        data["models"]["judge"]["thinking"] = "on"
        path.write_text(yaml.safe_dump(data, sort_keys=False))
        run(path, tmp_path / "run")
    rows = labels(tmp_path / "run")
    decided = [row for row in rows if {row.pair.a.text[:3], row.pair.b.text[:3]} == {"odd", "eve"}]
    assert len(decided) > 2
    for row in decided:
        assert (row.status, (row.p_a or 0) > 0.9) == ("ok", row.pair.a.text.startswith("odd"))
    votes = [vote for row in rows for vote in row.votes]
    assert {vote.kind for vote in votes} == {"logprobs"}
    assert all(vote.thinking.startswith("The answer is: (") for vote in votes)
    of_rows = [body for body in server.bodies if "Answer (A)" in json.dumps(body)]
    forced = [body["messages"][-1] for body in of_rows if body.get("logprobs")]
    assert len(forced) == len(of_rows) / 2 == len(votes)
    assert {each["content"] for each in forced} == {f"{words}The answer is: ("}
    assert all(each["reasoning"].startswith("The answer is: (") for each in forced)


def test_who_wants_log_probabilities_alone_is_told_before_any_row(tmp_path: Path) -> None:
    server = Server()
    with (
        serving(server) as url,
        pytest.raises(UserError, match="gives no log-probabilities, by which a verdict is read"),
    ):
        run(recipe(tmp_path, url, method="logprob", verdict="logprobs"), tmp_path / "run")
    assert len(server.bodies) == 1


def test_an_exam_tells_how_good_verdicts_of_each_kind_are(tmp_path: Path) -> None:
    pairs = [{"prompt": f"{n}?", "chosen": f"odd {n}", "rejected": f"even {n}"} for n in range(24)]
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(each) + "\n" for each in pairs))
    exam = JudgeEval(str(tmp_path / "people.jsonl"), SHIPPED / "principles" / "harmless.yaml", settings=("verdicts=7",))
    with serving(Server()) as url:
        spec = ModelSpec("judge", endpoints=(url,), model="big")
        figures = judge_eval(exam, spec, None, tmp_path / "exam", Screen(Console(quiet=True)))
    found = figures["methods"]["logprob"]
    assert list(found["by_kind"]) == ["sampled"]
    of = found["by_kind"]["sampled"]
    assert (of["pairs"], of["samples"]) == (24, 7)
    assert 0.1 < (of["unread"] or 0) < 0.4
    assert of["accuracy"] == found["accuracy"]
    [said] = judge_report.sentences(figures)
    assert of["structured"] == 0
    assert "By samples (7 for each vote): accuracy" in said and "% unread." in said
    assert "<td>samples</td>" in judge_report.write(tmp_path / "exam", figures).read_text()


def test_an_exam_tells_what_structured_output_made_readable(tmp_path: Path) -> None:
    pairs = [{"prompt": f"{n}?", "chosen": f"odd {n}", "rejected": f"even {n}"} for n in range(12)]
    (tmp_path / "people.jsonl").write_text("".join(json.dumps(each) + "\n" for each in pairs))
    exam = JudgeEval(str(tmp_path / "people.jsonl"), SHIPPED / "principles" / "harmless.yaml", settings=("verdicts=7",))
    with serving(Structured()) as url:
        spec = ModelSpec("judge", endpoints=(url,), model="big")
        figures = judge_eval(exam, spec, None, tmp_path / "exam", Screen(Console(quiet=True)))
    of = figures["methods"]["logprob"]["by_kind"]["structured"]
    assert 0 < (of["structured"] or 0) < 0.4
    [said] = judge_report.sentences(figures)
    assert "By samples and structured output (7 for each vote): accuracy" in said and "by last lines alone)" in said
