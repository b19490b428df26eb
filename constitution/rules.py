"""The rules of ``cai check``: each finds one thing that loads and will cost GPU hours, or a reader's time.

A rule is a function over a loaded constitution; its docstring is its documentation (``cai check --rules`` prints it).
Rules look at what a file says itself: an included principle is looked at where it stands, unless it is overridden.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from itertools import combinations

from constitution import ask, judging
from constitution.load import ConstitutionFile
from constitution.model import About, Example, Principle
from constitution.source import Keys
from constitution.turns import Style
from constitution.wording import count

USES = ("critique", "revision", "judgment")
LEAST_EXAMPLES = 2
ALIKE = 0.6
HARD_LIX = 60
Remarks = Iterator[tuple[Keys, str, str]]
"""Keys in the file, the id of the principle concerned (or empty), and a sentence."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a file alone does not tell; rules that need it say nothing without it.

    Attributes:
        count: counts the tokens of a text as the named model does.
        limit: tokens of that model's context.
        prompts: what the prompts at hand are about.
    """

    count: Callable[[str], int] | None = None
    limit: int = 0
    prompts: Sequence[About] | None = None


def no_judgment(file: ConstitutionFile, _: Context) -> Remarks:
    """A principle has no judgment question: no preference is labelled, no revision judged under it, no comparison shown."""
    for keys, principle in _own(file):
        if not principle.judgment:
            yield keys, principle.id, "no judgment question, so no preference is labelled under it; add one"
    exemplars = judging.exemplars(file.constitution)
    for number, exemplar in enumerate(file.source.data.get("exemplars", {}).get("judgment", [])):
        if not any(exemplar["principle"] == each.principle for each in exemplars):
            keys, id = ("exemplars", "judgment", number), exemplar["principle"]
            yield keys, id, f'"{id}" has no judgment question, so this comparison is never shown; add one to it'


def duplicate(file: ConstitutionFile, _: Context) -> Remarks:
    """Two principles say the same thing word for word, so one of them adds nothing."""
    for use in USES:
        for one, other in _pairs(file, use):
            if getattr(one, use) == getattr(other, use):
                keys, which = _place(file, other, use)
                yield keys, other.id, f'{which}the same text as in "{one.id}"; each principle needs its own'


def near_duplicate(file: ConstitutionFile, _: Context) -> Remarks:
    """Two texts of different principles share most of their three-word sequences."""
    for use in USES:
        triples = {each.id: _triples(getattr(each, use)) for each in file.constitution.principles}
        for one, other in _pairs(file, use):
            alike = _overlap(triples[one.id], triples[other.id]) >= ALIKE
            if alike and getattr(one, use) != getattr(other, use):
                keys, which = _place(file, other, use)
                yield keys, other.id, f'{which}almost the text of "{one.id}"; merge the two or tell them apart'


def placeholder(file: ConstitutionFile, _: Context) -> Remarks:
    """A principle's text has something that looks like a placeholder; it would be sent as it is."""
    for keys, principle in _own(file):
        for use in (*USES, "negative"):
            match = re.search(r"\{\w+\}|\[[A-Z][A-Z _]+\]|<[a-z_ ]+>|\bTODO\b|\bXXX\b", getattr(principle, use))
            if match:
                yield (*keys, use), principle.id, f"{match.group()} would be sent as it is; write the words out"


def no_exemplars(file: ConstitutionFile, _: Context) -> Remarks:
    """Without worked examples, models confuse a critique with a revision (Bai et al. 2022, section 3.1)."""
    if not file.constitution.critique_revision:
        yield (), "", "no critique_revision exemplars; models then confuse critique with revision; add two or more"


def always_revised(file: ConstitutionFile, _: Context) -> Remarks:
    """No exemplar leaves a good answer as it is, which teaches models to revise what needs no revision."""
    exemplars = file.constitution.critique_revision
    if exemplars and not any(exemplar.answer == exemplar.revision for exemplar in exemplars):
        text = "no exemplar leaves a good answer as it is, so models revise what needs no revision; add one or two"
        yield ("exemplars", "critique_revision"), "", text


def one_sided(file: ConstitutionFile, _: Context) -> Remarks:
    """Every judgment exemplar has the same verdict, which teaches a position rather than a principle."""
    verdicts = Counter(exemplar.verdict for exemplar in file.constitution.judgment)
    if verdicts.total() > 1 and len(verdicts) == 1:
        text = f"every exemplar's verdict is ({next(iter(verdicts))}), which teaches a position; balance A and B"
        yield ("exemplars", "judgment"), "", text


