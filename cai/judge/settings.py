"""What decides how a judge compares two answers, whoever asks it to: `label`, `evaluate`, `revise` or `cai test`."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cai.judge.calibration import Calibration
from cai.store.ledger import ADDED
from constitution.naming import LETTERS

VERDICTS = 5
"""Odd, so that they cannot be even."""


@dataclass(frozen=True, slots=True)
class Judging:
    """How answers are compared.

    Attributes:
        method: a file of ``cai.judge.methods``.
        panel: several judges, role → weight; the asker's one model unless given.
        combine: what several principles give together: "average", "minimum" or "strongest", see ``cai.judge.settle``.
        orders: "both"; or "one", drawn for each pair and taken in turn by its principles and judges.
        both_share: of the pairs judged in one order, the share judged in both all the same, which measures the bias.
        mean: of the orders, over their "probabilities" (Lee et al. 2023), or over their "logits", where a liking for one
            position that adds to the log-odds cancels out.
        disagree: what orders that disagree give: "drop" (status inconsistent) or "average" (after Lee et al. 2023).
        apart: probabilities of the two orders that are further apart than this disagree as well.
        clamp: bounds of the label; None means the method's, (0.4, 0.6) after reasoning, as published, and none without.
        calibration: role → what its probabilities stand for, fitted by ``cai judge-eval``.
        tie: a probability closer than this to one half is a tie.
        floor: the least probability that the options must hold together, by log-probability.
        max_tokens: of a text that the judge writes; 512 in Lee et al.
        exemplars: how many of the constitution's exemplars to show; None shows all.
        samples: reasonings of ``cot``, averaged.
        temperature: of those, and of sampled verdicts; None means 0 for one reasoning and 1 for all else, unless the role has
            its own.
        layout: "cached" puts the question last, "paper" before the answers, as published; "framed" does too, and marks where
            each of them begins and ends (after Zheng et al. 2023).
        names: what the two answers are called: by "letters", "numbers", "words" of the constitution's, or letters in "brackets",
            see ``constitution.naming``.
        rules: detector → weight, for ``rules``; its own where none are given.
        verdict: how a judge's choice is read: by "logprobs"; "sampled", by the last lines of several answers; "structured", which
            asks for what such a line does not say by the server's structured output. "auto" is "structured" where the judge's
            server gives no log-probabilities, or thinks before its first token and cannot be asked after its thought, and as
            far as it has such an output.
        verdicts: how many are sampled for one vote: with several reasonings of ``cot`` as many as those, and one of a role whose
            own temperature is 0.
        ties: whether a judge may say that neither answer is better, which counts half for each.
    """

    method: str = "cot"
    panel: Mapping[str, float] = field(default_factory=dict)
    combine: str = "average"
    orders: str = "both"
    both_share: float = 0.1
    mean: str = "probabilities"
    disagree: str = "drop"
    apart: float = 1.0
    clamp: tuple[float, float] | None = None
    calibration: Mapping[str, Calibration] = field(default_factory=dict)
    tie: float = 0.01
    floor: float = 0.1
    max_tokens: int = 512
    exemplars: int | None = None
    samples: int = 1
    temperature: float | None = None
    layout: str = "cached"
    rules: Mapping[str, float] = field(default_factory=dict)
    verdict: str = field(default="auto", metadata=ADDED)
    verdicts: int = field(default=VERDICTS, metadata=ADDED)
    ties: bool = field(default=False, metadata=ADDED)
    names: str = field(default=LETTERS, metadata=ADDED)

    @property
    def judges(self) -> tuple[str, ...]:
        """The roles that are asked; one without a name where it is the asker's own model, or none."""
        return tuple(self.panel) or ("",)
