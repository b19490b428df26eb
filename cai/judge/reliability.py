"""How far the judges of an evaluation can be believed: what stands beside every number that came from them.

Without people nobody knows whether a judge is right; known are whether it says the same when the answers change places, and how
much it leaves undecided. With pairs that people compared, judged by the same judges in the same way, its accuracy is known too.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NotRequired, TypedDict

from cai.judge.exam import SamePosition
from cai.judge.exam_result import HERE, STORED, ExamResult
from cai.judge.figures import position
from cai.judge.kinds import kinds
from cai.judge.panel import PanelAgreement, by_model, of_judge, panel_agreement
from cai.judge.settings import Judging
from cai.store import form
from cai.store.rows import Preference
from constitution.wording import count


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
    return {role: _note(of_judge(rows, name), name, themselves.get(role, [])) for role, name in judges.items()}


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


def together(rows: Sequence[Preference], want: Judging) -> tuple[float | None, PanelAgreement | None]:
    """The share of comparisons that were not decided, and how far judges agree where there are several."""
    statuses = Counter(row.status for row in rows)
    undecided = 1 - statuses["ok"] / len(rows) if rows else None
    return undecided, panel_agreement(rows, want)


def sentences(of: Reliability) -> list[str]:
    """What there is to say of the judges, the most telling first."""
    lines = (
        [_exam_line("the judges together" if len(of["judges"]) > 1 else "the judge", of["exam"])]
        if "exam" in of
        else []
    )
    for role, note in of["judges"].items():
        lines += _judge_lines(role, note, len(of["judges"]) > 1)
    if "exam" not in of:
        lines.append("how often the judge is right is not known: name pairs that people compared under `exam`")
    if of["undecided"] is not None:
        lines.append(f"{of['undecided']:.0%} of {count(of['compared'], 'comparison')} were not decided")
    if "agreement" in of and (rate := of["agreement"]["rate"]) is not None:
        lines.append(f"the judges had the same winner in {rate:.0%} of {of['agreement']['both']} that each decided")
    return lines


def _judge_lines(role: str, note: JudgeNote, one_of_several: bool) -> Iterator[str]:
    if "exam" in note and one_of_several:
        yield _exam_line(role, note["exam"])
    spot = note["position"]
    if spot["rate"] is not None:
        yield (
            f"shown both orders, {role} chose the same position rather than the same answer in {spot['same']} of "
            f"{count(spot['both'], 'comparison')} ({spot['rate']:.0%})"
        )
    for own in note["self"]:
        yield f"{own} is judged by {'itself' if own == role else f'{role}, which has the same weights'}"


def _exam_line(who: str, exam: ExamResult) -> str:
    share = exam["accuracy"]
    if share["value"] is None:
        return f"{who} could be compared with people on no pair of {exam['data']}"
    by_whom = "" if exam["where"] == HERE else f", by {STORED}, whose settings may have been others"
    coin = "" if share["low"] > 0.5 else "; a coin may do as well"
    coin = "; that is worse than a coin: are the labels the other way round?" if share["high"] < 0.5 else coin
    return (
        f"{who} agreed with people in {share['value']:.0%} ({share['low']:.0%} to {share['high']:.0%}) of "
        f"{count(exam['pairs'], 'pair')} of {exam['data']}{by_whom}{coin}"
    )
