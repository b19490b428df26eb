"""Known sets are known by their columns and what these hold, and read as their cards say; a file that only looks alike is not."""

import json
from pathlib import Path
from typing import Any

import pytest

from cai.data.comparisons import comparisons
from cai.data.conversations import Unusable
from cai.data.forms import has_pairs
from cai.data.prompt_source import PromptSource
from cai.data.prompts import with_keys
from cai.data.survey import survey
from cai.errors import UserError
from cai.store.rows import Prompt

ASK = "How long does rye dough rest?"
GOOD, BAD = "GOOD: a night in the cold.", "BAD: who knows."


def shp(label: Any, a: str, b: str, votes: tuple[int, int]) -> dict[str, Any]:
    scores = {"score_A": votes[0], "score_B": votes[1]}
    return {"post_id": "p", "history": ASK, "human_ref_A": a, "human_ref_B": b, "labels": label, **scores}


def helpsteer2(strength: int, one: str, two: str) -> dict[str, Any]:
    return {"prompt": ASK, "response_1": one, "response_2": two, "preference_strength": strength, "split": "train"}


def helpsteer3(preference: int, one: str, two: str) -> dict[str, Any]:
    context = [{"role": "user", "content": ASK}]
    return {
        "domain": "general",
        "context": context,
        "response1": one,
        "response2": two,
        "overall_preference": preference,
    }


def pku(label: str, id: Any, zero: str, one: str, safe: tuple[bool, bool]) -> dict[str, Any]:
    known = {"is_response_0_safe": safe[0], "is_response_1_safe": safe[1]}
    return {"prompt": ASK, "response_0": zero, "response_1": one, f"{label}_response_id": id, **known}


def pandalm(labels: tuple[Any, ...], one: str, two: str) -> dict[str, Any]:
    people = {f"annotator{n}": label for n, label in enumerate(labels, 1)}
    return {"idx": 0, "cmp_key": "x_y", "instruction": ASK, "input": "", "response1": one, "response2": two, **people}


def arena(won: str, a: list[str], b: list[str]) -> dict[str, Any]:
    hot = {f"winner_{each}": int(each == won) for each in ("model_a", "model_b", "tie")}
    asked = json.dumps([ASK, "And wheat?"][: len(a)])
    return {
        "id": 1,
        "model_a": "x",
        "model_b": "y",
        "prompt": asked,
        "response_a": json.dumps(a),
        "response_b": json.dumps(b),
        **hot,
    }


