"""The stages, as a table that reads like the method; one file a word of the recipe.

A stage of shape *rows* is ``async (row, want, ask) → row | list | Drop``, where ``want`` is its block and ``ask`` its way to
models; one of shape *set* sees the whole set at once; *train* is a process of its own. ``reads`` is the kind of stage whose
output is its input: the nearest one before it, unless the block says ``from``. To add one: a file with its block (a frozen
dataclass) and its function, a line in ``STAGES`` below, and the block's keys in ``cai/recipe.schema.json``.

imports: judge, flow, data
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from cai.stages.benchmarks import Benchmarks
from cai.stages.best import Best, best
from cai.stages.dpo import Dpo
from cai.stages.evaluate import Evaluate
from cai.stages.grpo import Grpo
from cai.stages.kto import Kto
from cai.stages.label import Label, label
from cai.stages.orpo import Orpo
from cai.stages.pairs import Pairs
from cai.stages.ppo import Ppo
from cai.stages.prefs import Prefs, prefs
from cai.stages.prompts import Prompts
from cai.stages.ranked import Ranked, ranked
from cai.stages.revise import Revise, revise
from cai.stages.reward import Reward
from cai.stages.rloo import Rloo
from cai.stages.robustness import Robustness
from cai.stages.rounds import Rounds
from cai.stages.rrhf import Rrhf
from cai.stages.sample import Sample, sample
from cai.stages.score import Score, score
from cai.stages.sft import Sft
from cai.stages.sft_set import SftSet, sft_set
from cai.stages.simpo import Simpo
from cai.stages.unpaired import Unpaired, unpaired
from cai.stages.verify import Verify
from cai.store.rows import Chain, Pair, Preference, Prompt, Scored


@dataclass(frozen=True, slots=True)
class Report:
    """The ``report`` block: the run on one HTML page.

    Attributes:
        rows: chains and comparisons shown whole.
    """

    rows: int = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """One line of the table.

    Attributes:
        shape: "source", "rows", "set", "train", "rounds", "evaluate", "verify", "robustness", "benchmarks" or
            "report".
        want: the type of its block.
        reads: the kinds of stage it can take its rows from.
        work: the stage function, for "rows" and "set".
        takes, gives: row types, for "rows" and "set".
        constitution: whether the constitution decides its rows.
        optional: whether it takes rows only where its block says from which stage.
    """

    shape: str
    want: type
    reads: tuple[str, ...] = ()
    work: Callable[..., Any] | None = None
    takes: type | None = None
    gives: type | None = None
    constitution: bool = False
    optional: bool = False


def trainers() -> tuple[str, ...]:
    """The kinds of stage that train a model."""
    return tuple(kind for kind, table in STAGES.items() if table.shape == "train")


def sets() -> tuple[str, ...]:
    """The kinds of stage that make a dataset."""
    return tuple(kind for kind, table in STAGES.items() if table.shape == "set")


def read_block(kind: str, data: Mapping[str, object]) -> Any:
    """A block's data, as YAML or JSON has it, → the stage's ``want``."""
    return STAGES[kind].want(**{key: tuple(value) if isinstance(value, list) else value for key, value in data.items()})


STAGES: dict[str, Kind] = {
    "prompts": Kind("source", Prompts, gives=Prompt),
    # Supervised: the model critiques and revises its own answers, and learns from the revisions.
    "revise": Kind("rows", Revise, ("prompts",), revise, Prompt, Chain, constitution=True),
    "sft_set": Kind("set", SftSet, ("revise",), sft_set, Chain),
    "sft": Kind("train", Sft, ("sft_set", "best")),
    # Preferences: the tuned model answers twice, a judge says which answer accords better with a principle.
    "sample": Kind("rows", Sample, ("prompts",), sample, Prompt, Pair),
    "pairs": Kind("source", Pairs, gives=Pair),  # or answers that are there already, compared by people
    "label": Kind("rows", Label, ("sample", "pairs"), label, Pair, Preference, constitution=True),
    "prefs": Kind("set", Prefs, ("label",), prefs, Preference),
    "reward": Kind("train", Reward, ("prefs",)),
    "dpo": Kind("train", Dpo, ("prefs",)),
    "orpo": Kind("train", Orpo, ("prefs",)),
    "simpo": Kind("train", Simpo, ("prefs",)),
    # Scores: each answer is looked at alone; the best are learnt from, or the good and the bad, or their order.
    "score": Kind("rows", Score, ("sample", "pairs"), score, Pair, Scored, constitution=True),
    "best": Kind("set", Best, ("score",), best, Scored),
    "unpaired": Kind("set", Unpaired, ("score",), unpaired, Scored),
    "ranked": Kind("set", Ranked, ("score",), ranked, Scored),
    "kto": Kind("train", Kto, ("unpaired",)),
    "rrhf": Kind("train", Rrhf, ("ranked",)),
    # Reinforcement: the policy answers prompts itself, and learns from the scores of its answers.
    "ppo": Kind("train", Ppo, ("prompts",), constitution=True),
    "grpo": Kind("train", Grpo, ("prompts",), constitution=True),
    "rloo": Kind("train", Rloo, ("prompts",), constitution=True),
    # Again and again: several of the steps above, with the policy that the round before made.
    "rounds": Kind("rounds", Rounds, ("prompts",)),
    # What became of it.
    "evaluate": Kind("evaluate", Evaluate, ("prompts",), constitution=True),
    "verify": Kind("verify", Verify, ("label",), constitution=True, optional=True),
    "robustness": Kind("robustness", Robustness, ("prompts",), constitution=True),
    "benchmarks": Kind("benchmarks", Benchmarks),
    "report": Kind("report", Report),
}
