"""An exam in values for several models of a run, on cases where the right choice is clear: ``cai.judge.verification``.

The cases are the constitution's examples and, with ``from: label``, the clear ones of that stage's pairs. Pairs that a model was
trained on show what it learnt; give the exam pairs of its own (a ``pairs`` and a ``label`` stage under other names) to show more.
"""

from dataclasses import dataclass

from cai.judge.cases import Clarity
from cai.judge.separation import Separation
from cai.judge.settings import Judging
from cai.judge.verification import WAYS, Exam, ModelFigures


@dataclass(frozen=True, slots=True)
class Verify:
    """The ``verify`` block.

    Attributes:
        models: roles; each after the first is told from all others by as few cases as that takes.
        judge: compares their answers with the known ones; where empty, whether an answer declines is looked at.
        method: how it compares, as in ``label``.
        ways: how models are asked: by their own "answer", by the "likelihood" of the known ones, or both.
        examples: whether the constitution's examples are asked.
        margin, voices: from where on a pair is clear, see ``cai.judge.cases.Clarity``.
        cases: pairs at the most, the clearest first; None takes all.
    """

    models: tuple[str, ...]
    judge: str = ""
    method: str = "logprob"
    ways: tuple[str, ...] = WAYS
    examples: bool = True
    margin: float = 0.6
    voices: int = 2
    cases: int | None = None
    max_tokens: int = 512

    @property
    def clarity(self) -> Clarity:
        """From where on a pair is clear."""
        return Clarity(self.margin, self.voices)

    @property
    def exam(self) -> Exam:
        """How a model is asked."""
        return Exam(self.ways, self.max_tokens, judging=Judging(self.method) if self.judge else None)


class VerifiedModel(ModelFigures, total=False):
    """A model's figures.

    Attributes:
        separation: what tells it from the others; of the first there is none.
    """

    separation: Separation
