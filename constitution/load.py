"""YAML files → ``Constitution``; every error says file, line, field and what to do.

A constitution may take principles over from others (``include``): each is read from beside the file, the current folder
or the shipped files, narrowed by ``only`` and ``except``, and changed by ``override``. Name, preamble and templates are
always the file's own.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import NotRequired, TypedDict, TypeVar

from jsonschema import Draft202012Validator

from constitution.model import (
    AppliesTo,
    Constitution,
    CritiqueRevisionExemplar,
    Example,
    JudgmentExemplar,
    Principle,
    Proposition,
)
from constitution.schema import load_schema, problems
from constitution.shipped import find, missing
from constitution.source import (
    InputError,
    Keys,
    Problem,
    Source,
    Yaml,
    complain,
    nearest,
    read_yaml,
)
from constitution.templates import ADDED, WORDS, Templates, mistakes

E = TypeVar("E", CritiqueRevisionExemplar, JudgmentExemplar)
MOST_INCLUDES = 16

Include = TypedDict(
    "Include",
    {
        "path": str,
        "only": NotRequired[list[str]],
        "except": NotRequired[list[str]],
        "override": NotRequired[dict[str, Yaml]],
        "exemplars": NotRequired[bool],
    },
)
"""One item under ``include``."""


@dataclass(frozen=True, slots=True)
class ConstitutionFile:
    """A constitution with where each of its principles stands: for messages.

    Attributes:
        origins: principle id → the file and the keys of the mapping that says it.
        places: principle id → the keys in this file that say it, or include it.
    """

    constitution: Constitution
    source: Source
    origins: dict[str, tuple[Source, Keys]]
    places: dict[str, Keys]


@cache
def validator() -> Draft202012Validator:
    """The schema that editors complete against, as a validator."""
    return load_schema(Path(__file__).with_name("constitution.schema.json"))


def load(path: Path) -> Constitution:
    """Read a constitution with all that it includes, from a path or the name of a shipped file.

    Raises:
        InputError: the file cannot be read or is not a valid constitution; the message lists every problem.
    """
    return resolve(read_yaml(find(path) or path)).constitution


def resolve(source: Source) -> ConstitutionFile:
    """Checked and built, with the place of each principle; raises as ``load``."""
    return _resolve(source, _Trail())


def digest(constitution: Constitution) -> str:
    """A fingerprint of what decides rows: what is said to models and what is drawn by.

    Names, versions, descriptions, titles, sources and examples change no row; nor do comments and layout.
    """
    principles = [
        replace(each, examples=(), source="", title=_shown_title(constitution, each))
        for each in constitution.principles
    ]
    bare = replace(constitution, name="", version="", description="", principles=tuple(principles))
    data, usual = asdict(bare), asdict(Templates())
    data["templates"] = {use: it for use, it in data["templates"].items() if use not in ADDED or it != usual[use]}
    for each in data["principles"]:
        if not each["applies_to"]["has"]:  # constitutions of before it was there stay what they were
            del each["applies_to"]["has"]
    text = json.dumps(data, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _shown_title(constitution: Constitution, principle: Principle) -> str:
    return principle.title if "{title}" in "".join(asdict(constitution.templates).values()) else ""


@dataclass(frozen=True, slots=True)
class _Trail:
    """The files that include this one, outermost first, and the outcomes of those that were read already."""

    within: tuple[Path, ...] = ()
    cache: dict[Path, ConstitutionFile | InputError] = field(default_factory=dict)

    def follow(self, path: Path) -> ConstitutionFile:
        """An included file, read once however often it is included."""
        at = path.resolve()
        if at not in self.cache:
            try:
                self.cache[at] = _resolve(read_yaml(path), self)
            except InputError as error:
                self.cache[at] = error
        result = self.cache[at]
        if isinstance(result, InputError):
            raise result
        return result


def _resolve(source: Source, trail: _Trail) -> ConstitutionFile:
    complain(problems(source, validator()))
    return _Resolver(source, trail).resolve()


class _Resolver:
    """One file's data → ``ConstitutionFile``, gathering what a schema cannot say before it complains."""

    def __init__(self, source: Source, trail: _Trail) -> None:
        self.source, self.data = source, source.data
        self.trail = replace(trail, within=(*trail.within, source.path))
        self.problems: list[Problem] = []
        self.principles: dict[str, Principle] = {}
        self.origins: dict[str, tuple[Source, Keys]] = {}
        self.places: dict[str, Keys] = {}
        self.includes: list[Constitution] = []

    def wrong(self, keys: Keys, text: str, rule: str = "references") -> None:
        self.problems.append(self.source.problem(keys, text, rule))

    def resolve(self) -> ConstitutionFile:
        for number, item in enumerate(self.data.get("include", [])):
            self._include(("include", number), {"path": item} if isinstance(item, str) else item)
        for number, item in enumerate(self.data.get("principles", [])):
            self._add(_principle(item), ("principles", number), self.source, ("principles", number))
        self._exemplars()
        self._templates()
        complain(self.problems)
        return ConstitutionFile(self._constitution(), self.source, self.origins, self.places)

    def _add(self, principle: Principle, keys: Keys, source: Source, origin: Keys) -> None:
        if principle.id in self.origins:
            first_source, first = self.origins[principle.id]
            self.wrong(
                keys, f'the id "{principle.id}" is already at {first_source.where(first)}; rename one or `except` it'
            )
            return
        self.principles[principle.id] = principle
        self.origins[principle.id] = (source, origin)
        self.places[principle.id] = origin if source is self.source else keys

    def _include(self, keys: Keys, item: Include) -> None:
        path = find(item["path"], self.source.path.parent)
        where = (*keys, "path") if (*keys, "path") in self.source.lines else keys
        if path is None:
            self.wrong(where, missing(item["path"], "this one", ("principles",)))
            return
        within = self.trail.within
        if len(within) > MOST_INCLUDES:
            self.wrong(where, f"includes go more than {MOST_INCLUDES} files deep; include the last one directly")
            return
        if any(path.samefile(each) for each in within if each.exists()):
            self.wrong(where, f"{item['path']} includes itself: {' → '.join(map(str, (*within, path)))}")
            return
        try:
            file = self.trail.follow(path)
        except InputError as error:
            self.problems += [problem for problem in error.problems if problem not in self.problems]
            return
        self._take(keys, item, file)

    def _take(self, keys: Keys, item: Include, file: ConstitutionFile) -> None:
        constitution = file.constitution
        ids = self._selection((*keys, "only"), item.get("only"), constitution) or set(constitution.by_id)
        ids -= self._selection((*keys, "except"), item.get("except"), constitution)
        overrides = item.get("override", {})
        for id in overrides.keys() - ids:
            self.wrong(
                (*keys, "override", id), f'no principle "{id}" is taken from {item["path"]}; {nearest(id, sorted(ids))}'
            )
        if not ids:
            self.wrong(keys, f"nothing is left of {item['path']}; take something out of `except`")
        for principle in constitution.principles:
            if principle.id in ids:
                override = overrides.get(principle.id, {})
                origin = (self.source, (*keys, "override", principle.id)) if override else file.origins[principle.id]
                self._add(replace(principle, **_fields(override)), keys, *origin)
        if item.get("exemplars", True):
            excerpt = replace(
                constitution,
                critique_revision=_under(ids, constitution.critique_revision),
                judgment=_under(ids, constitution.judgment),
            )
            self.includes.append(excerpt)

    def _selection(self, keys: Keys, words: list[str] | None, constitution: Constitution) -> set[str]:
        """The ids that words name: an id itself, or a tag where no principle has that id."""
        ids: set[str] = set()
        tags = {tag for principle in constitution.principles for tag in principle.tags}
        for number, word in enumerate(words or []):
            if word in constitution.by_id:
                ids.add(word)
            elif word in tags:
                ids |= {principle.id for principle in constitution.principles if word in principle.tags}
            else:
                self.wrong(
                    (*keys, number),
                    f'"{word}" is no id and no tag there; {nearest(word, sorted(tags | set(constitution.by_id)))}',
                )
        return ids

    def _exemplars(self) -> None:
        for use, exemplars in self.data.get("exemplars", {}).items():
            for number, exemplar in enumerate(exemplars):
                if exemplar["principle"] not in self.principles:
                    hint = nearest(exemplar["principle"], list(self.principles))
                    keys = ("exemplars", use, number, "principle")
                    self.wrong(keys, f'there is no principle "{exemplar["principle"]}"; {hint}')

    def _templates(self) -> None:
        for use, text in self.data.get("templates", {}).items():
            for mistake in mistakes(use, text):
                self.wrong(("templates", use), mistake, "templates")
        words = asdict(Templates()) | self.data.get("templates", {})
        others = [("none_word", word) for word in WORDS if word != "none_word"]
        for one, other in (("yes_word", "no_word"), ("first_word", "second_word"), *others):
            if words[one].casefold() == words[other].casefold():
                self.wrong(("templates",), f"{one} and {other} are the same; change one", "templates")

    def _constitution(self) -> Constitution:
        exemplars = self.data.get("exemplars", {})
        revisions = [CritiqueRevisionExemplar(**_strip(each)) for each in exemplars.get("critique_revision", [])]
        comparisons = [JudgmentExemplar(**_strip(each)) for each in exemplars.get("judgment", [])]
        return Constitution(
            name=self.data["name"].strip(),
            version=self.data.get("version", ""),
            description=self.data.get("description", "").strip(),
            preamble=self.data.get("preamble", "").strip(),
            principles=tuple(self.principles.values()),
            critique_revision=(*revisions, *(each for other in self.includes for each in other.critique_revision)),
            judgment=(*comparisons, *(each for other in self.includes for each in other.judgment)),
            templates=Templates(**_strip(self.data.get("templates", {}))),
        )


def _under(ids: set[str], exemplars: Sequence[E]) -> tuple[E, ...]:
    return tuple(each for each in exemplars if each.principle in ids)


def _principle(data: Yaml) -> Principle:
    return Principle(**{"title": data["id"], **_fields(data)})


def _fields(data: Yaml) -> Yaml:
    """A principle's data → the fields of ``Principle``."""
    fields = _strip(data)
    if "tags" in data:
        fields["tags"] = tuple(data["tags"])
    if "weight" in data:
        fields["weight"] = float(data["weight"])
    if "applies_to" in data:
        fields["applies_to"] = AppliesTo(**{key: tuple(words) for key, words in data["applies_to"].items()})
    if "examples" in data:
        fields["examples"] = tuple(Example(**_strip(each)) for each in data["examples"])
    if "propositions" in data:
        propositions = [_strip(each) for each in data["propositions"]]
        fields["propositions"] = tuple(Proposition(each["says"], float(each["weight"])) for each in propositions)
    return fields


def _strip(data: Yaml) -> Yaml:
    return {key: value.strip() if isinstance(value, str) else value for key, value in data.items()}
