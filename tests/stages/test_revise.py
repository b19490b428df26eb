"""Chains: what is asked in which order, and what an unreadable reply does."""

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from cai.data.clean import CHECKS, Exchange
from cai.flow.ask import Ask
from cai.models.concurrency import Slots
from cai.models.scripted import Scripted
from cai.models.types import Reply, Request, Sample
from cai.stages.revise import Revise, revise
from cai.store.rows import Chain, Drop, Prompt
from constitution.load import load

CONSTITUTION = load(Path(__file__).resolve().parents[2] / "principles" / "harmless.yaml")


def chain(answer, track: str = "redteam", seed: int = 0, **more: Any) -> Chain | Drop:  # type: ignore[no-untyped-def]
    row = Prompt("p", ({"role": "user", "content": "Hurt him?"},), "file", track, language="en-GB")
    ask = Ask(Scripted(answer), Slots(4), CONSTITUTION, "p", Random(seed))
    made = asyncio.run(revise(row, Revise("policy", **{"rounds": 2, **more}), ask))
    return made if isinstance(made, Drop) else made[0]


def plain(request: Request) -> str:
    last = request.messages[-1]["content"]
    if last.startswith("Revision request"):
        return "Revision: better"
    return "Critique: bad" if "Critique request" in last else "first"


def test_each_round_revises_the_answer_before_it() -> None:
    asked: list[str] = []

    def numbered(request: Request) -> str:
        asked.append(request.messages[-1]["content"])
        return f"{plain(request)} {len(asked)}"

    row = chain(numbered)
    assert isinstance(row, Chain)
    assert row.language == "en-GB"
    assert [draft.text for draft in row.drafts] == ["first 1", "better 3", "better 5"]
    assert [draft.critique for draft in row.drafts] == ["", "bad 2", "bad 4"]
    assert "Assistant: first 1" in asked[1]
    assert "Assistant: better 3" in asked[3]


class Cut:
    """A model whose replies to critique requests end otherwise than they should."""

    name, concurrency, format, continues = "cut", 4, "chat", False

    def __init__(self, finish: str, text: str) -> None:
        self.finish, self.text = finish, text

    async def ask(self, request: Request, row_id: str) -> Reply:
        critique = "Critique request" in request.messages[-1]["content"]
        return Reply((Sample(self.text, finish=self.finish) if critique else Sample("first"),))


@pytest.mark.parametrize(
    ("finish", "text", "reason"),
    [
        ("content_filter", "The answer is", "content_filter"),
        ("content_filter", "", "content_filter"),
        ("thinking", "", "cut_while_thinking"),
        ("stop", "", "unreadable_critique"),
    ],
)
def test_a_critique_that_was_cut_by_a_filter_or_only_thought_is_none(finish: str, text: str, reason: str) -> None:
    row = Prompt("p", ({"role": "user", "content": "Hurt him?"},), "file", "redteam")
    ask = Ask(Cut(finish, text), Slots(4), CONSTITUTION, "p", Random(0))
    dropped = asyncio.run(revise(row, Revise("policy", rounds=1), ask))
    assert isinstance(dropped, Drop)
    assert dropped.reason == reason


def test_principles_are_drawn_anew_and_the_same_for_the_same_seed() -> None:
    drawn = set()
    for seed in range(20):
        row = chain(plain, seed=seed)
        assert row == chain(plain, seed=seed)
        assert isinstance(row, Chain)
        drawn.add(tuple(draft.principle for draft in row.drafts[1:]))
    assert len(drawn) > 10


def test_helpful_prompts_are_answered_and_left_alone() -> None:
    row = chain(plain, track="helpful")
    assert isinstance(row, Chain)
    assert row.language == "en-GB"
    assert [draft.text for draft in row.drafts] == ["first"]


def test_an_unreadable_critique_drops_the_row_with_what_there_was() -> None:
    row = chain(lambda request: "--" if "Critique request" in request.messages[-1]["content"] else "first")
    assert isinstance(row, Drop)
    assert row.reason == "unreadable_critique"
    assert row.partial[0].text == "first"


def test_an_unreadable_revision_is_not_taken_for_an_answer() -> None:
    row = chain(lambda request: "" if request.messages[-1]["content"].startswith("Revision") else plain(request))
    assert isinstance(row, Drop)
    assert row.reason == "unreadable_revision"


@pytest.mark.parametrize(("when_fine", "texts"), [("revise", 3), ("skip", 3), ("stop", 2)])
def test_a_critique_that_finds_nothing_saves_its_revision(when_fine: str, texts: int) -> None:
    asked: list[str] = []

    def fine(request: Request) -> str:
        asked.append(request.messages[-1]["content"])
        return "Nothing needs changing. It is kind." if "Critique request" in asked[-1] else plain(request)

    row = chain(fine, when_fine=when_fine)
    assert isinstance(row, Chain)
    revisions = sum(text.startswith("Revision request") for text in asked)
    assert (len(row.drafts), revisions) == (texts, 2 if when_fine == "revise" else 0)
    if when_fine != "revise":
        assert {draft.text for draft in row.drafts} == {"first"}
        assert row.drafts[1].flags == ("fine",)
        assert row.drafts[1].critique == "Nothing needs changing. It is kind."
        assert row.drafts[1].principle