def talk(answer: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": ASK}, {"role": "assistant", "content": answer}]


def battle(winner: str, a: str, b: str) -> dict[str, Any]:
    return {
        "model_a": "x",
        "model_b": "y",
        "winner": winner,
        "conversation_a": talk(a),
        "conversation_b": talk(b),
        "turn": 1,
    }


def completion(text: str, score: float | None, ratings: tuple[Any, ...] = ()) -> dict[str, Any]:
    aspects = {f"aspect {n}": {"Rating": rating, "Rationale": "So."} for n, rating in enumerate(ratings)}
    return {"response": text, "overall_score": 10, "fine-grained_score": score, "annotations": aspects}


FIRST, SECOND, TIE = (GOOD, BAD), (BAD, GOOD), ("TIE: a night.", "TIE: one night.")
SETS: dict[str, list[dict[str, Any]]] = {
    "SHP: labels 1 means human_ref_A": [shp(1, *FIRST, (9, 2)), shp(0, *SECOND, (1, 7))],
    "HelpSteer2: preference_strength below 0 means response_1": [
        helpsteer2(-3, *FIRST),
        helpsteer2(1, *SECOND),
        helpsteer2(0, *TIE),
    ],
    "HelpSteer3: overall_preference below 0 means response1": [
        helpsteer3(-1, *FIRST),
        helpsteer3(3, *SECOND),
        helpsteer3(0, *TIE),
    ],
    "PKU-SafeRLHF: better_response_id": [
        pku("better", 0, *FIRST, (False, True)),
        pku("better", 1, *SECOND, (True, True)),
    ],
    "PKU-SafeRLHF: safer_response_id": [pku("safer", 0, *FIRST, (True, False)), pku("safer", 1, *SECOND, (True, True))],
    "LLMBar: label 1 means output_1": [
        {"input": ASK, "output_1": GOOD, "output_2": BAD, "label": 1},
        {"input": ASK, "output_1": BAD, "output_2": GOOD, "label": 2},
    ],
    "AlpacaFarm: preference 1 means output_1": [
        {"instruction": ASK, "input": "", "output_1": a, "output_2": b, "preference": label, "raw_preference": label}
        for label, a, b in ((1, *FIRST), (2, *SECOND))
    ],
    "PandaLM: three people's labels": [
        pandalm((1, 1, 1), *FIRST),
        pandalm((2, 2, 2), *SECOND),
        pandalm((0, 0, 0), *TIE),
    ],
    "lmsys-arena-human-preference-55k: winner_model_a": [
        arena("model_a", [GOOD], [BAD]),
        arena("model_b", [BAD], [GOOD]),
        arena("tie", *([each] for each in TIE)),
        arena("model_a", ["Two hours.", GOOD], ["Two hours.", BAD]),
    ],
    "arena conversations: winner": [
        battle("model_a", *FIRST),
        battle("model_b", *SECOND),
        battle("tie", *TIE),
        battle("tie (bothbad)", *TIE),
    ],
    "JudgeBench: label is A>B": [
        {"pair_id": "p", "question": ASK, "response_A": a, "response_B": b, "label": label}
        for label, a, b in (("A>B", *FIRST), ("B>A", *SECOND))
    ],
    "UltraFeedback: of each two completions": [
        {"instruction": ASK, "completions": [completion(BAD, 1.5), completion(GOOD, 4.75)]},
        {
            "instruction": ASK,
            "completions": [completion(GOOD, None, ("5", "N/A", 4)), completion(BAD, None, ("1", "5"))],
        },
        {"instruction": ASK, "completions": [completion(TIE[0], 3), completion(TIE[1], 3), completion("", 5)]},
    ],
    "UltraFeedback, binarized: chosen": [
        {
            "prompt": ASK,
            "prompt_id": "x",
            "chosen": talk(GOOD),
            "rejected": talk(BAD),
            "score_chosen": 8.0,
            "score_rejected": 5.0,
        }
    ],
    "RewardBench: chosen": [
        {
            "prompt": ASK,
            "chosen": GOOD,
            "rejected": BAD,
            "chosen_model": "x",
            "rejected_model": "y",
            "subset": "z",
            "id": 1,
        }
    ],
    "RewardBench 2: each answer under chosen": [
        {"prompt": ASK, "chosen": [GOOD], "rejected": [BAD, f"{BAD} No."], "num_correct": 1, "num_incorrect": 2}
    ],
    "hh-rlhf: chosen": [
        {key: f"\n\nHuman: {ASK}\n\nAssistant: {text}" for key, text in (("chosen", GOOD), ("rejected", BAD))}
    ],
}


@pytest.mark.parametrize(("name", "rows"), SETS.items(), ids=[each.partition(":")[0] for each in SETS])
def test_a_known_set_is_read_as_its_card_says(name: str, rows: list[dict[str, Any]]) -> None:
    seen = survey(rows, {}, "p.jsonl")
    [said] = seen.says
    assert said.startswith(f"p.jsonl: read as {name}")
    pairs = [pair for row in rows for pair in comparisons(row, seen)]
    assert len(pairs) >= len(rows)
    for pair in pairs:
        assert pair.messages[0] == {"role": "user", "content": ASK}
        right = 0.5 if pair.first.startswith("TIE") else float(pair.first.startswith("GOOD"))
        assert set(pair.people) == {right} and {pair.first[:4], pair.second[:4]} in ({"GOOD", "BAD:"}, {"TIE:"})


def test_a_row_whose_other_columns_speak_against_its_label_is_left_out() -> None:
    rows = [*SETS["SHP: labels 1 means human_ref_A"] * 5, shp(0, *FIRST, (9, 2))]
    seen = survey(rows, {})
    assert len([pair for row in rows[:-1] for pair in comparisons(row, seen)]) == 10
    with pytest.raises(Unusable, match="its label and its other columns do not agree as those of SHP do"):
        comparisons(rows[-1], seen)
    [pair] = comparisons(rows[-1], survey(rows, {"first": 1}))  # who says what a label means is believed
    assert pair.people == (0,)


def test_its_columns_can_be_named_and_changed_about() -> None:
    rows = SETS["SHP: labels 1 means human_ref_A"]
    named = {"prompt": "history", "a": "human_ref_A", "b": "human_ref_B", "label": "labels"}
    for columns in (named, {**named, "a": "human_ref_B", "b": "human_ref_A"}, {"label": "labels"}):
        pairs = [pair for row in rows for pair in comparisons(row, survey(rows, columns))]
        assert all((pair.first if pair.people == (1,) else pair.second) == GOOD for pair in pairs)
    strong = SETS["HelpSteer2: preference_strength below 0 means response_1"][:2]
    seen = survey(strong, {"a": "response_2", "b": "response_1"})
    assert [comparisons(row, seen)[0].people for row in strong] == [(0,), (1,)]


def test_what_a_recipe_says_goes_before_a_card_and_it_is_told() -> None:
    rows = SETS["SHP: labels 1 means human_ref_A"]
    seen = survey(rows, {"label": "labels", "first": 0}, "p.jsonl")
    assert [comparisons(row, seen)[0].people for row in rows] == [(0,), (1,)]
    assert seen.says == (
        "p.jsonl: labels 0 means human_ref_A, 1 means human_ref_B, as `columns` says",
        "p.jsonl: by its columns it is SHP, where labels 1 means human_ref_A, 0 human_ref_B; `columns` says otherwise",
    )


@pytest.mark.parametrize(
    "rows",
    [
        [shp(1, *FIRST, (9, 2)), shp(2, *SECOND, (1, 7))],  # another value than the set's
        [shp(0, *FIRST, (9, 2)), shp(1, *SECOND, (1, 7))],  # turned about, as its votes show
        [shp(1, *FIRST, (9, 2)), shp(0, *SECOND, (1, 7))] * 4 + [shp(0, *FIRST, (9, 2))] * 4,  # a third of it
        [{key: row[key] for key in row if key != "split"} for row in (helpsteer2(-3, *FIRST), helpsteer2(1, *SECOND))],
        [{key: row[key] for key in row if key != "domain"} for row in (helpsteer3(-3, *FIRST), helpsteer3(1, *SECOND))],
        [pku("safer", 1, *FIRST, (True, False)), pku("safer", 0, *SECOND, (False, True))],
        [helpsteer2(-3, *FIRST), helpsteer2(7, *SECOND)],
        [helpsteer2(3, *FIRST), helpsteer2(1, *FIRST)],  # strengths without signs, perhaps
        [{"input": ASK, "output_1": BAD, "output_2": GOOD, "label": 1}],  # counted from 0, perhaps
        [pku("better", 0, *FIRST, (True, True)), pku("better", 2, *FIRST, (True, True))],
        [{"input": ASK, "output_1": GOOD, "output_2": BAD, "label": 1, "more": 1}],
        [{"prompt": ASK, "response1": GOOD, "response2": BAD, "overall_preference": -1}],
        [pandalm((1, 2, 5), *FIRST)],
        [{**arena("model_a", [GOOD], [BAD]), "prompt": ASK}],
        [{**helpsteer2(3, *FIRST), "label": 0}],  # a strength, and a label beside it
        [{"prompt": ASK, "answer_1": GOOD, "answer_2": BAD, "better_response_id": 1}],
    ],
)
def test_what_only_looks_like_a_known_set_is_asked(rows: list[dict[str, Any]]) -> None:
    with pytest.raises(UserError):
        survey(rows, {}, "p.jsonl")


def test_a_label_of_an_earlier_turn_is_of_the_answers_in_it() -> None:
    """MT-Bench's people judged the first turn of conversations that go on."""
    row = battle("model_a", GOOD, BAD)
    for key, more in (("conversation_a", "BAD: no."), ("conversation_b", "GOOD: it rises.")):
        row[key] = [*row[key], {"role": "user", "content": "And wheat?"}, {"role": "assistant", "content": more}]
    [pair] = comparisons(row, survey([row], {}))
    assert (len(pair.messages), pair.first, pair.second, pair.people) == (1, GOOD, BAD, (1,))


@pytest.mark.parametrize(
    "row",
    [
        {"id": "v2-1", "prompt": ASK, "type": "homonyms", "label": "safe", "focus": "kill", "note": ""},  # XSTest
        {  # RBR
            "category": "other",
            "response_type": "comply",
            "prompt": [{"role": "user", "content": ASK}],
            "completion": GOOD,
            "propositions": {"apology": True},
        },
        {"prompt": ASK, "completion": GOOD, "label": True},  # KTO
        {"prompt": ASK, "answers": [{"answer": GOOD, "rank": 1.0}, {"answer": BAD, "rank": 2.0}]},  # Nectar
        {"prompt": ASK, "response": GOOD, "helpfulness": 4, "verbosity": 2},  # HelpSteer
    ],
)
def test_what_compares_no_two_answers_is_prompts(row: dict[str, Any], tmp_path: Path) -> None:
    assert not has_pairs(row)
    path = tmp_path / "p.jsonl"
    path.write_text(json.dumps(row) + "\n")
    [(prompt, _)] = with_keys({"redteam": [PromptSource(str(path))]})
    assert isinstance(prompt, Prompt) and [each["content"] for each in prompt.messages] == [ASK]
