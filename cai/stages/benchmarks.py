"""Evaluation sets by name: tasks of inspect_evals, of Inspect and of lm-eval, asked of a run's own models.

    - benchmarks: {models: [policy, dpo], judge: judge, limit: 200, tasks: [inspect_evals/xstest, lm_eval/ifeval]}

Each model does each task in a process of its own, which asks the model by HTTP (``cai.flow.gateway``); how the two programs are
called is in ``cai.run.harnesses``. This file holds the block, and the figures that come of it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, NotRequired, TypedDict

from cai.store.form import Amount, Between, Count, TokenCounts


@dataclass(frozen=True, slots=True)
class BenchmarkTask:
    """A task of a ``benchmarks`` block.

    Attributes:
        task: ``inspect_evals/xstest``, ``lm_eval/ifeval``, or a file of one's own with Inspect's tasks, ``mine.py@task``.
        label: what it is called in the folder and among the figures.
        args: the task's own settings; of lm-eval its options, such as ``num_fewshot``.
    """

    task: str
    label: str
    args: Mapping[str, object] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """Its name without the folders of a file."""
        return self.task.rpartition("/")[2] if ".py" in self.task else self.task


@dataclass(frozen=True, slots=True)
class Benchmarks:
    """The ``benchmarks`` block.

    Attributes:
        models: roles, each of which does every task.
        tasks: which.
        judge: the role that grades, where a task asks a model to.
        limit: samples of each task, from its first one on; None takes all.
        max_tokens: of an answer for which a task has no limit of its own.
        data: what is on disk of what tasks would download: name on the Hub (``owner/name``, or ``owner/name/config``) → a folder
            with its files, or {split: file}; or address on the web → a file.
    """

    models: tuple[str, ...]
    tasks: tuple[BenchmarkTask, ...]
    judge: str = ""
    limit: int | None = None
    max_tokens: int = 1024
    data: Mapping[str, str | Mapping[str, str]] = field(default_factory=dict)


Figure = Annotated[float, Between(-1e15, 1e15)]


class BenchmarkScore(TypedDict):
    """One figure of a task, as its program has it.

    Attributes:
        value: None where there is none, as of no samples.
        stderr: its standard error, where the program tells it.
        unscored: samples of which the scorer could not make anything, where there are some; they are in no figure.
    """

    value: Figure | None
    stderr: NotRequired[Figure | None]
    unscored: NotRequired[Count]


class BenchmarkFigures(TypedDict):
    """What a model reached in a task.

    Attributes:
        task: its name in full.
        samples: that were scored.
        failed: samples that were not, as the model or the task failed at them.
        scores: scorer/metric → the figure.
        headline: the score that is shown where there is room for one.
        made_by: the packages that asked and scored, with the task's own version.
        log: the program's own log, from the stage's folder on.
        tokens: of all the answers, the judge's included.
        refused: why requests were not answered → how many.
        judge: the model that graded; none where no task asked one to.
    """

    task: str
    samples: Count
    failed: Count
    scores: dict[str, BenchmarkScore]
    headline: str
    made_by: dict[str, str]
    log: str
    seconds: Amount
    tokens: TokenCounts
    refused: dict[str, Count]
    judge: NotRequired[str]
    self_judged: NotRequired[bool]


BenchmarkTable = dict[str, dict[str, BenchmarkFigures]]
"""``metrics.json``: role → task's label → figures."""
