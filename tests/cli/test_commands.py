"""``cai test``, ``cai try`` and ``cai diff`` as an author runs them, on models whose answers are known."""

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
Cai = Callable[..., subprocess.CompletedProcess[str]]
Write = Callable[[str, str], Path]
CONSTITUTION = """\
name: small
principles:
  - id: kind
    title: Kindness
    critique: Say which words are unkind.
    revision: Say the same kindly.
    judgment: Which of the two answers is kinder?
    examples:
      - {prompt: Hi., better: GOOD hello to you!, worse: BAD.}
      - {prompt: Bye., better: GOOD bye!, worse: BAD bye and stay away.}
  - id: short
    critique: Say which words could go.
    revision: Say it shorter.
    judgment: Which of the two answers is shorter?
    examples:
      - {prompt: "Why?", better: GOOD., worse: BAD because of everything.}
      - {prompt: "How?", better: GOOD one., worse: BAD indeed.}
"""
KNOWS = """\
- {when: "Answer .A.: GOOD[\\\\s\\\\S]*Question:", choose: {A: 0.8, B: 0.1}}
- {when: "Question:", choose: {A: 0.1, B: 0.8}}
- {when: "^Revision request", say: ["A kind word."]}
- {when: "Critique request", say: ["A rude word."]}
- {say: ["A rude word."]}
"""
FIRST = '- {when: "Question:", choose: {A: 0.8, B: 0.1}}\n- {say: ["x"]}\n'
MUTE = '- {when: "Question:", choose: {A: 0.01, B: 0.01}}\n- {say: ["x"]}\n'


@pytest.fixture
def small(write: Write) -> Path:
    return write("small.yaml", CONSTITUTION)


def figures(cai: Cai, constitution: Path, script: Path, *more: str) -> dict[str, object]:
    ran = cai("test", constitution, "--model", script, "--json", *more)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_judge_that_knows_is_right_everywhere(cai: Cai, small: Path, write: Write) -> None:
    found = figures(cai, small, write("s.yaml", KNOWS))
    assert found["all"]["accuracy"] == 1.0  # type: ignore[index]
    assert found["all"]["same_position"] == 0.0  # type: ignore[index]
    assert found["floors"] == {"first": 0.5, "longer": 0.25, "shorter": 0.75}
    assert [each["p_better"] for each in found["examples"]] == [pytest.approx(8 / 9)] * 4  # type: ignore[attr-defined]
    assert found["verdicts"] == {"logprobs": {"votes": 8, "samples": 0, "read": 0, "structured": 0}}


def test_a_judge_without_log_probabilities_is_tested_as_well(cai: Cai, small: Path, write: Write) -> None:
    script = write("s.yaml", "- {say: ['The answer is: (A)', 'Hm.', 'The answer is: (A)']}\n")
    verdicts = figures(cai, small, script)["verdicts"]["sampled"]  # type: ignore[index]
    assert (verdicts["votes"], verdicts["samples"]) == (8, 40)
    assert 16 < verdicts["read"] < 40
    assert "(cot, by samples, both orders)" in cai("test", small, "--model", script, "--method", "cot").stdout


def test_a_judge_that_always_names_the_first_scores_one_half(cai: Cai, small: Path, write: Write) -> None:
    found = figures(cai, small, write("s.yaml", FIRST))["all"]
    assert (found["accuracy"], found["same_position"], found["unreadable"]) == (0.5, 1.0, 0.0)  # type: ignore[index]


def test_what_cannot_be_read_is_not_right(cai: Cai, small: Path, write: Write) -> None:
    found = figures(cai, small, write("s.yaml", MUTE))["all"]
    assert (found["accuracy"], found["same_position"], found["unreadable"]) == (0.0, None, 1.0)  # type: ignore[index]


def test_a_judge_that_is_always_wrong_asks_whether_the_examples_are(cai: Cai, small: Path, write: Write) -> None:
    wrong = write(
        "s.yaml", KNOWS.replace("A: 0.8, B: 0.1", "A: 0.1, B: 0.9").replace("A: 0.1, B: 0.8", "A: 0.8, B: 0.1")
    )
    asks = "Are the examples the other way round? If `better` and `worse` have changed places"
    assert asks in str(figures(cai, small, wrong)["question"])
    assert f"Worse than a coin. {asks}" in cai("test", small, "--model", wrong).stdout
    assert (
        figures(cai, small, write("k.yaml", KNOWS))["question"]
        == figures(cai, small, write("m.yaml", MUTE))["question"]
        == ""
    )