def reading_level(file: ConstitutionFile, _: Context) -> Remarks:
    """A text is hard to read (Björnsson's LIX over 60: words a sentence, plus the percentage of words over 6 letters)."""
    for keys, principle in _own(file):
        for use in USES:
            score = lix(getattr(principle, use))
            if score > HARD_LIX:
                text = f"hard to read (LIX {score:.0f}, over {HARD_LIX}); use shorter sentences and plainer words"
                yield (*keys, use), principle.id, text


def framing(file: ConstitutionFile, _: Context) -> Remarks:
    """A note on each file: how many judgment questions ask for what to do, and how many for what to avoid."""
    questions = [principle.judgment for principle in file.constitution.principles if principle.judgment]
    negatives = sum(bool(_AVOIDING.search(question)) for question in questions)
    if questions:
        text = f"judgment questions: {len(questions) - negatives} ask for what to do, {negatives} for what to avoid"
        yield (), "", text


def over_long(file: ConstitutionFile, context: Context) -> Remarks:
    """Instructions, exemplars and the longest principle take more than half of the named model's context."""
    if context.count is None:
        return
    constitution, style = file.constitution, Style(reasoning=True)
    for use, prompts in (
        ("critique", (ask.critique(constitution, each, [], "") for each in constitution.principles)),
        (
            "judgment",
            (judging.judgment(constitution, each, [], ("", ""), style) for each in constitution.principles),
        ),
    ):
        longest = max(sum(context.count(message["content"]) for message in request.messages) for request in prompts)
        if longest > context.limit / 2:
            text = f"a {use} takes {longest} of {context.limit} tokens before any answer is shown; show fewer exemplars"
            yield ("exemplars",), "", text


def no_stop(file: ConstitutionFile, _: Context) -> Remarks:
    """A template has no words of its own before ``{request}``, so nothing stops a base model from writing requests itself."""
    for use in ("critique", "revision"):
        if not ask.stop_before(getattr(file.constitution.templates, use)):
            text = "no words of its own begin the line of {request}, so nothing stops a base model there; add some"
            yield ("templates", use), "", text


def applies_to_nothing(file: ConstitutionFile, context: Context) -> Remarks:
    """No prompt at hand fits a principle's ``applies_to``, so it is never drawn."""
    if context.prompts is None:
        return
    topics = set(context.prompts)
    for principle in file.constitution.principles:
        if not any(principle.applies_to.covers(about) for about in topics):
            place = file.places[principle.id]
            keys = place if _is_include(place) else (*place, "applies_to")
            yield keys, principle.id, f'no prompt fits what "{principle.id}" applies to, so it is never drawn'


def few_examples(file: ConstitutionFile, _: Context) -> Remarks:
    """A principle has fewer than two examples, so ``cai test`` cannot say how well a judge applies it."""
    own = list(_own(file))
    if own and not any(principle.examples for _, principle in own):
        yield (), "", "no principle has examples, so `cai test` has nothing to ask; add two or more to each"
        return
    for keys, principle in own:
        if len(principle.examples) < LEAST_EXAMPLES:
            text = f"{count(len(principle.examples), 'example')}; `cai test` needs {LEAST_EXAMPLES} or more to say anything"
            yield keys, principle.id, text


def equal_answers(file: ConstitutionFile, _: Context) -> Remarks:
    """An example's better and worse answer are the same, so that no judge can be right."""
    for keys, principle, example in _examples(file):
        if example.better == example.worse:
            yield keys, principle.id, "the better and the worse answer are the same; make them differ"


def length_tells(file: ConstitutionFile, _: Context) -> Remarks:
    """The better answer is nearly always the longer one, or the shorter one: a judge that counts words would pass."""
    pairs = [example for _, _, example in _examples(file) if len(example.better) != len(example.worse)]
    longer = sum(len(example.better) > len(example.worse) for example in pairs)
    if len(pairs) >= 8 and not 0.25 <= longer / len(pairs) <= 0.75:
        yield (), "", f"the better answer is the longer one in {longer} of {len(pairs)} examples; balance the lengths"


