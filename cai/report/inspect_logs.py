"""``cai export --to inspect``: a run's stages as Inspect logs, which ``inspect view`` and inspect_scout open.

A log holds up to ``SAMPLES`` rows of a stage; an evaluation has one for each model's answers and one for each comparison of two.
Logs of benchmarks that Inspect wrote are copied as they are. The files are written through inspect_ai's own types.
"""

import hashlib
import importlib
import importlib.util
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, islice
from pathlib import Path
from typing import Any

from cai.errors import UserError, pip_install
from cai.report import transcripts
from cai.report.rows import drops_of, rows_of
from cai.report.transcripts import Plain
from cai.store.ledger import versions
from cai.store.rows import Answers, Chain, Preference, Scored, decode
from cai.store.run_folder import RunNote, StageNote, run_note
from cai.store.stage import Stage
from constitution.source import nearest

SAMPLES = 2000
"""Rows of one log: it is made in memory, and a viewer loads an index of all of it."""
KINDS: Mapping[str, tuple[type, Callable[[Any], Plain]]] = {
    "revise": (Chain, transcripts.of_chain),
    "label": (Preference, transcripts.of_preference),
    "votes": (Preference, transcripts.of_preference),
    "answers": (Answers, transcripts.of_answers),
    "score": (Scored, transcripts.of_scored),
}
"""What rows are, by the kind of their stage, or the folder of an evaluation's."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What one or several logs are of.

    Attributes:
        title: as Inspect's task.
        kind: one of ``KINDS``.
    """

    title: str
    kind: str
    stage: Stage


def write_logs(folder: Path, out: Path, only: str = "", limit: int | None = None) -> list[Path]:
    """Write a run's logs; those of an earlier export are written over.

    Args:
        only: the stage to write; all that have transcripts unless given.
        limit: rows of each stage at most.

    Raises:
        UserError: inspect_ai is not installed, or there is no such stage, or nothing to write.
        RunError: a file of a stage is not as it was written.
    """
    if importlib.util.find_spec("inspect_ai") is None:
        raise UserError(f"--to inspect needs the package inspect-ai; run: {pip_install('evals')}")
    run = run_note(folder)
    names = [each["name"] for each in run["stages"]]
    if only and only not in names:
        raise UserError(f'the run has no stage "{only}"; {nearest(only, names)}')
    notes = [each for each in run["stages"] if only in ("", each["name"])]
    files = list(chain.from_iterable(_of_stage(folder, run, note, out, limit) for note in notes))
    if not files:
        raise UserError(f"{only or folder} has no transcripts yet: chains, labels, scores, an evaluation or benchmarks")
    return files


def _of_stage(folder: Path, run: RunNote, note: StageNote, out: Path, limit: int | None) -> Iterator[Path]:
    if note["kind"] == "benchmarks":
        for file in sorted((folder / note["name"]).glob("*/*/*.eval")):
            out.mkdir(parents=True, exist_ok=True)
            yield Path(shutil.copyfile(file, out / file.name))
    for subject in _subjects(folder, note):
        rows = _samples(subject)
        for number, samples in enumerate(_chunks(islice(rows, limit), SAMPLES)):
            yield _write(_log(run, subject, number, samples), subject, out, number)


def _subjects(folder: Path, note: StageNote) -> Iterator[Subject]:
    stage = Stage(folder / note["name"], note["name"])
    if note["kind"] in ("revise", "label", "score"):
        yield Subject(note["name"], note["kind"], stage)
    elif note["kind"] in ("evaluate", "robustness"):
        for kind in ("answers", "votes"):
            for path in sorted(stage.folder.glob(f"{kind}-*")):
                yield Subject(f"{note['name']}-{path.name}", kind, Stage(path, f"{note['name']}/{path.name}"))


