"""Rows of known sets that are built in a way of their own → rows with the usual columns, of which one may give several."""

import json
from collections.abc import Mapping, Sequence
from itertools import combinations

from cai.data.labels import number_of, value_of
from cai.store.identity import is_text

_PANDALM = {"0": "tie", "1": "response1", "2": "response2"}
THREE = "annotator1, annotator2, annotator3"
HOT = ("winner_model_a", "winner_model_b", "winner_tie")

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


def battles(data: Data) -> Sequence[Data]:
    """Of the arena's conversations, and of MT-Bench's, whose label may be of an earlier turn: each up to the turn it is of."""
    turn, talks = number_of(data.get("turn")), {key: data[key] for key in ("conversation_a", "conversation_b")}
    heads = {
        key: talk[: 2 * turn]
        for key, talk in talks.items()
        if isinstance(talk, list) and isinstance(turn, int) and turn > 0
    }
    return [{**data, **heads}]


def turns(text: object) -> list[str]:
    """The turns of one speaker, in a list or its JSON; none where it is something else."""
    try:
        items = json.loads(text) if isinstance(text, str) else text
    except (ValueError, RecursionError):
        return []
    return items if isinstance(items, list) and all(isinstance(each, str) and each.strip() for each in items) else []


def _exchange(prompt: str, answer: str) -> tuple[dict[str, str], dict[str, str]]:
    return {"role": "user", "content": prompt}, {"role": "assistant", "content": answer}


def ultrafeedback(data: Data) -> Sequence[Data]:
    """Of UltraFeedback: each two of the completions, the one with the higher score before the other.

    One without a text or a score is paired with itself alone, so that it is left out, and counted.
    """
    completions = data.get("completions")
    answers, rest = list[tuple[object, float]](), list[object]()
    for each in completions if isinstance(completions, list) else []:
        response, score = (each.get("response"), _score(each)) if isinstance(each, dict) else (each, None)
        if score is None or not isinstance(response, str) or not response.strip() or not is_text(response):
            rest.append(response)
        else:
            answers.append((response, score))
    prompt = data.get("instruction")
    pairs = [
        {"prompt": prompt, "a": a, "b": b, "label": "tie" if first == second else "ab"[second > first]}
        for (a, first), (b, second) in combinations(answers, 2)
    ]
    return [*pairs, *({"prompt": prompt, "a": each, "b": each, "label": None} for each in rest)]


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
    return [{"prompt": data.get("prompt"), "corrects": data.get("chosen"), "incorrects": data.get("rejected")}]