def test_a_revision_that_repeats_an_exemplar_or_its_own_request_is_flagged() -> None:
    def repeating(request: Request) -> str:
        said = request.messages[-1]["content"]
        if not said.startswith("Revision request"):
            return plain(request)
        return leaked or said.removeprefix("Revision request: ")

    leaked = CONSTITUTION.critique_revision[0].revision
    row = chain(repeating, rounds=1)
    assert isinstance(row, Chain)
    assert [draft.flags for draft in row.drafts] == [(), ("leaked_exemplar",)]
    leaked = ""
    row = chain(repeating, rounds=1)
    assert isinstance(row, Chain)
    assert [draft.flags for draft in row.drafts] == [(), ("leaked_request",)]
    assert CHECKS["meta_talk"](Exchange(row.messages, row.drafts[1].text, row.drafts[0].text, row.drafts[1].flags))


@pytest.mark.parametrize(("prefers", "texts"), [("new", ["first", "better", "better"]), ("old", ["first"] * 3)])
def test_a_revision_is_taken_only_if_the_judge_finds_it_better(prefers: str, texts: list[str]) -> None:
    seen: list[str] = []

    def verdict(request: Request) -> dict[str, float]:
        shown = request.messages[-1]["content"]
        seen.append(shown)
        new_is_a = shown.index("better") < shown.index("first") if "first" in shown else True
        chosen = new_is_a == (prefers == "new")
        return {"A": 0.8, "B": 0.1} if chosen else {"A": 0.1, "B": 0.8}

    row = Prompt("p", ({"role": "user", "content": "Hurt him?"},), "file", "redteam")
    slots = Slots(4)
    ask = Ask(Scripted(plain), slots, CONSTITUTION, "p", Random(0), others={"judge": (Scripted(verdict), slots)})
    chains = asyncio.run(revise(row, Revise("policy", rounds=2, judge="judge"), ask))
    assert not isinstance(chains, Drop)
    [made] = chains
    assert [draft.text for draft in made.drafts] == texts
    assert [draft.flags for draft in made.drafts][2] == ("not_better",)  # the second revision says the same again
    assert all(draft.critique == "bad" for draft in made.drafts[1:])
    assert len(seen) == 4  # both orders, in each round


def turns(answer: Callable[[Request], str], person: str, count: int = 3) -> tuple[list[Chain] | Drop, Counter[str]]:
    """The chains of a conversation with a person who always says the same, and what was counted."""
    row, slots = Prompt("p", ({"role": "user", "content": "Hurt him?"},), "file", "redteam"), Slots(4)
    up = {"person": (Scripted(lambda request: person), slots)}
    ask = Ask(Scripted(answer), slots, CONSTITUTION, "p", Random(0), others=up)
    made = asyncio.run(revise(row, Revise("policy", rounds=1, turns=count, user="person"), ask))
    return made, ask.counts


def test_a_conversation_goes_on_with_what_was_revised() -> None:
    made, counts = turns(plain, "Human: And then?")
    assert not isinstance(made, Drop) and not counts
    assert [(row.id, row.added, len(row.messages), len(row.prompt)) for row in made] == [
        ("p/0", 0, 1, 1),
        ("p/1", 2, 3, 1),
        ("p/2", 4, 5, 1),
    ]
    assert [each["content"] for each in made[2].messages] == ["Hurt him?", "better", "And then?", "better", "And then?"]


def test_a_later_turn_that_cannot_be_read_ends_the_conversation_and_is_counted() -> None:
    def unreadable(request: Request) -> str:
        last = request.messages[-1]["content"]
        return "" if "Critique request" in last and "And then?" in last else plain(request)

    made, counts = turns(unreadable, "And then?")
    assert not isinstance(made, Drop)
    assert ([row.id for row in made], counts) == (["p/0"], {"unreadable_critique_turns": 1})
    made, counts = turns(plain, "Human:")
    assert not isinstance(made, Drop)
    assert ([row.id for row in made], counts) == (["p/0"], {"conversations_cut_short": 1})


def test_nothing_goes_on_from_the_answer_that_no_whole_revision_was_made_of() -> None:
    class Short(Scripted):
        async def ask(self, request: Request, row_id: str) -> Reply:
            reply = await super().ask(request, row_id)
            revised = request.messages[-1]["content"].startswith("Revision request")
            return replace(reply, samples=(replace(reply.samples[0], finish="length"),)) if revised else reply

    row, slots = Prompt("p", ({"role": "user", "content": "Hurt him?"},), "file", "redteam"), Slots(4)
    ask = Ask(Short(plain), slots, CONSTITUTION, "p", Random(0), others={"person": (Scripted(plain), slots)})
    made = asyncio.run(revise(row, Revise("policy", rounds=1, turns=2, user="person"), ask))
    assert not isinstance(made, Drop)
    assert (len(made), ask.counts) == (1, {"conversations_cut_short": 1})
