"""How often judges agree with people: on pairs that they judged a moment ago, or in an exam that they sat before."""

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TypedDict, cast

from cai.data.notation import printable
from cai.errors import RunError, UserError
from cai.judge.figures import by, judged_pairs, mean, right
from cai.judge.panel import of_judge
from cai.judge.settings import Judging
from cai.judge.settle import settle
from cai.store import form
from cai.store.files import read_json
from cai.store.form import misfit
from cai.store.rows import Preference

HERE, STORED = "here", "cai judge-eval"


class Accuracy(TypedDict):
    """A share of pairs with its 95% interval, as read from a file."""

    value: form.Share | None
    low: form.Share
    high: form.Share
    of: form.Count


class ExamResult(TypedDict):
    """How often judges prefer what most people do.

    Attributes:
        data: the name of the pairs' file.
        where: "here", judged as the evaluation was; or "cai judge-eval", whose result was given.
    """

    data: str
    pairs: form.Count
    accuracy: Accuracy
    by_track: dict[str, Accuracy]
    where: str


def examined(rows: Iterable[Preference], data: str) -> ExamResult:
    """What pairs that people compared say of those who judged them."""
    pairs = [each for each in judged_pairs(rows) if each.people != 0.5]
    share, tracks = mean(pairs, right), by((each.row.pair.track, each) for each in pairs)
    return {
        "data": printable(data),
        "pairs": len(pairs),
        "accuracy": cast("Accuracy", asdict(share)),
        "by_track": {track: cast("Accuracy", asdict(each)) for track, each in tracks.items()},
        "where": HERE,
    }


def examined_alone(rows: Iterable[Preference], name: str, data: str, want: Judging) -> ExamResult:
    """The same of one judge of several, by its own votes."""
    alone = []
    for row in of_judge(rows, name):
        principles = dict.fromkeys(vote.principle for vote in row.votes)
        votes = [[vote for vote in row.votes if vote.principle == each] for each in principles]
        status, p_a, _ = settle([(name, votes)], want) if votes else ("error", None, None)
        alone.append(replace(row, status=status, p_a=p_a, p_calibrated=None))
    return examined(alone, data)


class _StoredMethod(TypedDict):
    """What is read of a method's figures."""

    model: str
    pairs: form.Count
    accuracy: Accuracy
    by_track: dict[str, Accuracy]


class _StoredExam(TypedDict):
    """What is read of ``cai judge-eval --json``."""

    data: str
    constitution: str
    methods: dict[str, _StoredMethod]


def stored_exam(path: Path, model: str, method: str, constitution: str) -> ExamResult:
    """The result of an exam that was sat before.

    Args:
        model: what the judge is called in votes.
        constitution: the name of the one that it judges by; empty where it is shown none.

    Raises:
        UserError: the file is no such result, or one of another judge, method or constitution.
    """
    exam = _read(path)
    if method not in exam["methods"]:
        has = ", ".join(exam["methods"]) or "nothing"
        raise UserError(
            f"{path} has no exam of the method {method}, but of {has}; sit it with: cai judge-eval --method {method}"
        )
    result = exam["methods"][method]
    if _last(result["model"]) != _last(model):
        raise UserError(f"{path} is an exam of {result['model']}, and the judge is {model}; sit it with this judge")
    if constitution and exam["constitution"] != constitution:
        raise UserError(f"{path} was sat under {exam['constitution']}, and this is judged under {constitution}")
    about = {"data": printable(Path(exam["data"]).name), "pairs": result["pairs"], "where": STORED}
    return cast("ExamResult", {**about, "accuracy": result["accuracy"], "by_track": result["by_track"]})


def _read(path: Path) -> _StoredExam:
    try:
        data = read_json(path)
    except RunError as error:
        raise UserError(str(error)) from None
    if wrong := misfit(data, _StoredExam) if data is not None else "it is not there":
        raise UserError(
            f"{path} is no result of cai judge-eval --json ({wrong}); name pairs that people compared, or such a result"
        )
    return cast("_StoredExam", data)


def _last(name: str) -> str:
    """A model may be named by another path to it."""
    return name.removeprefix("scripted:").rstrip("/").rpartition("/")[2]