def exam_leak(file: ConstitutionFile, _: Context) -> Remarks:
    """An example's prompt is also an exemplar's, so that the judge has seen the answer to the exam."""
    exemplars = [(place, " ".join(_words(prompt))) for place, prompt in _exemplar_prompts(file)]
    for principle in file.constitution.principles:
        place = file.places[principle.id]
        for number, example in enumerate(principle.examples):
            words = " ".join(_words(example.prompt))
            # Where both come from one include, it is looked at there.
            if any(prompt == words and (source != place or not _is_include(place)) for source, prompt in exemplars):
                keys = place if _is_include(place) else (*place, "examples", number, "prompt")
                which = f'"{principle.id}", example {number + 1}: ' if _is_include(place) else ""
                yield (
                    keys,
                    principle.id,
                    f"{which}an exemplar asks the same, so the judge has seen the answer; change one",
                )


Rule = Callable[[ConstitutionFile, Context], Remarks]
NOTES: Sequence[Rule] = (framing,)
WARNINGS: Sequence[Rule] = (
    no_judgment,
    duplicate,
    near_duplicate,
    placeholder,
    no_exemplars,
    always_revised,
    one_sided,
    reading_level,
    over_long,
    no_stop,
    applies_to_nothing,
    few_examples,
    equal_answers,
    length_tells,
    exam_leak,
)


def name(rule: Rule) -> str:
    """The rule's name as it is printed and silenced: ``near-duplicate``."""
    return rule.__name__.replace("_", "-")


def lix(text: str) -> float:
    """Björnsson's readability index: words a sentence, plus the percentage of words longer than six letters."""
    words = _words(text)
    sentences = len(re.findall(r"[.!?:;]+(?=\s|$)", text)) or 1
    return len(words) / sentences + 100 * sum(len(word) > 6 for word in words) / len(words) if words else 0.0


_AVOIDING = re.compile(
    r"\b(?:not|no|nor|never|nobody|nothing|without|avoid\w*|refrain\w*|less|fewer|least|free of|keeps? from|"
    r"\w+n['\u2019]t)\b",
    re.I,
)


def _own(file: ConstitutionFile) -> Iterator[tuple[Keys, Principle]]:
    """The principles that this file says or overrides, with their keys."""
    for principle in file.constitution.principles:
        source, keys = file.origins[principle.id]
        if source is file.source:
            yield keys, principle


def _pairs(file: ConstitutionFile, use: str) -> Iterator[tuple[Principle, Principle]]:
    """The principles two by two that both have such a text, but for those that one include brings."""
    for one, other in combinations([each for each in file.constitution.principles if getattr(each, use)], 2):
        if file.places[one.id] != file.places[other.id]:
            yield one, other


def _place(file: ConstitutionFile, principle: Principle, use: str) -> tuple[Keys, str]:
    """Where to complain of a principle's text, and, where it is included, which one is meant."""
    place = file.places[principle.id]
    return (place, f'"{principle.id}", {use}: ') if _is_include(place) else ((*place, use), "")


def _is_include(place: Keys) -> bool:
    """Whether a principle is taken over as it is."""
    return len(place) == 2 and place[0] == "include"


def _exemplar_prompts(file: ConstitutionFile) -> Iterator[tuple[Keys, str]]:
    """Each exemplar's place and prompt; an included one's place is its include."""
    own = file.source.data.get("exemplars", {})
    for use in ("critique_revision", "judgment"):
        exemplars, count = getattr(file.constitution, use), len(own.get(use, []))
        yield from ((("exemplars", use, number), each.prompt) for number, each in enumerate(exemplars[:count]))
        yield from ((file.places[each.principle], each.prompt) for each in exemplars[count:])


def _examples(file: ConstitutionFile) -> Iterator[tuple[Keys, Principle, Example]]:
    for keys, principle in _own(file):
        for number, example in enumerate(principle.examples):
            yield (*keys, "examples", number), principle, example


def _words(text: str) -> list[str]:
    return re.findall(r"[^\W_]+(?:['\u2019-][^\W_]+)*", text.lower())


def _triples(text: str) -> set[tuple[str, ...]]:
    words = _words(text)
    return set(zip(words, words[1:], words[2:], strict=False))


def _overlap(first: Set[object], second: Set[object]) -> float:
    """Jaccard's index of two sets."""
    return len(first & second) / len(first | second) if first and second else 0.0
