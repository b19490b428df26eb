"""``cai chat`` as a person uses it, and as a pipe does: on scripted models, and on a server that fails as servers do."""

import hashlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from faulty import Faulty, serving

from cai.cli.chat import chat as talk
from cai.cli.chat_models import ChatModels, Sampling
from cai.cli.chat_session import ChatWishes, Session
from cai.cli.chat_view import View
from cai.data.prompt_source import PromptSource
from cai.data.prompts import read as read_prompts
from cai.errors import UserError
from cai.flow.screen import Screen
from cai.models.spec import ModelSpec
from cai.stages.pairs import Pairs
from cai.stages.pairs import read as read_pairs
from cai.store.rows import Drop, Pair, Prompt

ROOT = Path(__file__).resolve().parents[2]
Write = Callable[[str, str], Path]
Chat = Callable[..., Session]
ONE, TWO = "- {say: ['one {seed}: {asked}']}\n", "- {when: dumb, say: ['']}\n- {say: ['two {asked}']}\n"


@pytest.fixture
def chat(write: Write, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Chat:
    """Says lines to scripted models, as a pipe does; returns what became of it."""
    monkeypatch.chdir(tmp_path)

    def say(*lines: str, scripts: tuple[str, ...] = (ONE,), blind: bool = False, seed: int = 0) -> Session:
        files = [write(f"{number}.yaml", text) for number, text in enumerate(scripts)]
        specs = [ModelSpec("model", scripted=str(file)) for file in files]
        screen = Screen()
        with ChatModels(specs, screen) as models:
            names = ["first", "second"][: len(specs)]
            session = Session(names, ChatWishes("Be kind.", Sampling(seed=seed), blind), models, View(screen, False))
            session.go(iter(lines))
        return session

    return say


def fingerprint(*messages: tuple[str, str]) -> str:
    """What a script says for {asked}, of exactly these messages."""
    asked = tuple({"role": role, "content": content} for role, content in messages)
    return hashlib.sha256(repr((asked, "")).encode()).hexdigest()[:8]


def test_a_model_sees_all_that_was_said_before(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    session = chat("Hi.", "", "And you?", scripts=("- {say: ['{asked}']}\n",))
    first = fingerprint(("system", "Be kind."), ("user", "Hi."))
    second = fingerprint(("system", "Be kind."), ("user", "Hi."), ("assistant", first), ("user", "And you?"))
    assert [turn.answers[0].text for turn in session.talk.turns] == [first, second]
    assert capsys.readouterr().out == f"{first}\n\n{second}\n\n"


def test_the_same_seed_gives_the_same_chat_and_another_one_another(chat: Chat) -> None:
    said = [[turn.answers[0].text for turn in chat("Hi.", "Bye.", seed=seed).talk.turns] for seed in (0, 0, 1)]
    assert said[0] == said[1] != said[2]
    assert len({text.split()[1] for text in said[0]}) == 2


def test_a_turn_is_taken_back_or_asked_again_by_another_seed(chat: Chat) -> None:
    [turn] = chat("Hi.", "/retry", "Oh.", "/undo").talk.turns
    assert turn.person == "Hi." and turn.answers[0].text != chat("Hi.").talk.turns[0].answers[0].text
    assert [each.person for each in chat("Hi.", "Oh.", "/undo", "/retry", "Ah.").talk.turns] == ["Hi.", "Oh.", "Ah."]


def test_each_of_two_models_goes_on_from_its_own_answers(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    session = chat("Hi.", "And?", scripts=("- {say: ['{asked}']}\n",) * 2)
    one, two = (session.talk.messages(side) for side in (0, 1))
    assert one == two  # the same model, the same seeds
    session = chat("Hi.", "And?", scripts=(ONE, TWO))
    one, two = (session.talk.messages(side) for side in (0, 1))
    assert one[2]["content"].startswith("one") and two[2]["content"] == f"two {fingerprint(*pairs(two[:2]))}"
    assert two[4]["content"] == f"two {fingerprint(*pairs(two[:4]))}"
    assert "1 first:\none" in (shown := capsys.readouterr().out) and "\n2 second:\ntwo" in shown


def pairs(messages: tuple[dict[str, str], ...]) -> list[tuple[str, str]]:
    return [(each["role"], each["content"]) for each in messages]


def test_votes_are_pairs_where_both_were_asked_the_same(chat: Chat, tmp_path: Path) -> None:
    chat("Hi.", "2", "And?", "1", "/new", "Oh.", "t", "/save a.jsonl", scripts=(ONE, TWO))
    rows = list(read_pairs(Pairs(path=str(tmp_path / "a.jsonl"))))
    found = {each.messages[-1]["content"]: each for each in rows if isinstance(each, Pair)}
    assert found.keys() == {"Hi.", "Oh."}
    hi = found["Hi."]
    better = hi.a if hi.people == (1.0,) else hi.b
    assert better.text.startswith("two") and hi.messages[0] == {"role": "system", "content": "Be kind."}
    assert found["Oh."].people == (0.5,)
    assert [each.reason for each in rows if isinstance(each, Drop)] == ["no_pair"] * 2
    kept = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert [each.get("votes") for each in kept] == [None, ["worse", "better"], ["better", "worse"], None]
    prompts = list(read_prompts({"redteam": [PromptSource(str(tmp_path / "a.jsonl"))]}))
    asked = [each.messages[-1]["content"] for each in prompts if isinstance(each, Prompt)]
    assert asked == ["Hi.", "And?", "And?", "Oh."]


def test_a_conversation_with_one_model_is_read_back_as_a_prompt(chat: Chat, tmp_path: Path) -> None:
    chat("Hi.", "And?", "/save a.jsonl", "Oh.", "/save a.jsonl")
    [row] = read_prompts({"helpful": [PromptSource(str(tmp_path / "a.jsonl"))]})
    assert isinstance(row, Prompt) and [each["role"] for each in row.messages].count("user") == 3
    assert row.messages[-1]["content"] == "Oh."


def test_votes_that_nobody_saved_are_kept(chat: Chat, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chat("Hi.", "1", scripts=(ONE, TWO))
    chat("Hi.", "2", "/save mine.jsonl", "1", "/quit", "never said", scripts=(ONE, TWO))
    files = [tmp_path / name for name in ("chat-votes.jsonl", "mine.jsonl", "chat-votes-2.jsonl")]
    assert [json.loads(each.read_text())["winner"] for each in files] == ["response_a", "response_b", "response_a"]
    assert "chat-votes-2.jsonl: 1 row, of which 1 pair" in capsys.readouterr().err


def test_whose_answer_is_whose_is_hidden_until_the_vote(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    orders = set()
    while len(orders) < 2:  # each is drawn by a coin
        session = chat("Hi.", "1", "And?", "2", scripts=(ONE, TWO), blind=True)
        orders.add(order := session.talk.order)
        out, err = capsys.readouterr()
        blind, seen = out.split("\n\n")[:2]
        assert not re.search("first|second", blind) and re.search("1 (first|second)", seen)
        names = [("first", "second")[side] for side in order]
        assert f"kept. 1 was {names[0]} and 2 was {names[1]}" in err
        one, two = session.talk.turns
        assert one.winner == ("response_a", "response_b")[order[0]] and one.blind and not two.blind
    chat("Hi.", scripts=(ONE, TWO), blind=True)
    assert re.search("1 was (first and 2 was second|second and 2 was first)", capsys.readouterr().err)


def test_what_is_wrong_with_a_line_is_a_sentence(chat: Chat, write: Write, tmp_path: Path) -> None:
    for line, words in (
        ("/sav", r'did you mean "/save"\?.*\\/sav says it'),
        ("/undo", "nothing was said"),
        ("/save", "name a file"),
        ("/save ~nobody-of-that-name/x", "cannot be a file"),
    ):
        with pytest.raises(UserError, match=words):
            chat(line)
    write("there.jsonl", "theirs")
    with pytest.raises(UserError, match="is there already"):
        chat("Hi.", "/save there.jsonl")
    assert (tmp_path / "there.jsonl").read_text() == "theirs"
    assert [turn.person for turn in chat("\\/undo it", "\\frac", scripts=(ONE,)).talk.turns] == ["/undo it", "\\frac"]
    assert [turn.person for turn in chat("1", "\\1", scripts=(ONE, TWO)).talk.turns] == ["1", "1"]


def test_where_a_model_says_nothing_the_conversation_does_not_go_on(
    chat: Chat, capsys: pytest.CaptureFixture[str]
) -> None:
    session = chat("Hi.", "dumb", "And?", scripts=(ONE, TWO))
    assert [turn.person for turn in session.talk.turns] == ["Hi.", "And?"]
    assert "2 second: nothing was said; /retry asks again" in capsys.readouterr().err


def test_what_was_thought_is_no_part_of_the_conversation(chat: Chat, capsys: pytest.CaptureFixture[str]) -> None:
    session = chat("Hi.", "/thoughts", scripts=("- {say: ['<think>He greets.</think>Hello.']}\n",))
    out, err = capsys.readouterr()
    assert session.talk.messages(0)[-1]["content"] == "Hello." and out == "Hello.\n\n"
    assert err == "first thought:\nHe greets.\n"


@contextmanager
def server(most: int = 1000) -> Iterator[tuple[str, list[dict[str, Any]], Faulty]]:
    """A server whose context has so many letters; its URL, and what it was asked."""
    asked: list[dict[str, Any]] = []

    def answer(_: web.Request, body: dict[str, Any]) -> web.Response | None:
        asked.append(body)
        if sum(len(each["content"]) for each in body["messages"]) > most:
            words = "This model's maximum context length is 64 tokens. However, you requested 99 tokens"
            return web.json_response({"error": {"message": words, "code": 400}}, status=400)
        return None

    mock = Faulty(answer, every=1)
    with serving(mock) as url:
        yield url, asked, mock


def piped(text: bytes, *line: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([sys.executable, "-m", "cai.cli", "chat", *line], input=text, capture_output=True, cwd=ROOT)


def test_a_pipe_gets_answers_alone_and_an_exit_code() -> None:
    with server() as (url, asked, _):
        ran = piped(b"Hi.\n" + b"And? " * 300, url, "--system", "Be kind.", "--temperature", "0.5", "--max-tokens", "9")
    assert ran.returncode == 1 and re.fullmatch(rb"Word \d+\.\n\n", ran.stdout)
    assert b"is too long for http" in ran.stderr and b"Traceback" not in ran.stderr
    sent = next(each for each in asked if each["messages"][-1]["content"] == "Hi.")
    assert sent["messages"][0] == {"role": "system", "content": "Be kind."}
    assert (sent["temperature"], sent["max_tokens"]) == (0.5, 9)


@pytest.mark.parametrize("sign", [signal.SIGHUP, signal.SIGTERM])
def test_a_terminal_that_is_closed_and_a_kill_leave_the_votes(sign: int, write: Write, tmp_path: Path) -> None:
    one, other = write("one.yaml", ONE), write("two.yaml", TWO)
    line = [sys.executable, "-m", "cai.cli", "chat", str(one), "--vs", str(other)]
    pipe = subprocess.PIPE
    with subprocess.Popen(line, stdin=pipe, stdout=pipe, stderr=pipe, cwd=tmp_path) as ran:
        assert ran.stdin and ran.stderr
        ran.stdin.write(b"Hi.\n1\n")
        ran.stdin.flush()
        assert any(b"kept" in line for line in ran.stderr)
        ran.send_signal(sign)
        assert ran.wait(60) == 128 + sign
    [row] = (tmp_path / "chat-votes.jsonl").read_text().splitlines()
    assert json.loads(row)["response_a"].startswith("one ")


class Shown:
    """What a terminal shows; what was waited for is behind."""

    def __init__(self, screen: int) -> None:
        self.screen, self.rest = screen, ""

    def until(self, words: str) -> None:
        """Read on until these words; fails where nothing comes for a minute."""
        while words not in self.rest:
            assert select.select([self.screen], [], [], 60)[0], f"no {words!r} after {self.rest!r}"
            self.rest += os.read(self.screen, 4096).decode(errors="replace")
        self.rest = self.rest.partition(words)[2]


def test_in_a_terminal_ctrl_c_ends_an_answer_and_not_the_chat() -> None:
    own, other = pty.openpty()
    shown = Shown(own)
    with server() as (url, asked, mock):
        line = [sys.executable, "-m", "cai.cli", "chat", f"{url}#mock"]
        environment = {**os.environ, "TERM": "xterm", "COLUMNS": "80"}
        with subprocess.Popen(
            line, stdin=other, stdout=other, stderr=other, cwd=ROOT, env=environment, start_new_session=True
        ) as ran:
            os.close(other)
            shown.until("you> ")
            os.write(own, b"Hi.\n")
            shown.until("Word")
            mock.held, before = True, len(asked)
            os.write(own, b"Once more?\n")
            shown.until("0:00:01")  # a sign of life
            ran.send_signal(2)
            shown.until("/retry asks again")
            mock.held = False
            os.write(own, b"/retry\n")
            shown.until("Word")
            os.write(own, b"/foo\n")
            shown.until("there is no command /foo")
            shown.until("you> ")  # a Ctrl-D that comes before the terminal is read by keys is no end
            os.write(own, b"\x04")
            assert ran.wait(60) == 0
    assert len(asked) > before
    os.close(own)


def test_what_is_said_is_text_in_both_directions(write: Write) -> None:
    ran = piped(b"Hi.\n\xff\n", str(write("s.yaml", '- {say: ["a\\e[31mb\\u202e"]}\n')))
    assert ran.stdout == b"a\\x1b[31mb\\u202e\n\n"
    assert ran.returncode == 2 and b"line 2 of what is piped in is not UTF-8 text" in ran.stderr
    with pytest.raises(UserError, match="--blind hides which of two"):
        talk("model", None, ChatWishes(blind=True))


def test_roles_of_runs_and_recipes_are_models(write: Write, tmp_path: Path) -> None:
    from cai.run.roles import named_model

    script = f"{ROOT}/tests/data/script.yaml"
    note = dict.fromkeys(("recipe", "constitution", "constitution_version", "constitution_digest"), "")
    stages = [{"name": name, "kind": name, "reads": ""} for name in ("revise", "label")]
    note |= {
        "seed": 0,
        "principles": {},
        "models": {"policy": script, "judge": "far/away", "base": script},
        "stages": stages,
    }
    write("scripted/run.json", json.dumps(note))
    block = {
        "stage": "label",
        "block": {},
        "seed": 0,
        "constitution": "",
        "inputs": {},
        "models": {"base": {"format": "transcript"}},
    }
    write("scripted/label/begun.json", json.dumps(block))
    folder = tmp_path / "scripted"
    assert named_model(f"{folder}/policy").scripted == script
    assert named_model(f"{ROOT}/tests/data/scripted.yaml#other").scripted.endswith("other.yaml")
    write("scripted/revise/model/config.json", "{}")
    assert named_model(f"{folder}/revise", "local").local == str(folder / "revise" / "model")
    for name, words in (
        (f"{folder}/polcy", 'has no role "polcy"; did you mean "policy"'),
        (f"{folder}/label", "is no trained model"),
        (f"{folder}/judge", r"does not say how judge \(far/away\) is reached; name it by the recipe"),
        (f"{folder}/base", "does not say how base"),  # it is asked in transcripts, which its name does not tell
        (f"{ROOT}/tests/data/scripted.yaml#polcy", 'did you mean "policy"'),
        (f"{ROOT}/runs/quickstart.yaml#dpo", "is not trained yet"),
    ):
        with pytest.raises(UserError, match=words):
            named_model(name)


def test_a_reward_model_is_not_taken_for_one_that_writes(write: Write) -> None:
    from cai.recipe.models import command_model

    folder = write("reward/config.json", '{"architectures": ["LlamaForSequenceClassification"]}').parent
    with pytest.raises(ValueError, match="is a reward model, which writes no answers"):
        command_model(str(folder), "local")
    assert command_model(str(folder), "reward").reward == str(folder)
