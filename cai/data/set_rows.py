"""Rows of known sets that are built in their own way → rows with the usual columns; none where one is built otherwise."""

import json
from collections.abc import Mapping, Sequence
from itertools import combinations

from cai.data.labels import number_of, value_of

THREE = "annotator1, annotator2, annotator3"
"""PandaLM's three people, in one column."""
HOT = ("winner_model_a", "winner_model_b", "winner_tie")
"""Of the arena's 55k: the columns of which one holds 1."""
_PANDALM = {"0": "tie", "1": "response1", "2": "response2"}

Data = Mapping[str, object]


def arena(data: Data) -> Sequence[Data]:
    """Of the arena's 55k: turns as JSON lists, the prompt's beside each answer's."""
    prompts, first, second = (turns(data.get(key)) for key in ("prompt", "response_a", "response_b"))
    if not len(prompts) == len(first) == len(second):
        return []
    talks = (
        [each for turn in zip(prompts, answers, strict=True) for each in _exchange(*turn)]
        for answers in (first, second)
    )
    return [{**dict(zip(("response_a", "response_b"), talks, strict=True)), **{key: data.get(key) for key in HOT}}]


def battle(data: Data) -> Sequence[Data]:
    """Of the arena's conversations, and of MT-Bench's, whose label may be of an earlier turn: each up to the turn it is of."""
    turn, talks = number_of(data.get("turn")), (data["conversation_a"], data["conversation_b"])
    if not isinstance(turn, int) or turn < 1:
        return [data]
    first, second = (talk[: 2 * turn] if isinstance(talk, list) else talk for talk in talks)
    return [{**data, "conversation_a": first, "conversation_b": second}]


def turns(text: object) -> list[str]:
    """Texts, of the arena's 55k in the notation of JSON; none where one is none."""
    try:
        each = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return []
    return each if isinstance(each, list) and all(isinstance(one, str) and one.strip() for one in each) else []


def _exchange(prompt: str, answer: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"role": "user", "content": prompt}, {"role": "assistant", "content": answer}


def ultrafeedback(data: Data) -> Sequence[Data]:
    """Of UltraFeedback: each two of the completions, the one with the higher score before the other."""
    completions = data.get("completions")
    scored = [
        (each.get("response"), score)
        for each in (completions if isinstance(completions, list) else [])
        if isinstance(each, dict) and str(each.get("response") or "").strip() and (score := _score(each)) is not None
    ]
    return [
        {"prompt": data.get("instruction"), "a": a, "b": b, "label": "tie" if first == second else "ab"[second > first]}
        for (a, first), (b, second) in combinations(scored, 2)
    ]


def _score(completion: Data) -> float | None:
    """The mean of its ratings. The overall score of early releases is wrong in places: 10 stands there for 1 too."""
    if (score := number_of(completion.get("fine-grained_score"))) is not None:
        return score
    aspects = completion.get("annotations")
    each = [aspect for aspect in (aspects.values() if isinstance(aspects, dict) else ()) if isinstance(aspect, dict)]
    ratings = [rating for aspect in each if (rating := number_of(aspect.get("Rating"))) is not None]
    return sum(ratings) / len(ratings) if ratings else None


def pandalm(data: Data) -> Sequence[Data]:
    """Of PandaLM's test set: three people's labels."""
    people = [data[f"annotator{number}"] for number in (1, 2, 3)]
    labels = [_PANDALM[value] if (value := value_of(label)) in _PANDALM else label for label in people]
    return [{**{key: data[key] for key in ("instruction", "input", "response1", "response2")}, THREE: labels}]


def rewardbench2(data: Data) -> Sequence[Data]:
    """Of RewardBench 2: several right answers, and several wrong ones."""
    return [{"prompt": data.get("prompt"), "corrects": data.get("chosen"), "incorrects": data.get("rejected")}]
