"""Rows as cards: what the page shows of one, whatever its stage, in texts that may be shown.

The page draws some of them itself, for paper and for browsers without scripts; its search draws any of them. Both say the same.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import NotRequired, TypedDict

from cai.judge.kinds import doubt
from cai.report.format import KINDS, question
from cai.report.rows import unrevised
from cai.store.lines import DropLine
from cai.store.rows import Answers, Chain, Draft, Preference, Scored, Vote
from constitution.visible import json_text, visible
from constitution.wording import count

MOST = 20_000
"""Letters of one text; more of it is in the run's files."""
TIED = ("tie", "inconsistent")
"""Statuses of comparisons that were read and have no winner."""


class AnswerCard(TypedDict):
    """An answer; ``under`` is the id of the principle of the critique that led to it, ``note`` what else is to be said of it."""

    by: str
    text: str
    thought: NotRequired[str]
    under: NotRequired[str]
    critique: NotRequired[str]
    note: NotRequired[str]


class VoteCard(TypedDict):
    """A vote: its principle's id, what it came to, the judge's reasoning, and what it thought before."""

    under: str
    says: str
    why: NotRequired[str]
    thought: NotRequired[str]


class VerdictCard(TypedDict):
    """What a comparison came to, and its votes; ``over`` is who won over whom, and how surely, 0 to 1, where one did."""

    says: str
    over: NotRequired[tuple[str, str, float]]
    votes: list[VoteCard]


class Card(TypedDict):
    """A row.

    Attributes:
        outcomes: what became of it, in words that it is found by.
        sure: how far the judge was from undecided, 0 to 1; None where none judged.
        words: of its longest answer.
    """

    id: str
    track: str
    tags: list[str]
    outcomes: list[str]
    principles: list[str]
    sure: float | None
    words: int
    prompt: str
    answers: list[AnswerCard]
    verdicts: list[VerdictCard]


def shown(text: str) -> str:
    """A text that may be shown: its controls written out, and its end left out where it has none."""
    cut = text if len(text) <= MOST else f"{text[:MOST]}… ({len(text) - MOST:,} more letters are in the run's files)"
    return visible(cut)


def of_prompt(answers: Mapping[str, Answers], comparisons: Mapping[tuple[str, str], Preference]) -> Card:
    """A held-out prompt with the models' answers.

    Args:
        answers: by role.
        comparisons: by the roles of a and of b.
    """
    first = next(iter(answers.values()))
    texts = [_answer(role, row.draft) for role, row in answers.items()]
    verdicts = [_comparison(row, *roles) for roles, row in comparisons.items()]
    about = (first.id, first.track, first.tags)
    outcomes = [outcome(row, *roles) for roles, row in comparisons.items()] or ["not compared"]
    card = _card(about, question(first.messages), texts, verdicts, _principles(comparisons.values()))
    return {**card, "outcomes": outcomes, "sure": _surest(comparisons.values())}


def of_preference(row: Preference) -> Card:
    """A pair with its votes."""
    texts = [
        _answer(f"answer {name}{_by(each)}", each) for name, each in zip("abcdefgh", row.pair.answers, strict=False)
    ]
    about = (row.id, row.pair.track, row.pair.tags)
    card = _card(about, question(row.messages), texts, [_comparison(row, "a", "b")], _principles([row]))
    return {**card, "outcomes": [outcome(row, "a", "b"), *_people(row)], "sure": _surest([row])}


def of_chain(row: Chain) -> Card:
    """An answer and its revisions."""
    first, *others = row.drafts
    texts = [_answer(f"first answer{_by(first)}", first)]
    texts += [_revision(number, draft) for number, draft in enumerate(others, 1)]
    flags = sorted({visible(flag).replace("_", " ") for draft in row.drafts for flag in draft.flags})
    card = _card((row.id, row.track, ()), question(row.messages), texts, [], [each.principle for each in others])
    return {**card, "outcomes": [count(len(row.revisions), "revision"), *flags]}


def of_scored(row: Scored) -> Card:
    """Answers with their scores."""
    texts = [
        {
            **_answer(f"answer{_by(draft)}", draft),
            "note": "score: " + ("not read" if score is None else f"{score:.3f}"),
        }
        for draft, score in zip(row.answers, row.scores, strict=True)
    ]
    under = [row.principle] if row.principle else []
    return _card((row.id, row.track, row.tags), question(row.messages), texts, [], under)  # pyright: ignore[reportArgumentType]