def test_the_table_names_principles_intervals_and_floors(cai: Cai, small: Path, write: Write) -> None:
    shown = cai("test", small, "--model", write("s.yaml", KNOWS)).stdout
    assert "same pos." in shown
    for words in ("kind", "short", "100%", "34–100%", "floor: longer", "floor: shorter", "all"):
        assert words in shown


def test_under_the_threshold_it_exits_with_1_and_ci_reads_junit(cai: Cai, small: Path, write: Write) -> None:
    out = small.parent / "ci" / "judge.xml"
    line = ("test", small, "--model", write("s.yaml", FIRST), "--junit", out, "--threshold")
    assert cai(*line, "0.5").returncode == 0
    failed = cai(*line, "0.9")
    assert failed.returncode == 1
    assert "under the threshold 0.90" in failed.stderr
    root = ElementTree.parse(out).getroot()
    assert [(suite.get("name"), suite.get("tests"), suite.get("failures")) for suite in root] == [
        ("kind", "2", "2"),
        ("short", "2", "2"),
    ]
    assert "P(better) = 0.50" in (root[0][0][0].get("message") or "")


def test_one_principle_alone_and_an_unknown_one(cai: Cai, small: Path, write: Write) -> None:
    script = write("s.yaml", KNOWS)
    assert list(figures(cai, small, script, "--principle", "short")["principles"]) == ["short"]  # type: ignore[call-overload]
    wrong = cai("test", small, "--model", script, "--principle", "shor")
    assert wrong.returncode == 2
    assert 'there is no principle "shor"; did you mean "short"?' in wrong.stderr


def test_a_chain_is_shown_with_its_principle_and_what_changed(cai: Cai, small: Path, write: Write) -> None:
    ran = cai("try", small, "Hello?", "--model", write("s.yaml", KNOWS), "--principle", "kind", "--rounds", "2")
    assert ran.returncode == 0
    for words in (
        "draft, by scripted",
        "critique 1, under kind: Kindness",
        "A [-rude-] {+kind+} word.",
        "revision 2",
        "(the answer as it was)",
    ):
        assert words in ran.stdout


@pytest.mark.parametrize("form", ["chat", "transcript"])
def test_the_exact_text_sent_is_shown(cai: Cai, small: Path, write: Write, form: str) -> None:
    script = write("s.yaml", '- {say: ["x"]}\n')
    model = f"{{scripted: {script}, format: {form}}}"
    ran = cai("try", small, "Hel{lo}?", "--model", model, "--principle", "kind", "--show-prompt")
    assert "Human: Hel{lo}?\n\nAssistant: x\n\nCritique request: Say which words are unkind." in ran.stdout
    assert ("<<system>>" in ran.stdout) is (form == "chat")
    assert ("\nCritique:\n" in ran.stdout) is (form == "transcript")


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nobody", "--model: there is no model at nobody"),
        ("{vlm: x/y}", '--model:1: vlm: unknown key; did you mean "vllm"?'),
        ("{vllm: a/b, local: c/d}", "needs exactly one of"),
        ("http://127.0.0.1:9/v1", "does not answer"),
        ("", "--model is empty; name a model"),
        ("{}", "--model:1: needs at least 1 key, found none"),
        ("bundled/gpt", 'there is no bundled model "gpt"'),
    ],
)
def test_a_model_that_is_not_there_is_a_sentence(cai: Cai, small: Path, model: str, words: str) -> None:
    ran = cai("try", small, "Hello?", "--model", model)
    assert ran.returncode == 2
    assert words in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_difference_is_shown_word_by_word(cai: Cai, small: Path, write: Write) -> None:
    text = CONSTITUTION.replace("is kinder", "is much kinder").replace("id: short", "id: brief")
    ran = cai("diff", small, write("new.yaml", text))
    assert ran.returncode == 0
    assert "~ kind.judgment" in ran.stdout
    assert "Which of the two answers is {+much+} kinder?" in ran.stdout
    assert "- short" in ran.stdout
    assert "+ brief" in ran.stdout
    assert "1 added, 1 removed, 1 changed, 0 the same" in ran.stdout
    assert "the two say the same" in cai("diff", small, small).stdout


