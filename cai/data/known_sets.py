"""Sets of comparisons that are known: by their columns and what these hold, with what their labels stand for as their cards say.

Each is written as a recipe's ``columns`` would say it. A file with a set's columns whose values are not the set's is not it.
"""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cai.data import set_rows
from cai.data.labels import LABELS, Form, Meaning, label_columns, number_of

Data = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class KnownSet:
    """One set.

    Attributes:
        columns: which a row has; with ``alone``, no others.
        form: where prompt, answers and label stand.
        meaning: what the label's values stand for.
        says: that in words, for people.
        shape: whether a row's values are built as the set's are.
        sign: whether all values of the label together show that it is the set's: an unsigned strength has none below 0.
        witness: whether other columns of a row bear its label out; None where they say nothing of it.
        rows: a row → rows with the usual columns, where a set's own are built otherwise.
    """

    name: str
    columns: frozenset[str]
    form: Form
    says: str
    meaning: Meaning = field(default_factory=Meaning)
    alone: bool = False
    shape: Callable[[Data], bool] = lambda _: True
    sign: Callable[[Collection[str]], bool] = lambda _: True
    witness: Callable[[Data], bool | None] = lambda _: None
    rows: Callable[[Data], Sequence[Data]] | None = None

    def has(self, data: Data) -> bool:
        """Whether a row is one of its own, by its columns and how their values are built."""
        return (self.columns == data.keys() if self.alone else self.columns <= data.keys()) and self.shape(data)

    def holds(self, value: str) -> bool:
        """Whether its label can hold this value."""
        if self.meaning.scale:
            number = number_of(value)
            return isinstance(number, int) and -3 <= number <= 3
        return not self.meaning.values or value in self.meaning.values


def set_of(data: Data, columns: Mapping[str, object]) -> KnownSet | None:
    """The set whose columns a row has, unless the recipe's ``columns`` name others than the set's, or two would do.

    Nor is it one where another column may be the label: a strength beside a winner has no sign.
    """
    matches = [each for each in KNOWN_SETS if each.has(data) and _agrees(each.form, columns)]
    if len(matches) != 1:
        return None
    match, others = matches[0], {each for each in LABELS if each in data}
    return match if label_columns(columns) or others <= {*match.columns, *match.form.labels} else None


def _agrees(form: Form, columns: Mapping[str, object]) -> bool:
    if not columns.keys() & {"prompt", "a", "b", "label"}:
        return True
    answers = {columns[key] for key in ("a", "b") if key in columns}
    prompt = not form.prompt or columns.get("prompt", form.prompt) == form.prompt
    return prompt and answers <= {form.a, form.b} and label_columns(columns) in ((), form.labels)


def _scores_bear_out(data: Data) -> bool | None:
    """Of SHP, in which the better comment is the one with more votes."""
    label, a, b = (number_of(data.get(key)) for key in ("labels", "score_A", "score_B"))
    return None if a is None or b is None or a == b or label not in (0, 1) else (a > b) == (label == 1)


def _safety_bears_out(data: Data) -> bool | None:
    """Of PKU-SafeRLHF, in which the safe one of two answers is the safer one."""
    label, safe = (
        number_of(data.get("safer_response_id")),
        (data.get("is_response_0_safe"), data.get("is_response_1_safe")),
    )
    if label not in (0, 1) or not all(isinstance(each, bool) for each in safe) or safe[0] == safe[1]:
        return None
    return bool(safe[int(label)])


def _form(prompt: str, a: str, b: str, *labels: str) -> Form:
    return Form("labelled", a, b, labels, prompt)


def _numbers(first: str, second: str) -> Meaning:
    return Meaning({first: 1, second: 0}, exhaustive=True)


def _has_signs(values: Collection[str]) -> bool:
    """Whether they are strengths with signs, as far as one can see."""
    return any(each.startswith("-") for each in values)


_CHOSEN, _SIGN_SCALE = Form("chosen"), Meaning(scale="signed")
_HELPSTEER = "below 0 means {}, above 0 {}, 0 a tie"
_HH = re.compile(r"\s*Human: ")

