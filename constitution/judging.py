"""Row + principle → what a judge is asked.

The published order of a comparison is conversation, question, answers (Bai et al. 2022, section 4.1): ``layout: paper``.
Ours puts the question, which varies, after the answers, so that a server's cache holds all before it for every principle.
"""

from collections.abc import Sequence

from constitution import forms
from constitution.forms import LETTERS
from constitution.model import Constitution, JudgmentExemplar, Principle
from constitution.naming import SHOWN, Naming, naming, nouns
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
        answers: shown as (A) and (B), or as ``style`` names them, in this order.
    """
    examples = [
        _exemplar_turns(constitution, exemplar, style) for exemplar in exemplars(constitution)[: style.exemplars]
    ]
    last = _judgment_turn(constitution, principle, conversation(messages), answers, style)
    label = "Reasoning" if style.reasoning else ""
    return render(style.form, (_opening(constitution, style), examples, last), label, USUAL_STOPS)


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
    shown = naming(constitution, style.names).words(constitution.templates.criticized)
    turn = Turn("user", f"{turn.text}\n\n{fill(shown, both)}")
    return render(style.form, (_opening(constitution, style), (), turn), "", USUAL_STOPS)


def case(
    constitution: Constitution,
    principle: Principle,
    messages: Sequence[Message],
    answers: tuple[str, str],
    style: Style = PLAIN,
) -> Rendered:
    """What opens a debate: the comparison, and the request to speak for answer (A) (Irving et al. 2018)."""
    named = naming(constitution, style.names)
    turn = _judgment_turn(constitution, principle, conversation(messages), answers, style)
    turn = Turn("user", f"{turn.text}\n\n{_speak(constitution, named, 'A')}")
    turns = _opening(constitution, style), (), turn
    return render(style.form, turns, f"Case for {named.marked('A')}", _case_stops(named))


def other_case(constitution: Constitution, request: Rendered, reply: str, style: Style = PLAIN) -> Rendered:
    """The debate after (A) was spoken for: the request to speak for (B)."""
    named = naming(constitution, style.names)
    turn = Turn("user", _speak(constitution, named, "B"))
    return grow(request, reply, turn, f"Case for {named.marked('B')}", _case_stops(named))


def weighing(constitution: Constitution, request: Rendered, reply: str, style: Style = PLAIN) -> Rendered:
    """The debate after both cases: the request for the verdict."""
    words = naming(constitution, style.names).words(constitution.templates.weigh)
    return grow(request, reply, Turn("user", fill(words, {})), "", USUAL_STOPS)


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


def _opening(constitution: Constitution, style: Style) -> str:
    """What opens a comparison, with the answers' names."""
    named = naming(constitution, style.names)
    return fill(named.words(constitution.templates.judge), {"preamble": named.words(constitution.preamble)})


def _judgment_turn(
    constitution: Constitution, principle: Principle, text: str, answers: tuple[str, str], style: Style
) -> Turn:
    named, templates = naming(constitution, style.names), constitution.templates
    values = {
        **words_of(principle),
        "conversation": text,
        "a": answers[0],
        "b": answers[1],
        "question": named.words(principle.judgment),
        "reasoning": named.words(templates.reasoning) if style.reasoning else "",
    }
    return Turn("user", fill(named.words(getattr(templates, SHOWN[style.layout])), values))


def _exemplar_turns(constitution: Constitution, exemplar: JudgmentExemplar, style: Style) -> list[Turn]:
    principle, named = constitution.by_id[exemplar.principle], naming(constitution, style.names)
    text = conversation([{"role": "user", "content": exemplar.prompt}])
    verdict = forms.verdict(constitution, names=style.names).line(named.of(exemplar.verdict))
    reply = None
    if style.reasoning:
        reasoning = named.reasoning(exemplar.reasoning, nouns(constitution.templates))
        reply = Turn("assistant", f"{reasoning}\n\n{verdict}", "Reasoning")
    return [
        _judgment_turn(constitution, principle, text, (exemplar.a, exemplar.b), style),
        reply or Turn("assistant", verdict),
    ]


def _speak(constitution: Constitution, named: Naming, letter: str) -> str:
    argue = constitution.templates.argue.replace("({letter})", f"{named.opens}{{letter}}{named.closes}")
    return fill(argue, {"letter": named.of(letter)})


def _case_stops(named: Naming) -> tuple[str, ...]:
    return *USUAL_STOPS, f"\n\nCase for {named.opens}"