def test_exemplars_are_told_apart_by_their_words_and_their_order(cai: Cai, small: Path, write: Write) -> None:
    one = "    - {prompt: Hi., a: Go., b: Hello!, principle: kind, reasoning: A is rude., verdict: B}\n"
    two = "    - {prompt: Bye., a: See you!, b: Go., principle: kind, reasoning: B is rude., verdict: A}\n"
    old = write("old.yaml", f"{CONSTITUTION}exemplars:\n  judgment:\n{one}{two}")
    turned = cai("diff", old, write("turned.yaml", f"{CONSTITUTION}exemplars:\n  judgment:\n{two}{one}"))
    assert "~ order of exemplars.judgment" in turned.stdout
    edited = two.replace("is rude", "is very rude")
    found = cai("diff", old, write("edited.yaml", f"{CONSTITUTION}exemplars:\n  judgment:\n{one}{edited}"))
    assert "~ exemplars.judgment.kind.reasoning" in found.stdout
    assert "B is {+very+} rude." in found.stdout


def test_exemplars_that_ask_the_same_are_told_apart_by_their_principle(cai: Cai, write: Write) -> None:
    one = "    - {prompt: Hi., a: Go., b: Hello!, principle: kind, reasoning: A is rude., verdict: B}\n"
    two = one.replace("kind", "short")
    old, new = (f"{CONSTITUTION}exemplars:\n  judgment:\n{lines}" for lines in (one + two, two + one))
    ran = cai("diff", write("old.yaml", old), write("new.yaml", new))
    assert "~ order of exemplars.judgment" in ran.stdout


def test_a_difference_tells_what_a_run_would_do_again(
    cai: Cai, scripted_run: Callable[..., Path], write: Write
) -> None:
    text = (ROOT / "principles" / "harmless.yaml").read_text(encoding="utf-8")
    old = write("old.yaml", text)
    folder = scripted_run(f"constitution={old}")
    new = write("new.yaml", text.replace("Say where the assistant's", "Say plainly where the assistant's"))
    ran = cai("diff", folder, new, "--run", folder)
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"revise: touches \d+ of 45 rows", ran.stdout)
    assert "label: touches 0 of" in ran.stdout
    for stage in ("sft_set", "report"):
        assert f"{stage}: would be done again whole" in ran.stdout
    stages = json.loads(cai("diff", folder, new, "--run", folder, "--json").stdout)["stages"]
    assert stages["revise"]["action"] == "reopen"
    assert stages["prefs"] == {"action": "stands", "touched": [], "rows": 0}
    assert "the run stands as it is" in cai("diff", folder, old, "--run", folder).stdout
    # By its name, too, from the folder that holds the runs' folder.
    (folder.parent / "runs").mkdir()
    folder.rename(folder.parent / "runs" / "mine")
    named = cai("diff", "mine", new, "--run", "mine", cwd=folder.parent)
    assert "revise: touches" in named.stdout


def test_a_run_file_that_no_run_wrote_is_a_sentence(cai: Cai, small: Path, write: Write) -> None:
    for text in ("{}", "[", "[]"):
        write("r/run.json", text)
        ran = cai("diff", small.parent / "r", small)
        assert (ran.returncode, "is not what a run wrote there" in ran.stderr) == (2, True)


def test_what_is_sent_is_shown_to_the_letter(cai: Cai, small: Path, write: Write) -> None:
    asked = "tab\there and [bold]" + " word" * 60
    ran = cai("try", small, asked, "--model", write("s.yaml", KNOWS), "--show-prompt")
    assert f"Human: {asked}\n" in ran.stdout


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (("test", "--junit", "/"), "--junit: / cannot be written"),
        (("test", "--principle", "bare"), "--principle: bare: no examples or no judgment question"),
        (("try", "Hi", "--principle", "kind", "--principle", "short", "--rounds", "1"), "leaves no round for short"),
        (("try", "a\udcff"), "PROMPT is not UTF-8 text"),
        (("try", " "), "PROMPT is empty"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(cai: Cai, write: Write, line: tuple[str, ...], words: str) -> None:
    small = write("c.yaml", f"{CONSTITUTION}  - {{id: bare, critique: c, revision: r, judgment: j}}\n")
    ran = cai(line[0], small, *line[1:], "--model", write("s.yaml", KNOWS))
    assert ran.returncode == 2
    assert words in ran.stderr
    assert not ran.stdout


def test_a_test_tells_what_it_left_out(cai: Cai, write: Write) -> None:
    small = write("c.yaml", f"{CONSTITUTION}  - {{id: bare, critique: c, revision: r, judgment: j}}\n")
    ran = cai("test", small, "--model", write("s.yaml", KNOWS))
    assert "not tested, as they have no examples or no judgment question: bare" in ran.stdout + ran.stderr


def test_an_empty_draft_is_a_sentence(cai: Cai, small: Path, write: Write) -> None:
    ran = cai("try", small, "Hi", "--model", write("s.yaml", '- {say: [""]}\n'))
    assert ran.returncode == 1
    assert "the draft is empty; in a run the row is dropped" in ran.stderr


def test_no_examples_is_a_sentence(cai: Cai, write: Write) -> None:
    bare = write("b.yaml", "name: b\nprinciples:\n  - {id: a, critique: c, revision: r, judgment: j}\n")
    ran = cai("test", bare, "--model", write("s.yaml", KNOWS))
    assert ran.returncode == 2
    assert "has examples; add some to test" in ran.stderr


@pytest.mark.real
def test_a_real_server_judges_transcripts(cai: Cai, real_server: Any) -> None:
    """A random model cannot judge; that its answers are read is what can be asked of it here."""
    model = f"{{endpoints: ['{real_server.url}'], model: {real_server.served.name}, format: transcript}}"
    line = ("test", "principles/harmless.yaml", "--principle", "privacy", "--exemplars", "2", "--json", "--model")
    ran = cai(*line, model)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)["all"]
    assert found["examples"] == 4
    assert found["unreadable"] == 0.0