def of_drop(drop: DropLine, stage: str) -> Card:
    """A row that was left out, with what was made of it."""
    texts: list[AnswerCard] = [{"by": "why", "text": shown(drop["detail"] or drop["reason"].replace("_", " "))}]
    if drop["partial"] is not None:
        texts.append({"by": "what there was of it", "text": shown(json_text(drop["partial"]))})
    card = _card(
        (f"{stage}/{drop['id'] or drop['in']}", "", ()),
        f"{stage}: {drop['reason'].replace('_', ' ')} ({drop['in']})",
        texts,
        [],
        [],
    )
    return {**card, "outcomes": [f"{stage}: {drop['reason'].replace('_', ' ')}"], "words": 0}


def outcome(row: Preference, a: str, b: str) -> str:
    """Which of two won, by their names; or that neither did, and why."""
    won = _winner(row)
    if won is None:
        return f"{a} and {b}: {row.status if row.status != 'ok' else 'tie'}"
    return f"{a} over {b}" if won > 0.5 else f"{b} over {a}"


def _card(
    about: tuple[str, str, Sequence[str]],
    prompt: str,
    answers: list[AnswerCard],
    verdicts: list[VerdictCard],
    principles: Iterable[str],
) -> Card:
    id, track, tags = about
    return {
        "id": visible(id),
        "track": visible(track),
        "tags": list(map(visible, tags)),
        "outcomes": [],
        "principles": list(dict.fromkeys(visible(each) for each in principles if each)),
        "sure": None,
        "words": max((len(each["text"].split()) for each in answers), default=0),
        "prompt": shown(prompt),
        "answers": answers,
        "verdicts": verdicts,
    }


def _answer(by: str, draft: Draft) -> AnswerCard:
    card: AnswerCard = {"by": visible(by), "text": shown(draft.text)}
    if draft.thinking:
        card["thought"] = shown(draft.thinking)
    return card


def _by(draft: Draft) -> str:
    """Whose an answer is, where that is known."""
    return f", by {draft.model}" if draft.model else ""


def _revision(number: int, draft: Draft) -> AnswerCard:
    card = _answer(f"after round {number}", draft)
    card["under"], card["critique"] = visible(draft.principle), shown(draft.critique)
    if why := unrevised(draft):
        card["note"] = f"no revision in round {number}: {why}"
    return card


def _comparison(row: Preference, a: str, b: str) -> VerdictCard:
    better = "not read" if row.p_a is None else f"P({b} is better) = {1 - row.p_a:.2f}"
    card: VerdictCard = {
        "says": visible(f"{outcome(row, a, b)}; {better}"),
        "votes": [_vote(vote, a, b) for vote in row.votes],
    }
    if (won := _winner(row)) is not None:
        card["over"] = (a, b, _sureness(won)) if won > 0.5 else (b, a, _sureness(won))
    return card


def _winner(row: Preference) -> float | None:
    """P(a) where one of the two won."""
    return row.p_a if row.status == "ok" and row.p_a != 0.5 else None


def _sureness(p: float) -> float:
    return round(2 * abs(p - 0.5), 3)


def _people(row: Preference) -> list[str]:
    """What most people said of a pair, where some did, and whether the judge says otherwise."""
    if not row.pair.people:
        return []
    share = sum(row.pair.people) / len(row.pair.people)
    said = f"people: {'a' if share > 0.5 else 'b' if share < 0.5 else 'even'}"
    won = _winner(row)
    return [said, "judge against people"] if won is not None and (won - 0.5) * (share - 0.5) < 0 else [said]


def _vote(vote: Vote, a: str, b: str) -> VoteCard:
    card: VoteCard = {"under": visible(vote.principle), "says": visible(vote_words(vote, a, b))}
    if vote.rationale:
        card["why"] = shown(vote.rationale)
    if vote.thinking:
        card["thought"] = shown(vote.thinking)
    return card


def vote_words(vote: Vote, a: str, b: str) -> str:
    """What a vote came to: which answer stood first, its status, the probability, and how that was read."""
    order = {"ab": f"{a} shown first", "ba": f"{b} shown first", "alone": "each looked at alone"}
    words = (
        f"{order.get(vote.order, vote.order)}, by {vote.model} ({KINDS.get(vote.verdict, vote.verdict)}): {vote.status}"
    )
    if vote.p_a is not None:
        words += f", P({b} is better) = {1 - vote.p_a:.2f}"
        if interval := doubt(vote):
            words += f" (95%: {1 - interval[1]:.2f} to {1 - interval[0]:.2f})"
        if not vote.samples and vote.answer_mass is not None:
            words += f", options hold {vote.answer_mass:.2f}"
    return words + (f"; {vote.read} of {count(vote.samples, 'sample')} could be read" if vote.samples else "")


def _principles(rows: Iterable[Preference]) -> list[str]:
    return [vote.principle for row in rows for vote in row.votes]


def _surest(rows: Iterable[Preference]) -> float | None:
    return max((_sureness(row.p_a) for row in rows if row.p_a is not None), default=None)