def _samples(subject: Subject) -> Iterator[Plain]:
    """A sample for each row, then for each that was left out; ids are unique in a log, as Inspect takes them for one else."""
    kind, make = KINDS[subject.kind]
    ids: set[str] = set()
    for sample in chain(
        (make(decode(kind, row)) for row in rows_of(subject.stage)), map(transcripts.of_drop, drops_of(subject.stage))
    ):
        number, own = 1, sample["id"]
        while sample["id"] in ids:
            number += 1
            sample["id"] = f"{own} ({number})"
        ids.add(sample["id"])
        yield sample


def _chunks(rows: Iterable[Plain], size: int) -> Iterator[list[Plain]]:
    rows = iter(rows)
    return iter(lambda: list(islice(rows, size)), [])


def _created(stage: Stage) -> datetime:
    """When the stage ended, or began: an export that is made again has the same names."""
    times = [path.stat().st_mtime for name in ("begun.json", "seal.json") if (path := stage.folder / name).exists()]
    return datetime.fromtimestamp(int(max(times, default=0)), UTC)


def _log(run: RunNote, subject: Subject, number: int, samples: list[Plain]) -> Plain:
    """A whole log as plain data."""
    created, failed = _created(subject.stage).isoformat(), sum("error" in each for each in samples)
    key = f"{run['recipe']}-{subject.title}-{number}"
    for each in samples:
        each["uuid"] = hashlib.sha256(f"{key} {each['id']}".encode()).hexdigest()[:22]
    results = {"total_samples": len(samples), "completed_samples": len(samples) - failed, "scores": _scores(samples)}
    stats, spec = {"started_at": created, "completed_at": created}, _spec(run, subject, key, samples)
    return {"status": "success", "eval": spec, "results": results, "stats": stats, "samples": samples}


def _spec(run: RunNote, subject: Subject, key: str, samples: list[Plain]) -> Plain:
    """What a log says of itself."""
    models = dict.fromkeys(each["output"]["model"] for each in samples if each["output"]["model"])
    about = {key: run[key] for key in ("recipe", "constitution", "constitution_digest")}
    about |= {"stage": subject.stage.name, "digest": (subject.stage.seal or {}).get("digest", "")}
    return {
        "created": _created(subject.stage).isoformat(),
        "task": f"{run['recipe']}/{subject.title}",
        "task_id": key,
        "run_id": run["recipe"],
        "eval_id": key,
        "dataset": {
            "name": subject.stage.name,
            "samples": len(samples),
            "sample_ids": [each["id"] for each in samples],
        },
        "model": ", ".join(models) or "none",
        "config": {},
        "metadata": {**about, "made_by": versions()},
    }


def _scores(samples: list[Plain]) -> list[Plain]:
    """The mean of each score, over the rows that have one."""
    values: dict[str, list[float]] = {}
    for sample in samples:
        for name, score in sample["scores"].items():
            if score["value"] == score["value"]:
                values.setdefault(name, []).append(score["value"])
    return [
        {
            "name": name,
            "scorer": name,
            "scored_samples": len(several),
            "metrics": {"mean": {"name": "mean", "value": sum(several) / len(several)}},
        }
        for name, several in values.items()
    ]


def _write(log: Plain, subject: Subject, out: Path, number: int) -> Path:
    """A log through Inspect's own types, whole or not there."""
    inspect = importlib.import_module("inspect_ai.log")
    path = path_of(log, subject, out, number)
    out.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}")
    inspect.write_eval_log(inspect.EvalLog.model_validate(log), str(aside), format="eval")
    return aside.replace(path)


def path_of(log: Plain, subject: Subject, out: Path, number: int) -> Path:
    """Where a log is written: in the folder itself, whatever a run's own files say that the run is called."""
    title = f"{subject.title}-{number}" if number else subject.title
    stamp = _created(subject.stage).strftime("%Y-%m-%dT%H-%M-%S+00-00")
    names = (re.sub(r"[^A-Za-z0-9.-]", "-", each) for each in (title, log["eval"]["eval_id"]))
    return out / f"{'_'.join((stamp, *names))}.eval"