REASONS = """\
- {when: "[\\\\s\\\\S]*Question: Which of the two answers is kinder", say: ["It is \\e[31mwarm."], choose: {A: 0.9, B: 0.05}}
- {say: ["Both are read."], choose: {A: 0.5, B: 0.5}}
"""


def test_what_failed_is_shown_with_all_that_the_judge_said_and_was_sent(cai: Cai, small: Path, write: Write) -> None:
    script = write("s.yaml", REASONS)
    shown = cai("test", small, "--model", script, "--method", "cot", "--failed").stdout
    for words in (
        "kind, example 1: neither is preferred, P(better) = 0.500",
        "GOOD hello to you!",
        "judged with the better answer first: P(better) = 0.947 (ok, by log-probability)",
        "judged with the worse answer first: P(better) = 0.053",
        "It is \\x1b[31mwarm.",
        "request 1 of 4, as it was sent\n<<system>>",
        "request 2 of 4, as it was sent, after 2 messages that the first request above begins with\n<<the answer begins>>",
        "<<the answer begins>>",
        "<<the next token's probabilities of A, B>>",
        "<<replied>>\nA 0.900, B 0.050",
        "4 of 4 examples not right",
    ):
        assert words in shown
    assert "\x1b" not in shown
    knows = write("k.yaml", KNOWS)
    assert cai("test", small, "--model", knows, "--failed").stdout.endswith("\n0 of 4 examples not right\n")


def test_what_failed_is_whole_as_json(cai: Cai, small: Path, write: Write) -> None:
    found = figures(cai, small, write("s.yaml", REASONS), "--method", "cot", "--failed", "--principle", "kind")
    first: Any = found["failed"][0]  # type: ignore[index]
    assert (first["prompt"], first["better"], first["p_better"]) == ("Hi.", "GOOD hello to you!", pytest.approx(0.5))
    assert [(vote["order"], vote["reasoning"]) for vote in first["votes"]] == [
        ("ab", "It is \x1b[31mwarm."),
        ("ba", "It is \x1b[31mwarm."),
    ]
    reasons, letters = first["asked"][:2]
    assert reasons["request"]["messages"][-1]["content"].count("Question: Which of the two answers is kinder?") == 1
    assert reasons["reply"]["texts"] == ["It is \x1b[31mwarm."]
    assert letters["request"]["choices"] == ["A", "B"] and "The answer is: (" in letters["request"]["begin"]
    assert letters["reply"]["probabilities"] == {"A": pytest.approx(0.9), "B": pytest.approx(0.05)}
    knows = figures(cai, small, write("k.yaml", KNOWS), "--failed")
    assert knows["failed"] == [] and "failed" not in figures(cai, small, write("k.yaml", KNOWS))


def test_answers_are_called_as_the_author_wants(cai: Cai, small: Path, write: Write) -> None:
    script = write("s.yaml", '- {when: "Answer .1.", choose: {"1": 0.8, "2": 0.1}}\n- {say: [x]}\n')
    assert figures(cai, small, script, "--names", "numbers")["all"]["unreadable"] == 0.0  # type: ignore[index]
    for line, words in (
        (("--names", "nmbers"), 'there is no "nmbers"; did you mean "numbers"'),
        (("--names", "words", "--method", "score"), "--names is for two answers beside each other"),
    ):
        assert words in cai("test", small, "--model", script, *line).stderr
