"""Lint: what loads but will cost GPU hours. Each finding has a rule's name, a place and what to do."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from constitution.load import build, crosscheck, validator
from constitution.model import Constitution
from constitution.source import InputError, Keys, Source, problems, read_yaml


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to look at; ``level`` is "error" (the file does not load) or "warning"."""

    level: str
    rule: str
    text: str


def check(path: Path) -> list[Finding]:
    """Everything wrong with a constitution's file, errors first; warnings only where it loads."""
    try:
        source = read_yaml(path)
    except InputError as error:
        return [Finding("error", "yaml", str(error))]
    found = problems(source, validator())
    if found:
        return [Finding("error", "schema", text) for text in found]
    found = crosscheck(source)
    if found:
        return [Finding("error", "references", text) for text in found]
    return list(_warnings(source, build(source.data)))


def _warnings(source: Source, constitution: Constitution) -> Iterator[Finding]:
    yield from _principles(source, constitution)
    yield from _exemplars(source, constitution)


def _principles(source: Source, constitution: Constitution) -> Iterator[Finding]:
    seen: dict[str, str] = {}
    for number, principle in enumerate(constitution.principles):
        keys: Keys = ("principles", number)
        if not principle.judgment:
            yield _warn(
                source, keys, "no-judgment", "no judgment question, so no preference is labelled under it; add one"
            )
        for use in ("critique", "revision", "judgment"):
            text = getattr(principle, use)
            other = seen.setdefault(text, principle.id) if text else principle.id
            if other != principle.id:
                yield _warn(
                    source, (*keys, use), "duplicate", f'the same text as in "{other}"; each principle needs its own'
                )


def _exemplars(source: Source, constitution: Constitution) -> Iterator[Finding]:
    shown = constitution.critique_revision
    if not shown:
        yield _warn(
            source, (), "no-exemplars", "no critique_revision exemplars; models then confuse critique with revision"
        )
    elif not any(exemplar.answer == exemplar.revision for exemplar in shown):
        text = "no exemplar leaves a good answer as it is, so models revise what needs no revision; add one or two"
        yield _warn(source, ("exemplars", "critique_revision"), "always-revised", text)
    verdicts = Counter(exemplar.verdict for exemplar in constitution.judgment)
    if len(constitution.judgment) > 1 and len(verdicts) == 1:
        text = f"every exemplar's verdict is ({next(iter(verdicts))}), which teaches a position; balance A and B"
        yield _warn(source, ("exemplars", "judgment"), "one-sided", text)


def _warn(source: Source, keys: Keys, rule: str, text: str) -> Finding:
    return Finding("warning", rule, f"{source.where(keys)}: {text}")
