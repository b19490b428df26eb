"""What a constitution is: frozen types and their invariants.

After Bai et al. 2022 (arXiv 2212.08073), sections 3.1 and 4.1: a principle asks for a critique, asks for a revision, and
puts the question by which two answers are compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from constitution.templates import Templates


@dataclass(frozen=True, slots=True)
class About:
    """What a prompt is about, as its file tells: what ``applies_to`` and the choice by tag go by.

    Attributes:
        has: what its conversation has: "system" (a system prompt), "turns" (more than one of the person's), "tools".
    """

    track: str = ""
    tags: tuple[str, ...] = ()
    language: str = ""
    has: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AppliesTo:
    """Which prompts a principle is drawn for; an empty field leaves it open."""

    track: tuple[str, ...] = ()
    tag: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    has: tuple[str, ...] = ()

    def covers(self, about: About) -> bool:
        """Whether a prompt fits every field that is given."""
        return (
            (not self.track or about.track in self.track)
            and (not self.tag or not set(self.tag).isdisjoint(about.tags))
            and (not self.language or any(_speaks(about.language, each) for each in self.language))
            and (not self.has or not set(self.has).isdisjoint(about.has))
        )


def _speaks(language: str, pattern: str) -> bool:
    """``en`` covers ``en`` and ``en-GB`` (RFC 4647, basic filtering)."""
    language, pattern = language.lower(), pattern.lower()
    return language == pattern or language.startswith(f"{pattern}-")


@dataclass(frozen=True, slots=True)
class Example:
    """Two answers to tell apart under a principle: the exam of ``cai test``, never shown to a model as an exemplar."""

    prompt: str
    better: str
    worse: str
    why: str = ""


@dataclass(frozen=True, slots=True)
class Proposition:
    """Something that is true or false of an answer, with what it is worth (Mu et al. 2024, "rule-based rewards").

    Attributes:
        says: the statement, such as "The answer mocks the person."
        weight: added to the answer's score for each unit of its probability; below zero for what is bad.
    """

    says: str
    weight: float


@dataclass(frozen=True, slots=True)
class Principle:
    """One principle, named by its id wherever a row was made under it.

    Attributes:
        critique: asks what in an answer goes against the principle.
        revision: asks for the answer rewritten in accordance with it.
        judgment: asks which of two answers accords better with it; empty where the principle serves critique only.
        negative: what breaking it looks like; shown beside the requests where given.
        weight: how often it is drawn by a weighted choice, against 1 for the others.
        source: where the idea comes from.
        propositions: what can be checked of an answer one by one, for ``method: propositions``.
    """

    id: str
    title: str
    critique: str
    revision: str
    judgment: str = ""
    negative: str = ""
    tags: tuple[str, ...] = ()
    weight: float = 1.0
    applies_to: AppliesTo = field(default_factory=AppliesTo)
    examples: tuple[Example, ...] = ()
    source: str = ""
    propositions: tuple[Proposition, ...] = ()


@dataclass(frozen=True, slots=True)
class CritiqueRevisionExemplar:
    """A worked example, shown whole before a critique or a revision is asked for."""

    prompt: str
    answer: str
    principle: str
    critique: str
    revision: str


@dataclass(frozen=True, slots=True)
class JudgmentExemplar:
    """A worked comparison of two answers; ``verdict`` is "A" or "B"."""

    prompt: str
    a: str
    b: str
    principle: str
    reasoning: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Constitution:
    """A named list of principles with the exemplars that show how to apply them.

    Raises:
        ValueError: no principle, a repeated id, or an exemplar under a principle that is not there.
    """

    name: str
    principles: tuple[Principle, ...]
    version: str = ""
    description: str = ""
    preamble: str = ""
    critique_revision: tuple[CritiqueRevisionExemplar, ...] = ()
    judgment: tuple[JudgmentExemplar, ...] = ()
    templates: Templates = field(default_factory=Templates)

    def __post_init__(self) -> None:
        if not self.principles:
            raise ValueError("a constitution needs at least one principle")
        if len(self.by_id) < len(self.principles):
            raise ValueError("two principles have the same id")
        for exemplar in (*self.critique_revision, *self.judgment):
            if exemplar.principle not in self.by_id:
                raise ValueError(f'an exemplar names the principle "{exemplar.principle}", which is not there')

    @property
    def by_id(self) -> Mapping[str, Principle]:
        """The principles by id."""
        return MappingProxyType({principle.id: principle for principle in self.principles})
