"""``cai judge-eval --search``: it finds the form that serves a judge, claims it from the held-out half alone, and goes on."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from rich.console import Console

from cai.cli import options
from cai.cli import search as command
from cai.cli.judge_eval import JudgeEval
from cai.cli.search_grid import METHODS_TRIED
from cai.errors import RunError, UserError
from cai.flow.screen import Screen
from cai.recipe.models import command_model
from cai.store.stage import Stage
from constitution.source import InputError, parse_yaml

CONSTITUTION = """\
name: small
principles:
  - {id: kind, critique: Say which words are unkind., revision: Say it kindly., judgment: Which answer is kinder?}
  - {id: short, critique: Say which words are idle., revision: Say it shortly., judgment: Which answer is shorter?}
exemplars:
  judgment:
    - {prompt: Hi., a: Hello!, b: Go., principle: kind, reasoning: Answer B sends one off., verdict: A}
    - {prompt: Hi., a: Go., b: Hello!, principle: kind, reasoning: Answer A sends one off., verdict: B}
"""
BY_NUMBERS = """\
- {when: "Answer .1.: GOOD", choose: {"1": 0.8, "2": 0.1}}
- {when: "Answer .1.: BAD", choose: {"1": 0.1, "2": 0.8}}
- {say: ["One of them is kinder."], choose: {A: 0.8, B: 0.1, "1": 0.8, "2": 0.1, first: 0.8, second: 0.1}}
"""
"""Takes the first answer whatever it says, but where the answers are numbered; its ratings are all 1 or 2."""


def coin() -> str:
    """By letters it prefers the better answer to even questions and the worse to odd ones, by numbers the other way round."""
    rules = []
    for first, second, right in (("A", "B", "02468"), ("1", "2", "13579")):
        for good, digits in (("GOOD", right), ("BAD", "".join(set("0123456789") - set(right)))):
            when = rf"(?s)Question \d*[{digits}]\?.*nswer \W+{first}\W+(begins\W+)?{good}"
            rules.append({"when": when, "choose": {first: 0.8, second: 0.1}})
        rules.append({"when": rf"nswer \W+{first}\W", "choose": {first: 0.1, second: 0.8}})
    return json.dumps([*rules, {"choose": {"first": 0.5, "second": 0.4}}])


FEWER = ("exemplars=0", "mean=probabilities")
"""Settings that are not searched, where a test is of something else."""
GONE = "{endpoints: ['http://127.0.0.1:9/v1'], model: m, patience: 0}"
Write = Callable[[str, str], Path]


def pairs_file(write: Write, count: int = 80) -> Path:
    rows = [{"prompt": f"Question {n}?", "chosen": f"GOOD {n}", "rejected": f"BAD {n} by far"} for n in range(count)]
    return write("people.jsonl", "".join(json.dumps(each) + "\n" for each in rows))


def writing(folder: Path) -> Write:
    """Writes a text file into a folder."""

    def write_file(name: str, text: str) -> Path:
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    return write_file


@pytest.fixture(scope="module")
def numbers(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """A whole search on the judge that reads numbers: its figures and its folder."""
    return sought(writing(tmp_path_factory.mktemp("numbers")), BY_NUMBERS)


def sought(write: Write, script: str, *settings: str, methods: tuple[str, ...] = ("logprob",), **more: Any) -> Any:
    """The figures of a search in this process, and where they are."""
    exam = JudgeEval(
        str(pairs_file(write, 40 if settings else 80)),
        write("small.yaml", more.get("constitution", CONSTITUTION)),
        methods,
        settings,
        tuple(more.get("pairs", {}).items()),
    )
    out = write("x", "").parent / "search"
    screen = more.get("screen", Screen)(Console(file=(out.parent / "said.txt").open("a"), width=200))
    model = more.get("model") or str(write("judge.yaml", script))
    return command.search(exam, command_model(model), out, screen), out


def test_a_judge_of_numbers_is_found_and_the_held_out_half_bears_it_out(numbers: tuple[dict[str, Any], Path]) -> None:
    found, out = numbers
    search = found["search"]
    assert search["best"].startswith("logprob, numbers, cached")
    forms = {each["form"]: each for each in search["forms"]}
    usual, best = forms[search["usual"]], forms[search["best"]]
    assert (usual["accuracy"]["value"], usual["same_position"]) == (0.5, 1.0)
    assert (best["accuracy"]["value"], best["same_position"], best["unread"]) == (1.0, 0.0, 0.0)
    assert search["difference"]["value"] == 0.5 and search["difference"]["low"] > 0.1
    assert "is surely better than as usual (logprob, letters, cached, all exemplars)" in search["says"]
    assert parse_yaml(search["recipe"], Path("x")).data == [
        {"label": {"model": "judge", "method": "logprob", "names": "numbers", "exemplars": 0}}  # as good, and cheaper
    ]
    assert json.loads((out / "search.json").read_text()) == search
    assert len(found["methods"]) == 2 and search["held_out"] + search["pairs"] == 80


def test_the_halves_share_no_conversation_and_forms_share_principles(numbers: tuple[dict[str, Any], Path]) -> None:
    _, out = numbers
    halves = [{row["prompt_id"] for row in Stage(out / name).all_rows(dict)} for name in ("first-half", "held-out")]
    assert halves[0] and halves[1] and not halves[0] & halves[1]
    drawn = {
        folder.name: {row["id"]: row["votes"][0]["principle"] for row in Stage(folder).all_rows(dict)}
        for folder in out.glob("logprob-*")
        if not folder.name.endswith("held-out")
    }
    assert len(drawn) > 5 and len({tuple(sorted(each.items())) for each in drawn.values()}) == 1
    assert len(set(next(iter(drawn.values())).values())) == 2


def test_a_coin_has_no_form_that_is_surely_better(write: Write) -> None:
    found, _ = sought(write, coin(), "exemplars=0")
    search = found["search"]
    assert search["difference"] is None or search["difference"]["low"] <= 0 <= search["difference"]["high"]
    assert search["says"].startswith("No form is surely better")
    assert search["best"] == search["usual"] or search["recipe"].startswith(
        "# the best of the first half, and not surely"
    )


def test_no_more_is_asked_than_was_said_and_nothing_twice(numbers: tuple[dict[str, Any], Path]) -> None:
    found, out = numbers
    votes = [vote for folder in out.glob("logprob-*") for row in Stage(folder).all_rows(dict) for vote in row["votes"]]
    assert 0 < len(votes) <= found["search"]["requests"]
    said = (out.parent / "said.txt").read_text()
    assert f"at most {found['search']['requests']:,} requests" in said
    times = {path: path.stat().st_mtime_ns for path in out.rglob("part-*")}
    again, _ = sought(writing(out.parent), BY_NUMBERS)
    assert again["search"]["says"] == found["search"]["says"]
    assert {path: path.stat().st_mtime_ns for path in out.rglob("part-*")} == times


@pytest.mark.parametrize("limit", [40, 20])
def test_a_search_that_never_begins_leaves_the_earlier_one_as_it_was(write: Write, limit: int) -> None:
    settings = (*FEWER, "layout=cached")
    _, out = sought(write, BY_NUMBERS, *settings, pairs={"limit": 40})
    before = {path: path.read_bytes() for path in out.rglob("*") if path.name != "run.json" and path.is_file()}
    assert len(list(out.glob("logprob-*"))) > 3
    with pytest.raises(UserError, match="does not answer"):
        sought(write, "", *settings, pairs={"limit": limit}, model=GONE)
    assert {path: path.read_bytes() for path in before} == before
    sought(write, BY_NUMBERS, *settings, pairs={"limit": 40})
    assert {path: path.read_bytes() for path in before} == before


class Stopped(Screen):
    """A person presses Ctrl-C when a form is done."""

    def say(self, text: str) -> None:
        if text.startswith("logprob-numbers-paper"):
            raise KeyboardInterrupt
        super().say(text)


def test_a_search_that_was_stopped_goes_on_where_it_was(write: Write) -> None:
    with pytest.raises(RunError, match="stopped; run the same command again to go on"):
        sought(write, BY_NUMBERS, *FEWER, screen=Stopped)
    out = write("x", "").parent / "search"
    done = {path: path.stat().st_mtime_ns for path in out.rglob("part-*")}
    assert len(done) > 3 and not (out / "search.json").exists()
    found, _ = sought(write, BY_NUMBERS, *FEWER)
    assert {path: path.stat().st_mtime_ns for path in done} == done
    assert found["search"]["best"] == "logprob, numbers, cached, 0 exemplars"
    assert len(list(out.glob("logprob-*-held-out"))) == 2


def test_settings_of_one_s_own_are_kept_and_not_searched(write: Write) -> None:
    found, _ = sought(write, BY_NUMBERS, "layout=cached", "exemplars=0", "choice=all")
    forms = [each["form"] for each in found["search"]["forms"]]
    assert all("cached, 0 exemplars" in each for each in forms)
    [step] = parse_yaml(found["search"]["recipe"], Path("x")).data
    assert step["label"] == {"model": "judge", "method": "logprob", "names": "numbers", "exemplars": 0, "choice": "all"}


def test_columns_are_named_for_both_halves(write: Write) -> None:
    found, _ = sought(write, BY_NUMBERS, *FEWER, "layout=cached", pairs={"columns": {"prompt": "prompt"}})
    assert found["search"]["pairs"] + found["search"]["held_out"] == 40


def test_every_method_is_tried_where_none_is_named(write: Write) -> None:
    found, _ = sought(write, BY_NUMBERS, *FEWER, methods=())
    methods = {each["settings"]["method"] for each in found["search"]["forms"]}
    assert methods == {"logprob", "cot", "score"}  # no principle has propositions
    assert any(each["published"] == "after Zheng et al. 2023" for each in found["search"]["forms"])


def test_the_help_names_the_methods_that_are_tried() -> None:
    assert all(name in get_args(options.Methods)[1].help for name in METHODS_TRIED)


def test_names_that_a_constitution_s_words_do_not_allow_are_not_tried(write: Write) -> None:
    words = 'templates: {judge: "Compare A and B. The answer is: (A)"}\n'
    found, _ = sought(write, BY_NUMBERS, *FEWER, constitution=CONSTITUTION + words)
    assert {each["settings"].get("names", "letters") for each in found["search"]["forms"]} == {"letters", "brackets"}
    [note] = [each for each in found["search"]["notes"] if "names were not tried" in each]
    assert "templates.judge of small" in note


def test_a_form_that_cannot_be_read_is_said(write: Write) -> None:
    found, _ = sought(write, BY_NUMBERS.replace("first: 0.8, second: 0.1", "fi: 0.8"), *FEWER)
    [note] = found["search"]["notes"]
    assert "100% of the votes could not be read" in note and "templates.first_word" in note


@pytest.mark.parametrize(
    ("settings", "methods", "says"),
    [
        (("calibration=x",), ("logprob",), "reads what the judge itself says"),
        (("orders=one",), ("logprob",), "asks in both orders"),
        (("cot.layout=paper",), (), "is searched for all methods"),
        (("layot=paper",), (), 'did you mean "layout"'),
        (("layout=sideways",), ("logprob",), "layout"),
        ((), ("rules",), "which rules does not"),
        ((), ("propositions",), "no principle of small can be judged by propositions"),
        (("names=[numbers,words]",), (), '"names=[numbers,words]": names takes one value; name one, or leave it out'),
        (("layout={paper: 1}",), (), "layout takes one value"),
    ],
)
def test_what_is_wrong_is_a_sentence(
    write: Write, settings: tuple[str, ...], methods: tuple[str, ...], says: str
) -> None:
    with pytest.raises((UserError, InputError), match=re.escape(says)):
        sought(write, BY_NUMBERS, *settings, methods=methods)


def test_a_constitution_without_judgments_is_a_sentence(write: Write) -> None:
    revising = (
        "name: small\nprinciples:\n  - {id: kind, critique: Say which words are unkind., revision: Say it kindly.}\n"
    )
    with pytest.raises(UserError, match="no principle of small says what to judge by; give one a `judgment`"):
        sought(write, BY_NUMBERS, *FEWER, methods=(), constitution=revising)


@pytest.mark.parametrize(
    ("settings", "columns", "words"),
    [
        (("choice=some",), {}, 'choice: expected one of uniform, weighted, by_tag, all, found "some"'),
        (("exemplars=0.5",), {}, "exemplars: expected a whole number or nothing, found 0.5"),
        (("layout=sideways",), {}, "layout: expected one of "),
        ((), {"foo": "x"}, "--columns foo: unknown key; known: a, b, "),
        ((), {"system": "x"}, "name one of: prompt, chosen, rejected (--columns system=COLUMN)"),
    ],
)
def test_what_is_wrong_is_said_once_and_of_what_was_typed(
    write: Write, tmp_path: Path, settings: tuple[str, ...], columns: dict[str, str], words: str
) -> None:
    pairs = (("columns", columns),) if columns else ()
    exam = JudgeEval(str(pairs_file(write, 40)), write("small.yaml", CONSTITUTION), (), settings, pairs)
    with pytest.raises(UserError) as error:
        command.search_judge(exam, str(write("judge.yaml", BY_NUMBERS)), tmp_path / "search", True)
    said = str(error.value)
    assert words in said and "\n" not in said and "search:" not in said and "stages[" not in said


def test_the_command_prints_a_table_and_lines_for_a_recipe(cai: Callable[..., Any], write: Write) -> None:
    line = ("--constitution", write("small.yaml", CONSTITUTION), "--model", write("judge.yaml", BY_NUMBERS))
    out = write("x", "").parent / "search"
    ran = cai("judge-eval", pairs_file(write), *line, "--out", out, "--search", "--method", "logprob", "exemplars=0")
    assert ran.returncode == 0, ran.stderr
    said = " ".join(ran.stdout.split())
    assert "this judge is surely better than as usual" in said
    assert "- label: model: judge method: logprob names: numbers exemplars: 0" in said
    page = (out / "exam.html").read_text()
    assert "<h2>Forms of asking</h2>" in page and "names: numbers" in page and "is surely better" in page
    assert "Bai et al. 2022, section 4.1" in page
