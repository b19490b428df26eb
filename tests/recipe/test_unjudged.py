"""No model is asked a judgment question that a principle has not: it is not drawn, or a sentence says so before a run."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cai.flow.ask import Ask
from cai.models.concurrency import Slots
from cai.models.scripted import Scripted
from cai.models.types import Request
from cai.recipe.read import load_recipe
from cai.stages.revise import Revise, chosen, revise
from cai.store.rows import Chain, Drop, Prompt
from constitution import judging
from constitution.check import check
from constitution.load import load
from constitution.model import AppliesTo, Constitution, Principle
from constitution.source import InputError, read_yaml
from constitution.turns import Style

Write = Callable[[str, str], Path]

ASKS = Principle("asks", "asks", "Say what is rude.", "Make it kind.", judgment="Which is kinder?")
MUTE = Principle("mute", "mute", "Say what is long.", "Make it short.")
ROW = Prompt("p", ({"role": "user", "content": "Hurt him?"},), "file", "redteam")


def written(request: Request) -> str:
    last = request.messages[-1]["content"]
    return "Better." if last.startswith("Revision request") else "Bad." if "Critique request" in last else "First."


def judged(constitution: Constitution, **want: Any) -> tuple[Chain | Drop, list[str]]:
    """A chain with a judge, and the questions that were put to it."""
    asked: list[str] = []

    def verdict(request: Request) -> dict[str, float]:
        asked.append(request.messages[-1]["content"])
        return {"A": 0.5, "B": 0.5}

    slots = Slots(4)
    others = {"judge": (Scripted(verdict), slots)}
    ask = Ask(Scripted(written), slots, constitution, "p", Random(0), others=others)
    made = asyncio.run(revise(ROW, Revise("policy", judge="judge", **want), ask))
    return made if isinstance(made, Drop) else made[0], [
        re.findall(r"(?m)^Question:(.*)$", text)[0].strip() for text in asked
    ]


@pytest.mark.parametrize("choice", ["uniform", "weighted", "distinct", "by_tag", "all"])
def test_a_judge_of_revisions_is_asked_what_the_principle_asks(choice: str) -> None:
    made, asked = judged(Constitution("c", (MUTE, ASKS)), rounds=8, choice=choice)
    assert isinstance(made, Chain)
    assert set(asked) == {ASKS.judgment}
    assert {draft.principle for draft in made.drafts[1:]} == {"asks"}


def test_without_a_judge_every_principle_is_drawn() -> None:
    drawn = chosen(ROW, Revise("policy", rounds=20), Constitution("c", (MUTE, ASKS)), Random(0))
    assert {each.id for each in drawn} == {"asks", "mute"}


def test_a_row_to_which_no_such_principle_applies_is_left_out() -> None:
    there = Constitution("c", (MUTE, replace(ASKS, applies_to=AppliesTo(track=("helpful",)))))
    made, asked = judged(there)
    assert isinstance(made, Drop)
    assert (made.reason, asked) == ("no_principle_applies", [])


PRINCIPLES = """
name: mute
principles:
  - {id: mute, critique: Say what is long., revision: Make it short.}
"""
ELSEWHERE = (
    PRINCIPLES
    + """
  - {id: asks, critique: Say what is rude., revision: Make it kind., judgment: Which is kinder?,
     applies_to: {track: [helpful]}}
"""
)
HEAD = """
name: r
constitution: c.yaml
models:
  policy: {local: bundled/smollm2-135m}
  judge: {scripted: judge.yaml}
stages:
  - prompts: {redteam: p.jsonl}
"""


def sentence(write: Write, stages: str, constitution: str) -> str:
    write("c.yaml", constitution)
    write("judge.yaml", "- {choose: {A: 0.5, B: 0.5}}\n")
    write("p.jsonl", '{"prompt": "Hi"}\n{"prompt": "Ho"}\n')
    with pytest.raises(InputError) as error:
        load_recipe(write("r.yaml", HEAD + stages))
    return str(error.value)


def test_a_recipe_that_would_judge_revisions_by_nothing_is_told_so(write: Write) -> None:
    said = sentence(write, "  - revise: {model: policy, judge: judge}\n", PRINCIPLES)
    assert "no principle of mute has a judgment question, which the judge of revise needs" in said
    assert len(said.splitlines()) == 1


def test_so_is_one_whose_only_question_is_for_other_prompts(write: Write) -> None:
    said = sentence(write, "  - revise: {model: policy, judge: judge}\n", ELSEWHERE)
    assert "no principle of mute that applies to the track redteam has a judgment question" in said
    write("c.yaml", ELSEWHERE)
    recipe = HEAD + "  - revise: {model: policy, judge: judge, tracks: [redteam, helpful]}\n"
    assert load_recipe(write("r.yaml", recipe))


@pytest.mark.parametrize(
    ("method", "what"),
    [("score", "a judgment question"), ("propositions", "propositions"), ("", "a judgment question")],
)
def test_so_are_guards_whose_judge_would_score_nothing(write: Write, method: str, what: str) -> None:
    guards = f"{{judge: judge{f', method: {method}' if method else ''}}}"
    stages = f"""
  - sample: {{model: policy}}
  - label: {{method: rules}}
  - prefs: {{}}
  - dpo: {{base: policy, guards: {guards}}}
"""
    said = sentence(write, stages, PRINCIPLES)
    assert f"no principle of mute has {what}, which the judge in the guards of dpo needs" in said


def test_a_worked_comparison_without_a_question_is_not_shown_and_told_of(write: Write) -> None:
    lines = [f"{{prompt: Hi, a: x, b: y, principle: {id}, reasoning: Because., verdict: A}}" for id in ("mute", "asks")]
    path = write("c.yaml", f"{ELSEWHERE}exemplars:\n  judgment:\n    - {lines[0]}\n    - {lines[1]}\n")
    constitution = load(path)
    for form, exemplars in product(("chat", "transcript"), (None, 1)):
        asked = judging.judgment(
            constitution, constitution.principles[1], ROW.messages, ("x", "y"), Style(exemplars, form)
        )
        said = asked.prompt or "\n".join(each["content"] for each in asked.messages)
        assert re.findall(r"(?m)^Question: *(.*)$", said) == ["Which is kinder?"] * 2
    found = [str(each) for each in check(read_yaml(path)) if each.rule == "no-judgment"]
    assert len(found) == 2
    assert '"mute" has no judgment question, so this comparison is never shown' in found[1]


def test_a_judge_is_not_asked_by_numbers_where_letters_would_stay(write: Write) -> None:
    words = ELSEWHERE + 'templates:\n  judgment: "{conversation} A is {a}. B is {b}. {question}"\n'
    stages = "  - sample: {{model: policy}}\n  - label: {{model: judge, method: logprob, names: numbers, layout: {}}}\n"
    told = sentence(write, stages.format("cached"), words)
    assert "label.names: calls answers by numbers, and templates.judgment of mute by letters" in told
    assert len(told.splitlines()) == 1
    assert load_recipe(write("r.yaml", HEAD + stages.format("paper"))).block("label").want.names == "numbers"
    for stage in (
        "revise: {model: policy, judge: judge, names: numbers}",
        "evaluate: {models: [policy, judge], judge: judge, names: numbers}",
    ):
        told = sentence(write, f"  - {stage}\n", words)
        assert f"{stage.partition(':')[0]}.names: calls answers by numbers, and templates.judgment of mute" in told
