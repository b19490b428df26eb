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
from constitution.load import Loaded
from constitution.model import About, Example, Principle
from constitution.source import Keys
from constitution.turns import Style

USES = ("critique", "revision", "judgment")
LEAST_EXAMPLES = 2
ALIKE = 0.6
HARD_LIX = 60
Found = Iterator[tuple[Keys, str, str]]
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


def no_judgment(loaded: Loaded, _: Context) -> Found:
    """A principle has no judgment question: no preference is labelled, no revision judged under it, no comparison shown."""
    for keys, principle in _own(loaded):
        if not principle.judgment:
            yield keys, principle.id, "no judgment question, so no preference is labelled under it; add one"
    shown = judging.worked(loaded.constitution)
    for number, exemplar in enumerate(loaded.source.data.get("exemplars", {}).get("judgment", [])):
        if not any(exemplar["principle"] == each.principle for each in shown):
            keys, id = ("exemplars", "judgment", number), exemplar["principle"]
            yield keys, id, f'"{id}" has no judgment question, so this comparison is never shown; add one to it'


def duplicate(loaded: Loaded, _: Context) -> Found:
    """Two principles say the same thing word for word, so one of them adds nothing."""
    for use in USES:
        for one, other in _pairs(loaded, use):
            if getattr(one, use) == getattr(other, use):
                keys, which = _place(loaded, other, use)
                yield keys, other.id, f'{which}the same text as in "{one.id}"; each principle needs its own'


def near_duplicate(loaded: Loaded, _: Context) -> Found:
    """Two texts of different principles share most of their three-word sequences."""
    for use in USES:
        triples = {each.id: _triples(getattr(each, use)) for each in loaded.constitution.principles}
        for one, other in _pairs(loaded, use):
            alike = _overlap(triples[one.id], triples[other.id]) >= ALIKE
            if alike and getattr(one, use) != getattr(other, use):
                keys, which = _place(loaded, other, use)
                yield keys, other.id, f'{which}almost the text of "{one.id}"; merge the two or tell them apart'


def placeholder(loaded: Loaded, _: Context) -> Found:
    """A principle's text has something that looks like a placeholder; it would be sent as it is."""
    for keys, principle in _own(loaded):
        for use in (*USES, "negative"):
            held = re.search(r"\{\w+\}|\[[A-Z][A-Z _]+\]|<[a-z_ ]+>|\bTODO\b|\bXXX\b", getattr(principle, use))
            if held:
                yield (*keys, use), principle.id, f"{held.group()} would be sent as it is; write the words out"


def no_exemplars(loaded: Loaded, _: Context) -> Found:
    """Without worked examples, models confuse a critique with a revision (Bai et al. 2022, section 3.1)."""
    if not loaded.constitution.critique_revision:
        yield (), "", "no critique_revision exemplars; models then confuse critique with revision; add two or more"


def always_revised(loaded: Loaded, _: Context) -> Found:
    """No exemplar leaves a good answer as it is, which teaches models to revise what needs no revision."""
    shown = loaded.constitution.critique_revision
    if shown and not any(exemplar.answer == exemplar.revision for exemplar in shown):
        text = "no exemplar leaves a good answer as it is, so models revise what needs no revision; add one or two"
        yield ("exemplars", "critique_revision"), "", text


def one_sided(loaded: Loaded, _: Context) -> Found:
    """Every judgment exemplar has the same verdict, which teaches a position rather than a principle."""
    verdicts = Counter(exemplar.verdict for exemplar in loaded.constitution.judgment)
    if verdicts.total() > 1 and len(verdicts) == 1:
        text = f"every exemplar's verdict is ({next(iter(verdicts))}), which teaches a position; balance A and B"
        yield ("exemplars", "judgment"), "", text


def reading_level(loaded: Loaded, _: Context) -> Found:
    """A text is hard to read (Björnsson's LIX over 60: words a sentence, plus the percentage of words over 6 letters)."""
    for keys, principle in _own(loaded):
        for use in USES:
            score = lix(getattr(principle, use))
            if score > HARD_LIX:
                text = f"hard to read (LIX {score:.0f}, over {HARD_LIX}); use shorter sentences and plainer words"
                yield (*keys, use), principle.id, text


def framing(loaded: Loaded, _: Context) -> Found:
    """A note on each file: how many judgment questions ask for what to do, and how many for what to avoid."""
    asked = [principle.judgment for principle in loaded.constitution.principles if principle.judgment]
    avoiding = sum(bool(_AVOIDING.search(question)) for question in asked)
    if asked:
        yield (), "", f"judgment questions: {len(asked) - avoiding} ask for what to do, {avoiding} for what to avoid"


def over_long(loaded: Loaded, context: Context) -> Found:
    """Instructions, exemplars and the longest principle take more than half of the named model's context."""
    if context.count is None:
        return
    constitution, reasoned = loaded.constitution, Style(reasoning=True)
    for use, prompts in (
        ("critique", (ask.critique(constitution, each, [], "") for each in constitution.principles)),
        (
            "judgment",
            (judging.judgment(constitution, each, [], ("", ""), reasoned) for each in constitution.principles),
        ),
    ):
        longest = max(sum(context.count(message["content"]) for message in asked.messages) for asked in prompts)
        if longest > context.limit / 2:
            text = f"a {use} takes {longest} of {context.limit} tokens before any answer is shown; show fewer exemplars"
            yield ("exemplars",), "", text


