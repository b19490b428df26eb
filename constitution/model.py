"""What a constitution is: frozen types and their invariants.

After Bai et al. 2022 (arXiv 2212.08073), sections 3.1 and 4.1: a principle asks for a critique, asks for a revision, and
puts the question by which two answers are compared.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True)
class Principle:
    """One principle, named by its id wherever a row was made under it.

    Attributes:
        critique: asks what in an answer goes against the principle.
        revision: asks for the answer rewritten in accordance with it.
        judgment: asks which of two answers accords with it better; empty where the principle serves critique only.
    """

    id: str
    title: str
    critique: str
    revision: str
    judgment: str = ""
    tags: tuple[str, ...] = ()


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
