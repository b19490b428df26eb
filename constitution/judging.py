"""Row + principle → what a judge is asked.

The published order of a comparison is conversation, question, answers (Bai et al. 2022, section 4.1): ``layout: paper``.
Ours puts the question, which varies, after the answers, so that a server's cache holds all before it for every principle.
"""

from collections.abc import Sequence

from constitution import forms
from constitution.forms import LETTERS
from constitution.model import Constitution, JudgmentExemplar, Principle
from constitution.templates import fill
from constitution.turns import (
    PLAIN,
    USUAL_STOPS,
    Message,
    Rendered,
    Style,
    Turn,
    conversation,
    grow,
    opening,
    render,
    words_of,
)

CASE_STOPS = *USUAL_STOPS, "\n\nCase for ("


def exemplars(constitution: Constitution) -> Sequence[JudgmentExemplar]:
    """The worked comparisons that can be shown: those whose principle has a question."""
    return [each for each in constitution.judgment if constitution.by_id[each.principle].judgment]


def judgment(
    constitution: Constitution,
    principle: Principle,
    messages: Sequence[Message],
    answers: tuple[str, str],
    style: Style = PLAIN,
) -> Rendered:
    """What asks which of two answers accords better with ``principle``.

    Args:
        answers: shown as (A) and (B), in this order.
    """
    examples = [
        _exemplar_turns(constitution, exemplar, style) for exemplar in exemplars(constitution)[: style.exemplars]
    ]
    last = _judgment_turn(constitution, principle, conversation(messages), answers, style)
    label = "Reasoning" if style.reasoning else ""
    return render(style.form, (opening(constitution, "judge"), examples, last), label, USUAL_STOPS)


def judgment_with_critiques(
    constitution: Constitution,
    principle: Principle,
    comparison: tuple[Sequence[Message], tuple[str, str]],
    critiques: tuple[str, str],
    style: Style = PLAIN,
) -> Rendered:
    """A judgment that shows a critique of each answer after the question.

    Args:
        comparison: the conversation, and the answers in the order shown.
        critiques: in the same order.
    """
    messages, answers = comparison
    turn = _judgment_turn(constitution, principle, conversation(messages), answers, style)
    both = {"critique_a": critiques[0], "critique_b": critiques[1]}
    turn = Turn("user", f"{turn.text}\n\n{fill(constitution.templates.criticized, both)}")
    return render(style.form, (opening(constitution, "judge"), (), turn), "", USUAL_STOPS)


def case(
    constitution: Constitution,
    principle: Principle,
    messages: Sequence[Message],
    answers: tuple[str, str],
    style: Style = PLAIN,
) -> Rendered:
    """What opens a debate: the comparison, and the request to speak for answer (A) (Irving et al. 2018)."""
    turn = _judgment_turn(constitution, principle, conversation(messages), answers, style)
    turn = Turn("user", f"{turn.text}\n\n{_speak(constitution, 'A')}")
    return render(style.form, (opening(constitution, "judge"), (), turn), "Case for (A)", CASE_STOPS)


def other_case(constitution: Constitution, request: Rendered, reply: str) -> Rendered:
    """The debate after (A) was spoken for: the request to speak for (B)."""
    return grow(request, reply, Turn("user", _speak(constitution, "B")), "Case for (B)", CASE_STOPS)


def weighing(constitution: Constitution, request: Rendered, reply: str) -> Rendered:
    """The debate after both cases: the request for the verdict."""
    return grow(request, reply, Turn("user", fill(constitution.templates.weigh, {})), "", USUAL_STOPS)


def rating(
    constitution: Constitution, principle: Principle, messages: Sequence[Message], answer: str, form: str
) -> Rendered:
    """What asks how well one answer alone accords with ``principle``, from 1 to 10 (Lee et al. 2023, section 2.2.2)."""
    values = {**words_of(principle), "conversation": conversation(messages, answer), "question": principle.judgment}
    turn = Turn("user", fill(constitution.templates.score, values))
    return render(form, (opening(constitution, "grade"), (), turn), "", USUAL_STOPS)


def statement(constitution: Constitution, says: str, messages: Sequence[Message], answer: str, form: str) -> Rendered:
    """What asks whether a proposition about an answer is true (Mu et al. 2024, section 4.1)."""
    values = {"conversation": conversation(messages, answer), "proposition": says}
    turn = Turn("user", fill(constitution.templates.proposition, values))
    return render(form, (opening(constitution, "grade"), (), turn), "", USUAL_STOPS)


def ranking(
    constitution: Constitution, principle: Principle, messages: Sequence[Message], answers: Sequence[str], form: str
) -> Rendered:
    """What asks for a ranking of several answers, shown as (A), (B), (C) … in this order."""
    listing = "\n\n".join(f"Answer ({letter}): {text}" for letter, text in zip(LETTERS, answers, strict=False))
    values = {
        **words_of(principle),
        "conversation": conversation(messages),
        "answers": listing,
        "count": str(len(answers)),
        "question": principle.judgment,
    }
    turn = Turn("user", fill(constitution.templates.ranking, values))
    return render(form, (opening(constitution, "rank"), (), turn), "", USUAL_STOPS)


def _judgment_turn(
    constitution: Constitution, principle: Principle, text: str, answers: tuple[str, str], style: Style
) -> Turn:
    values = {
        **words_of(principle),
        "conversation": text,
        "a": answers[0],
        "b": answers[1],
        "question": principle.judgment,
        "reasoning": constitution.templates.reasoning if style.reasoning else "",
    }
    templates = constitution.templates
    return Turn("user", fill(templates.options if style.layout == "paper" else templates.judgment, values))


def _exemplar_turns(constitution: Constitution, exemplar: JudgmentExemplar, style: Style) -> list[Turn]:
    principle = constitution.by_id[exemplar.principle]
    text = conversation([{"role": "user", "content": exemplar.prompt}])
    verdict = forms.verdict(constitution).line(exemplar.verdict)
    reply = Turn("assistant", f"{exemplar.reasoning}\n\n{verdict}", "Reasoning") if style.reasoning else None
    return [
        _judgment_turn(constitution, principle, text, (exemplar.a, exemplar.b), style),
        reply or Turn("assistant", verdict),
    ]


def _speak(constitution: Constitution, letter: str) -> str:
    return fill(constitution.templates.argue, {"letter": letter})
