"""What changed from one constitution to another, for people, and which prompts of a principle it changes, for runs."""

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, is_dataclass

from constitution.model import Constitution, CritiqueRevisionExemplar, JudgmentExemplar

Exemplar = CritiqueRevisionExemplar | JudgmentExemplar
Place = tuple[str, str, int]
"""An exemplar's principle and prompt, and which of those that have both the same."""

Block = tuple[int, int, int]
"""Words that two texts share: where they begin in the old one and in the new one, and how many they are."""

SHORTEST_RUN = 3
MOST_MATCHES = 30_000
"""Pairs of the same word up to which the longest blocks are looked for: two texts of English of some 1,700 words."""
MOST_WORDS = 20_000
"""Of a text that is compared at all, after a beginning that is the same."""
TEXT_FIELDS = ("name", "version", "description", "preamble")


@dataclass(frozen=True, slots=True)
class Change:
    """One thing that differs.

    Attributes:
        kind: "added", "removed" or "changed".
        what: a principle's id, a principle's field (``privacy.judgment``), or a part of the whole (``preamble``).
        old, new: the texts, empty where there is none.
    """

    kind: str
    what: str
    old: str = ""
    new: str = ""


def changes(old: Constitution, new: Constitution) -> Iterator[Change]:
    """Every difference, in reading order."""
    for field in TEXT_FIELDS:
        yield from _change(field, getattr(old, field), getattr(new, field))
    for field, text in asdict(old.templates).items():
        yield from _change(f"templates.{field}", text, getattr(new.templates, field))
    for id, principle in old.by_id.items():
        if id not in new.by_id:
            yield Change("removed", id, principle.title)
    for id, principle in new.by_id.items():
        if id not in old.by_id:
            yield Change("added", id, new=principle.title)
            continue
        for field, value in asdict(principle).items():
            yield from _change(f"{id}.{field}", getattr(old.by_id[id], field), value)
    for use in ("critique_revision", "judgment"):
        yield from _exemplars(f"exemplars.{use}", getattr(old, use), getattr(new, use))
    both = old.by_id.keys() & new.by_id.keys()
    yield from _order("order of principles", *([(id,) for id in each.by_id if id in both] for each in (old, new)))


def words(old: str, new: str) -> Iterator[tuple[str, str]]:
    """A word-level difference: ("same" | "removed" | "added", text) in reading order, white space with its word.

    One or two words that happen to be the same between changes count as changed: people read runs, not islands.
    """
    first, second = re.findall(r"\S+\s*", old), re.findall(r"\S+\s*", new)
    blocks = _blocks([each.strip() for each in first], [each.strip() for each in second])
    at, at2 = 0, 0
    for start, start2, size in _runs(blocks, len(first), len(second)):
        if start > at:
            yield "removed", "".join(first[at:start])
        if start2 > at2:
            yield "added", "".join(second[at2:start2])
        at, at2 = start + size, start2 + size
        if size:
            yield "same", "".join(second[start2:at2])


def _blocks(old: Sequence[str], new: Sequence[str]) -> list[Block]:
    """Matching blocks in order, an empty one at the end; in bounded time, also where an answer says the same for ever."""
    head = next(
        (at for at, both in enumerate(zip(old, new, strict=False)) if both[0] != both[1]), min(len(old), len(new))
    )
    rest, rest2 = old[head:], new[head:]
    counts = Counter(rest2)
    if sum(counts[word] for word in rest) <= MOST_MATCHES:
        # The longest block first: what people would call the same. With words that come again and again it takes for ever.
        blocks = difflib.SequenceMatcher(None, rest, rest2, False).get_matching_blocks()
    elif max(len(rest), len(rest2)) <= MOST_WORDS:
        blocks = _longest_common(rest, rest2)
    else:
        blocks = [(len(rest), len(rest2), 0)]
    return [(0, 0, head), *((head + start, head + start2, size) for start, start2, size in blocks)]


def _longest_common(old: Sequence[str], new: Sequence[str]) -> list[Block]:
    """Blocks of a longest common subsequence, its table one bit a cell (Hyyrö 2004): 5,000 words in a tenth of a second."""
    places: dict[str, int] = {}
    for at, word in enumerate(new):
        places[word] = places.get(word, 0) | 1 << at
    whole = (1 << len(new)) - 1
    rows = [whole]  # a bit that is not set: the common part grows with that word of the new text
    for word in old:
        last = rows[-1]
        step = last & places.get(word, 0)
        rows.append(((last + step) | (last - step)) & whole)
    blocks: list[Block] = [(len(old), len(new), 0)]
    at, at2 = len(old), len(new)
    while at and at2:
        if rows[at] >> (at2 - 1) & 1:
            at2 -= 1
            continue
        at -= 1
        if rows[at] >> (at2 - 1) & 1:
            at2 -= 1
            start, start2, size = blocks[-1]
            meets = size and (start, start2) == (at + 1, at2 + 1)
            blocks[len(blocks) - bool(meets) :] = [(at, at2, size + 1 if meets else 1)]
    return blocks[::-1]


def _runs(blocks: Sequence[Block], size: int, size2: int) -> Iterator[Block]:
    """The matching blocks but for islands; at the text's edges a single word is enough."""
    for start, start2, length in blocks:
        edge = (start, start2) == (0, 0) or (start + length, start2 + length) == (size, size2)
        if length >= SHORTEST_RUN or edge:
            yield start, start2, length


def _change(what: str, old: object, new: object) -> Iterator[Change]:
    if _plain(old) != _plain(new):
        yield Change("changed", what, _text(old), _text(new))


def _exemplars(what: str, old: Sequence[Exemplar], new: Sequence[Exemplar]) -> Iterator[Change]:
    before, after = _by_key(old), _by_key(new)
    for key in [key for key in before if key not in after]:
        yield Change("removed", f"{what}.{key[0]}", before[key].prompt)
    for key, exemplar in after.items():
        if key not in before:
            yield Change("added", f"{what}.{key[0]}", new=exemplar.prompt)
            continue
        for field, value in asdict(exemplar).items():
            yield from _change(f"{what}.{key[0]}.{field}", getattr(before[key], field), value)
    yield from _order(
        f"order of {what}", [key for key in before if key in after], [key for key in after if key in before]
    )


def _by_key(exemplars: Sequence[Exemplar]) -> dict[Place, Exemplar]:
    """By principle and prompt; one that is there again has a number."""
    counts: Counter[tuple[str, str]] = Counter()
    by_key: dict[Place, Exemplar] = {}
    for exemplar in exemplars:
        key = exemplar.principle, exemplar.prompt
        by_key[(*key, counts[key])] = exemplar
        counts[key] += 1
    return by_key


def _order(what: str, old: Sequence[Place | tuple[str]], new: Sequence[Place | tuple[str]]) -> Iterator[Change]:
    """Keys in another order; the first two fields tell a reader which is which."""
    if old != new:
        yield Change("changed", what, *("\n".join(": ".join(key[:2]) for key in keys) for keys in (old, new)))


def _plain(value: object) -> object:
    """The same form whether it comes from a dataclass or from ``asdict``."""
    if isinstance(value, tuple | list):
        return [_plain(each) for each in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value


def _text(value: object) -> str:
    match value:
        case tuple() | list():
            return "\n".join(map(_text, value))
        case str():
            return value
        case int() | float():
            return f"{value:g}"
    data = _plain(value)
    assert isinstance(data, dict)
    return "; ".join(f"{key}: {_text(part)}" for key, part in data.items() if part)
