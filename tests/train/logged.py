"""Trains sft and ppo once for each of W&B, MLflow and trackio, then prints what these have kept.

    python logged.py FOLDER

FOLDER/LOGGER/KIND/job.json is what is trained; what is printed is LOGGER → run → figure → its values. For an interpreter that
has the loggers; where they keep things, the environment says. torch is loaded once, and each training is a fork of that.
"""

import importlib
import json
import os
import struct
import sys
from collections.abc import Iterator
from pathlib import Path

PROJECT = "logged"
Kept = dict[str, dict[str, list[float]]]


def train(logger: str, kind: str, file: Path) -> None:
    """One training, in a process of its own that ends as any other."""
    module = importlib.import_module(f"cai.train.{kind}")
    if child := os.fork():
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        assert status == 0, f"{kind} with {logger} ended with {status}"
        return
    sys.argv = [kind, str(file), "--figures-to", logger, "--figures-as", f"{PROJECT}/{kind}"]
    module.main()
    sys.exit()


def mlflow() -> Kept:
    from mlflow import MlflowClient

    client = MlflowClient()
    experiment = client.get_experiment_by_name(PROJECT)
    assert experiment is not None, "MLflow has no such experiment"
    runs = client.search_runs([experiment.experiment_id])
    assert all(run.info.status == "FINISHED" and run.data.params["seed"] == "0" for run in runs)
    return {
        str(run.info.run_name): {
            name: [each.value for each in client.get_metric_history(run.info.run_id, name)] for name in run.data.metrics
        }
        for run in runs
    }


def trackio() -> Kept:
    from trackio.sqlite_storage import SQLiteStorage

    return {run: columns(SQLiteStorage.get_logs(PROJECT, run)) for run in SQLiteStorage.get_runs(PROJECT)}


def wandb() -> Kept:
    """From the files of offline runs, which are in the folders of their trainings."""
    found: Kept = {}
    for file in sorted(Path(sys.argv[1]).glob("wandb/*/wandb/*/*.wandb")):
        name, lines = "", []
        for record in records(file.read_bytes()):
            if record.HasField("run") and record.run.display_name:
                assert record.run.project == PROJECT
                name = record.run.display_name
            if record.HasField("history"):
                items = record.history.item
                lines.append({"".join(item.nested_key) or item.key: json.loads(item.value_json) for item in items})
        found[name] = columns(lines)
    return found


def records(data: bytes) -> Iterator:
    """The records of a W&B file: LevelDB's log format after a header of 7 bytes, in blocks of 32 KiB."""
    from wandb.proto.wandb_internal_pb2 import Record

    at, parts = 7, b""
    while at + 7 <= len(data):
        if (left := -at % 32768) and left < 7:
            at += left  # too little is left of the block for another header
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # a whole record, or the last part of one
            yield Record.FromString(parts)
            parts = b""


def columns(lines: list[dict]) -> dict[str, list[float]]:
    """Figure → its values, from lines of figures."""
    found: dict[str, list[float]] = {}
    for line in lines:
        for name, value in line.items():
            if isinstance(value, int | float):
                found.setdefault(name, []).append(value)
    return found


if __name__ == "__main__":
    jobs = sorted(Path(sys.argv[1]).glob("*/*/job.json"))
    for job in jobs:
        train(job.parent.parent.name, job.parent.name, job)
    print(json.dumps({read.__name__: read() for read in (wandb, mlflow, trackio)}))
