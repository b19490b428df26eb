"""How far the judges of an evaluation can be believed: what stands beside every number that came from them.

Without people nobody knows whether a judge is right; known are whether it says the same when the answers change places, and how
much it leaves undecided. With pairs that people compared, judged by the same judges in the same way, its accuracy is known too.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NotRequired, TypedDict, cast

from cai.errors import RunError, UserError
from cai.judge.exam import SamePosition
from cai.judge.figures import by, judged_pairs, mean, position, right
from cai.judge.kinds import kinds
from cai.judge.panel import PanelAgreement, by_model, panel_agreement
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


class JudgeNote(TypedDict):
    """One judge.

    Attributes:
        model: what it is called in votes.
        unread: the share of its votes that could not be read.
        position: how often it chose the same position in both orders.
        verdicts: how its votes were read, see ``cai.judge.kinds``.
        self: the models evaluated that are this very model, or have its weights.
    """

    model: str
    votes: form.Count
    unread: form.Share | None
    position: SamePosition
    verdicts: dict[str, dict[str, form.Count]]
    self: list[str]
    exam: NotRequired[ExamResult]


class Reliability(TypedDict):
    """``judge.json``: who judged an evaluation, and how far that can be believed.

    Attributes:
        judges: by role.
        principles: ids of those judged under; all where none is named.
        undecided: the share of all comparisons.
        exam: of the judges together.
        says: the same in sentences.
    """

    judges: dict[str, JudgeNote]
    method: str
    constitution: str
    principles: list[str]
    against: str
    compared: form.Count
    undecided: form.Share | None
    agreement: NotRequired[PanelAgreement]
    exam: NotRequired[ExamResult]
    says: list[str]


def names_of(rows: Iterable[Preference], judges: Sequence[str]) -> dict[str, str]:
    """Role → what the judge is called in votes; all judges as one, without a name, where votes do not tell them apart."""
    names = next((list(by_model(row.votes)) for row in rows), [])
    if len(judges) == 1 or len(names) != len(judges):
        return {" and ".join(judges): ""}
    return dict(zip(judges, names, strict=True))


def judge_notes(
    rows: Sequence[Preference], judges: Mapping[str, str], themselves: Mapping[str, list[str]]
) -> dict[str, JudgeNote]:
    """Each judge by its votes.

    Args:
        judges: as of ``names_of``.
        themselves: role → the models evaluated that are the judge's own.
    """
    return {role: _note(_of_judge(rows, name), name, themselves.get(role, [])) for role, name in judges.items()}


def _note(rows: Sequence[Preference], name: str, own: list[str]) -> JudgeNote:
    votes = [vote for row in rows for vote in row.votes]
    unread = sum(vote.p_a is None for vote in votes)
    every = position(rows)
    return {
        "model": name or ", ".join(dict.fromkeys(vote.model for vote in votes)),
        "votes": len(votes),
        "unread": unread / len(votes) if votes else None,
        "position": {"both": every["both"], "same": every["same"], "rate": every["rate"], "first": every["first"]},
        "verdicts": kinds(row.votes for row in rows),
        "self": own,
    }


def _of_judge(rows: Iterable[Preference], name: str) -> list[Preference]:
    """The rows with the votes of one judge alone; as they are where none is named."""
    if not name:
        return list(rows)
    return [replace(row, votes=by_model(row.votes).get(name, ())) for row in rows]


def together(rows: Sequence[Preference], want: Judging) -> tuple[float | None, PanelAgreement | None]:
    """The share of comparisons that were not decided, and how far judges agree where there are several."""
    statuses = Counter(row.status for row in rows)
    undecided = 1 - statuses["ok"] / len(rows) if rows else None
    return undecided, panel_agreement(rows, want)


def examined(rows: Iterable[Preference], data: str) -> ExamResult:
    """What pairs that people compared say of those who judged them."""
    pairs = [each for each in judged_pairs(rows) if each.people != 0.5]
    share, tracks = mean(pairs, right), by((each.row.pair.track, each) for each in pairs)
    return {
        "data": data,
        "pairs": len(pairs),
        "accuracy": cast("Accuracy", asdict(share)),
        "by_track": {track: cast("Accuracy", asdict(each)) for track, each in tracks.items()},
        "where": HERE,
    }


def examined_alone(rows: Iterable[Preference], name: str, data: str, want: Judging) -> ExamResult:
    """The same of one judge of several, by its own votes."""
    alone = []
    for row in _of_judge(rows, name):
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
    about = {"data": Path(exam["data"]).name, "pairs": result["pairs"], "where": STORED}
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
    return name.rstrip("/").rpartition("/")[2]


def sentences(of: Reliability) -> list[str]:
    """What there is to say of the judges, the most telling first."""
    lines = (
        [_exam_line("the judges together" if len(of["judges"]) > 1 else "the judge", of["exam"])]
        if "exam" in of
        else []
    )
    for role, note in of["judges"].items():
        who = role if len(of["judges"]) > 1 else f"the judge, {role},"
        if "exam" in note and len(of["judges"]) > 1:
            lines.append(_exam_line(role, note["exam"]))
        spot = note["position"]
        if spot["rate"] is not None:
            lines.append(
                f"shown both orders, {who} chose the same position rather than the same answer in {spot['same']} of "
                f"{spot['both']} comparisons ({spot['rate']:.0%})"
            )
        for own in note["self"]:
            lines.append(f"{own} is judged by {'itself' if own == role else f'{role}, which has the same weights'}")
    if "exam" not in of:
        lines.append("how often the judge is right is not known: name pairs that people compared under `exam`")
    if of["undecided"] is not None:
        lines.append(f"{of['undecided']:.0%} of {of['compared']} comparisons were not decided")
    if "agreement" in of and (rate := of["agreement"]["rate"]) is not None:
        lines.append(f"the judges had the same winner in {rate:.0%} of {of['agreement']['both']} that each decided")
    return lines


def _exam_line(who: str, exam: ExamResult) -> str:
    share = exam["accuracy"]
    if share["value"] is None:
        return f"{who} could be compared with people on no pair of {exam['data']}"
    by_whom = "" if exam["where"] == HERE else f", by {STORED}, whose settings may have been others"
    coin = "" if share["low"] > 0.5 else "; that may be a coin's"
    return (
        f"{who} agreed with people in {share['value']:.0%} ({share['low']:.0%} to {share['high']:.0%}) of "
        f"{exam['pairs']} pairs of {exam['data']}{by_whom}{coin}"
    )