KNOWN_SETS = (
    KnownSet(
        "SHP",
        frozenset({"history", "human_ref_A", "human_ref_B", "labels"}),
        _form("history", "human_ref_A", "human_ref_B", "labels"),
        "labels 1 means human_ref_A, 0 human_ref_B",
        _numbers("1", "0"),
        witness=_scores_bear_out,
    ),
    KnownSet(
        "HelpSteer2",
        frozenset({"split", "prompt", "response_1", "response_2", "preference_strength"}),
        _form("prompt", "response_1", "response_2", "preference_strength"),
        f"preference_strength {_HELPSTEER.format('response_1', 'response_2')}",
        _SIGN_SCALE,
        sign=_has_signs,
    ),
    KnownSet(
        "HelpSteer3",
        frozenset({"domain", "context", "response1", "response2", "overall_preference"}),
        _form("context", "response1", "response2", "overall_preference"),
        f"overall_preference {_HELPSTEER.format('response1', 'response2')}",
        _SIGN_SCALE,
        sign=_has_signs,
    ),
    KnownSet(
        "PKU-SafeRLHF",
        frozenset({"response_0", "response_1", "better_response_id"}),
        _form("", "response_0", "response_1", "better_response_id"),
        "better_response_id is the number of the better answer",
        _numbers("0", "1"),
    ),
    KnownSet(
        "PKU-SafeRLHF",
        frozenset({"response_0", "response_1", "safer_response_id"}),
        _form("", "response_0", "response_1", "safer_response_id"),
        "safer_response_id is the number of the safer answer",
        _numbers("0", "1"),
        witness=_safety_bears_out,
    ),
    KnownSet(
        "LLMBar",
        frozenset({"input", "output_1", "output_2", "label"}),
        _form("input", "output_1", "output_2", "label"),
        "label 1 means output_1, 2 output_2",
        _numbers("1", "2"),
        alone=True,
        sign=lambda values: "2" in values,
    ),
    KnownSet(
        "AlpacaFarm",
        frozenset({"instruction", "input", "output_1", "output_2", "preference", "raw_preference"}),
        _form("instruction", "output_1", "output_2", "preference"),
        "preference 1 means output_1, 2 output_2",
        _numbers("1", "2"),
    ),
    KnownSet(
        "PandaLM",
        frozenset({"instruction", "input", "response1", "response2", "annotator1", "annotator2", "annotator3"}),
        _form("instruction", "response1", "response2", set_rows.THREE),
        "three people's labels, of which 1 means response1, 2 response2, 0 a tie",
        rows=set_rows.pandalm,
    ),
    KnownSet(
        "lmsys-arena-human-preference-55k",
        frozenset({"prompt", "response_a", "response_b", *set_rows.HOT}),
        _form("prompt", "response_a", "response_b", *set_rows.HOT),
        "winner_model_a 1 means response_a, winner_model_b 1 response_b, winner_tie 1 a tie",
        shape=lambda data: bool(set_rows.turns(data.get("prompt"))),
        rows=set_rows.arena,
    ),
    KnownSet(
        "arena conversations",
        frozenset({"conversation_a", "conversation_b", "model_a", "model_b", "winner"}),
        _form("", "conversation_a", "conversation_b", "winner"),
        "winner names model_a, model_b or a tie",
        rows=set_rows.battles,
    ),
    KnownSet(
        "JudgeBench",
        frozenset({"pair_id", "question", "response_A", "response_B", "label"}),
        _form("question", "response_A", "response_B", "label"),
        "label is A>B or B>A",
    ),
    KnownSet(
        "UltraFeedback",
        frozenset({"instruction", "completions"}),
        _form("prompt", "a", "b", "label"),
        "of each two completions the one whose ratings have the higher mean is the better",
        shape=lambda data: isinstance(data.get("completions"), list),
        rows=set_rows.ultrafeedback,
    ),
    KnownSet(
        "UltraFeedback, binarized",
        frozenset({"prompt", "chosen", "rejected", "score_chosen", "score_rejected"}),
        _CHOSEN,
        "chosen is the better answer",
    ),
    KnownSet(
        "RewardBench 2",
        frozenset({"prompt", "chosen", "rejected", "num_correct", "num_incorrect"}),
        Form("choice"),
        "each answer under chosen is better than each under rejected",
        shape=lambda data: isinstance(data.get("chosen"), list) and isinstance(data.get("rejected"), list),
        rows=set_rows.rewardbench2,
    ),
    KnownSet(
        "RewardBench",
        frozenset({"prompt", "chosen", "rejected", "chosen_model", "rejected_model", "subset"}),
        _CHOSEN,
        "chosen is the better answer",
    ),
    KnownSet(
        "hh-rlhf",
        frozenset({"chosen", "rejected"}),
        _CHOSEN,
        "chosen is the better answer",
        alone=True,
        shape=lambda data: bool(_HH.match(str(data.get("chosen")))),
    ),
)