def no_stop(loaded: Loaded, _: Context) -> Found:
    """A template has no words of its own before ``{request}``, so nothing stops a base model from writing requests itself."""
    for use in ("critique", "revision"):
        if not ask.stop_before(getattr(loaded.constitution.templates, use)):
            text = "no words of its own begin the line of {request}, so nothing stops a base model there; add some"
            yield ("templates", use), "", text


def applies_to_nothing(loaded: Loaded, context: Context) -> Found:
    """No prompt at hand fits a principle's ``applies_to``, so it is never drawn."""
    if context.prompts is None:
        return
    kinds = set(context.prompts)
    for principle in loaded.constitution.principles:
        if not any(principle.applies_to.covers(about) for about in kinds):
            place = loaded.places[principle.id]
            keys = place if _included(place) else (*place, "applies_to")
            yield keys, principle.id, f'no prompt fits what "{principle.id}" applies to, so it is never drawn'


def few_examples(loaded: Loaded, _: Context) -> Found:
    """A principle has fewer than two examples, so ``cai test`` cannot say how well a judge applies it."""
    own = list(_own(loaded))
    if own and not any(principle.examples for _, principle in own):
        yield (), "", "no principle has examples, so `cai test` has nothing to ask; add two or more to each"
        return
    for keys, principle in own:
        if len(principle.examples) < LEAST_EXAMPLES:
            text = f"{len(principle.examples)} examples; `cai test` needs {LEAST_EXAMPLES} or more to say anything"
            yield keys, principle.id, text


def equal_answers(loaded: Loaded, _: Context) -> Found:
    """An example's better and worse answer are the same, so that no judge can be right."""
    for keys, principle, example in _examples(loaded):
        if example.better == example.worse:
            yield keys, principle.id, "the better and the worse answer are the same; make them differ"


def length_tells(loaded: Loaded, _: Context) -> Found:
    """The better answer is nearly always the longer one, or the shorter one: a judge that counts words would pass."""
    pairs = [example for _, _, example in _examples(loaded) if len(example.better) != len(example.worse)]
    longer = sum(len(example.better) > len(example.worse) for example in pairs)
    if len(pairs) >= 8 and not 0.25 <= longer / len(pairs) <= 0.75:
        yield (), "", f"the better answer is the longer one in {longer} of {len(pairs)} examples; balance the lengths"


def exam_leak(loaded: Loaded, _: Context) -> Found:
    """An example's prompt is also an exemplar's, so that the judge has seen the answer to the exam."""
    shown = [(place, " ".join(_words(prompt))) for place, prompt in _shown(loaded)]
    for principle in loaded.constitution.principles:
        place = loaded.places[principle.id]
        for number, example in enumerate(principle.examples):
            asked = " ".join(_words(example.prompt))
            # Where both come from one include, it is looked at there.
            if any(prompt == asked and (there != place or not _included(place)) for there, prompt in shown):
                keys = place if _included(place) else (*place, "examples", number, "prompt")
                which = f'"{principle.id}", example {number + 1}: ' if _included(place) else ""
                yield (
                    keys,
                    principle.id,
                    f"{which}an exemplar asks the same, so the judge has seen the answer; change one",
                )


Rule = Callable[[Loaded, Context], Found]
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


def _own(loaded: Loaded) -> Iterator[tuple[Keys, Principle]]:
    """The principles that this file says or overrides, with their keys."""
    for principle in loaded.constitution.principles:
        source, keys = loaded.origins[principle.id]
        if source is loaded.source:
            yield keys, principle


def _pairs(loaded: Loaded, use: str) -> Iterator[tuple[Principle, Principle]]:
    """The principles two by two that both have such a text, but for those that one include brings."""
    for one, other in combinations([each for each in loaded.constitution.principles if getattr(each, use)], 2):
        if loaded.places[one.id] != loaded.places[other.id]:
            yield one, other


def _place(loaded: Loaded, principle: Principle, use: str) -> tuple[Keys, str]:
    """Where to complain of a principle's text, and, where it is included, which one is meant."""
    place = loaded.places[principle.id]
    return (place, f'"{principle.id}", {use}: ') if _included(place) else ((*place, use), "")


def _included(place: Keys) -> bool:
    """Whether a principle is taken over as it is."""
    return len(place) == 2 and place[0] == "include"


def _shown(loaded: Loaded) -> Iterator[tuple[Keys, str]]:
    """Each exemplar's place and prompt; an included one's place is its include."""
    own = loaded.source.data.get("exemplars", {})
    for use in ("critique_revision", "judgment"):
        shown, mine = getattr(loaded.constitution, use), len(own.get(use, []))
        yield from ((("exemplars", use, number), each.prompt) for number, each in enumerate(shown[:mine]))
        yield from ((loaded.places[each.principle], each.prompt) for each in shown[mine:])


def _examples(loaded: Loaded) -> Iterator[tuple[Keys, Principle, Example]]:
    for keys, principle in _own(loaded):
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
