"""What can be known of a ``benchmarks`` step before anything starts: whether its programs have the tasks, a judge and the data."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from cai.data import harnesses
from cai.data.harnesses import INSPECT, INSPECT_EVALS, LM_EVAL, LM_EVAL_OPTIONS
from cai.errors import pip_install
from cai.models.machine import Machine
from cai.models.spec import ModelSpec
from cai.stages.benchmarks import Benchmarks, BenchmarkTask
from constitution.source import nearest

Problems = Iterator[tuple[str, str]]
NAMES = {INSPECT: "inspect-ai", INSPECT_EVALS: "inspect-evals", LM_EVAL: "lm-eval"}
"""What pip calls the packages."""


def problems(want: Benchmarks, models: Mapping[str, ModelSpec], machine: Machine) -> Problems:
    """All that is wrong with a step."""
    for task in want.tasks:
        yield from (("tasks", f"{task.title}: {text}") for text in _task(task, want, machine))
    yield from (("data", f"{name}: {text}") for name, source in want.data.items() for text in _data(name, source))
    yield from _twice(want)
    judge = models.get(want.judge)
    if judge and judge.hosted and (role := next((each for each in want.models if _beside(judge, each, models)), "")):
        yield "judge", f"would have to be up on this machine beside {role}; give the judge by `endpoints`"


def _beside(judge: ModelSpec, role: str, models: Mapping[str, ModelSpec]) -> bool:
    """Whether a role is a second model of this machine's; one that is trained is served as its base is."""
    own = models.get(role)
    return role != judge.role and (own is None or (own.hosted and not own.same_server(judge)))


def _task(task: BenchmarkTask, want: Benchmarks, machine: Machine) -> Iterator[str]:
    place, name = harnesses.split(task.task)
    lacking = [each for each in (harnesses.program(task.task), place) if each in NAMES and each not in machine.packages]
    if lacking:
        yield f"needs the package {NAMES[lacking[0]]}; run: {pip_install('evals')}"
    elif place.endswith(".py"):
        yield from _of_file(place, name)
    elif place in (INSPECT_EVALS, LM_EVAL):
        yield from _named(task, place, name)
    elif not name or harnesses.folder(place) is None:
        yield f"is no task: write {INSPECT_EVALS}/NAME, {LM_EVAL}/NAME, or FILE.py@NAME for one of your own"
    if not lacking:
        yield from _settings(task, want)


def _of_file(file: str, name: str) -> Iterator[str]:
    own = list(harnesses.signatures(Path(file)))
    if not Path(file).exists():
        return  # which is said where files are looked for
    if not own:
        yield "has no function with Inspect's decorator @task; add one"
    elif name and name not in own:
        yield f'has no task "{name}"; {nearest(name, own)}'
    elif not name and len(own) > 1:
        yield f"has several tasks; name one: {', '.join(f'{Path(file).name}@{each}' for each in own)}"


def _named(task: BenchmarkTask, package: str, name: str) -> Iterator[str]:
    known, more = harnesses.tasks(package), task.args.get("include_path")
    if package == LM_EVAL and isinstance(more, str):
        known = [*known, *harnesses.yaml_tasks(Path(more))]
    if name not in known:
        yield f'{NAMES[package]} has no task "{name}"; {nearest(name, known)}'


def _settings(task: BenchmarkTask, want: Benchmarks) -> Iterator[str]:
    """Settings that the task does not take, and a judge that it lacks."""
    known, by_lm_eval = harnesses.signature(task.task), harnesses.program(task.task) == LM_EVAL
    takes: list[str] = [*LM_EVAL_OPTIONS] if by_lm_eval else [*(known.parameters if known else ())]
    for key in (each for each in task.args if each not in takes and (by_lm_eval or known)):
        yield f'takes no setting "{key}"; {nearest(key, takes) if takes else "take it out"}'
    if known and not want.judge and (unset := [key for key in known.needs if key not in task.args]):
        yield f"asks a model to grade ({', '.join(unset)}); name a role under `judge`"


def _data(name: str, source: str | Mapping[str, str]) -> Iterator[str]:
    web, parts = "://" in name, name.split("/")
    if not web and (len(parts) not in (2, 3) or not all(part and not part.startswith(".") for part in parts)):
        yield "is neither owner/name, with a configuration behind it or without, nor an address; write one of these"
    elif web and not (isinstance(source, str) and not Path(source).is_dir()):
        yield "is an address, which stands for one file; name that"
    elif not web and isinstance(source, str) and Path(source).is_file():
        yield f"say of which split the file is, such as {{test: {Path(source).name}}}"
    elif not web and isinstance(source, str) and len(parts) == 3:
        yield "a folder stands for a whole data set; take the configuration out of its name"
    for split in (
        (each for each in source if not re.fullmatch(r"\w+(\.\w+)*", each)) if not isinstance(source, str) else ()
    ):
        yield f'"{split}" cannot be the name of a split; it has letters, digits, _ and . only'


def _twice(want: Benchmarks) -> Problems:
    """Data sets that are a folder, and beside it files under the same name."""
    for name, source in want.data.items():
        if isinstance(source, str) and any(each.startswith(f"{name}/") for each in want.data):
            yield "data", f"{name}: is a folder, and one of its configurations stands beside it; take one of them out"
