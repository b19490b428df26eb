"""How Inspect and lm-eval are called, each as a program of its own, and what they leave behind: a log of theirs, and their figures.

Only what they document is used: command lines, variables of the environment, ``inspect log dump``, lm-eval's results file. Data
that is on disk is shown to them under the names by which they would download it: a folder ``owner/name`` in the folder where they
work, which Hugging Face's datasets take before the Hub's, and a file in the cache that inspect_evals keeps of the web.
"""

import json
import math
import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict, cast

from cai.data import harnesses
from cai.data.harnesses import LM_EVAL
from cai.errors import RunError
from cai.flow.gateway import Gateway
from cai.stages.benchmarks import Benchmarks, BenchmarkScore, BenchmarkTask
from cai.store.form import Count, misfit
from constitution.wording import count

SERVICE = "cai"
"""What Inspect calls the server that it asks: ``openai-api/cai/<role>``, with its key and its address in CAI_…."""
CACHES = ".cache"
LARGEST = 256 * 2**20
"""Bytes of a file of figures."""
PATIENCE = 10**6
"""Seconds for an answer: how long it may take is the role's matter."""


def grader(role: str) -> str:
    """The name under which a judge is asked, so that it is told from the same model at the task."""
    return f"judge/{role}"


class Reading(TypedDict):
    """What a program's log says of a task."""

    samples: Count
    failed: Count
    scores: dict[str, BenchmarkScore]
    headline: str
    version: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """A model at a task.

    Attributes:
        folder: for the program's log; the one of the data is beside those of the roles.
    """

    role: str
    task: BenchmarkTask
    want: Benchmarks
    folder: Path
    seed: int

    @property
    def data(self) -> Path:
        """Where the program works: what is on disk of its data stands here under the Hub's names."""
        return self.folder.parents[1] / "_data"

    @property
    def by_lm_eval(self) -> bool:
        """Whether lm-eval does it; Inspect else."""
        return harnesses.program(self.task.task) == LM_EVAL

    def line(self, gateway: Gateway, requests: int) -> list[str]:
        """The command.

        Args:
            requests: that may be in flight at once.
        """
        # Without the current folder among those of modules: a data set may be called like one.
        start = [sys.executable, "-P", "-m"]
        return [*start, *(self._lm_eval(gateway, requests) if self.by_lm_eval else self._inspect(requests))]

    def _inspect(self, requests: int) -> list[str]:
        model, judge = f"openai-api/{SERVICE}/{self.role}", f"openai-api/{SERVICE}/{grader(self.want.judge)}"
        args = dict(self.task.args)
        known = harnesses.signature(self.task.task)
        if self.want.judge:
            for key in (key for key in (known.judges if known else ()) if key not in args):
                args[key] = [judge] if key.endswith("s") else judge
        line = ["inspect_ai", "eval", self.task.task, "--model", model, "-M", "emulate_tools=true"]
        line += ["--model-role", f"grader={judge}"] if self.want.judge else []
        line += [part for key, value in args.items() for part in ("-T", f"{key}={json.dumps(value)}")]
        line += ["--limit", str(self.want.limit)] if self.want.limit else []
        line += ["--log-dir", str(self.folder), "--display", "plain", "--ctl-server", "false", "--no-fail-on-error"]
        return [*line, "--seed", str(self.seed), "--max-connections", str(requests), "--log-level", "info"]

    def _lm_eval(self, gateway: Gateway, requests: int) -> list[str]:
        _, name = harnesses.split(self.task.task)
        model = {"model": self.role, "base_url": f"{gateway.url}/chat/completions", "num_concurrent": requests}
        model |= {"timeout": PATIENCE, "max_retries": 1, "max_gen_toks": self.want.max_tokens}
        line = ["lm_eval", "run", "--model", "local-chat-completions", "--tasks", name, "--apply_chat_template"]
        line += ["--model_args", ",".join(f"{key}={value}" for key, value in model.items())]
        line += ["--output_path", str(self.folder), "--log_samples", "--seed", str(self.seed)]
        line += ["--limit", str(self.want.limit)] if self.want.limit else []
        here = {key: str(Path(str(self.task.args[key])).resolve()) for key in self.task.args.keys() & {"include_path"}}
        for key, value in {**self.task.args, **here}.items():
            line += (
                [f"--{key}"] if value is True else [f"--{key}", value if isinstance(value, str) else json.dumps(value)]
            )
        return line

    def environment(self, gateway: Gateway) -> dict[str, str]:
        """What the program is told beside its command: the server's key stands in no list of processes."""
        keys = {"OPENAI_API_KEY": gateway.key} if self.by_lm_eval else {}
        keys |= {f"{SERVICE.upper()}_API_KEY": gateway.key, f"{SERVICE.upper()}_BASE_URL": gateway.url}
        quiet = {"HF_HUB_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "TOKENIZERS_PARALLELISM": "false"}
        return {**quiet, **keys, **(self._caches() if self.want.data else {})}

    def _caches(self) -> dict[str, str]:
        """Caches of the stage's own: what a cache of before holds under the same names may be other data.

        What was downloaded from the Hub stays where it is.
        """
        usual = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
        hub = os.environ.get("HF_HOME") or str(Path(usual) / "huggingface")
        own = self.data / CACHES
        caches = {
            "HF_DATASETS_CACHE": "datasets",
            "INSPECT_EVALS_CACHE_DIR": "inspect_evals",
            "XDG_CACHE_HOME": "other",
        }
        return {"HF_HOME": hub, **{key: str(own / name) for key, name in caches.items()}}

    def lay_out(self) -> None:
        """Make ready the folder where the program works, with the data that is on disk; what a kill left there is made anew."""
        self.data.mkdir(parents=True, exist_ok=True)
        for left in (each for each in self.data.iterdir() if each.name != CACHES):
            if left.is_dir() and not left.is_symlink():
                shutil.rmtree(left)
            else:
                left.unlink()  # a program may write files where it works
        for name, source in self.want.data.items():
            if "://" in name:
                self._cache(name, Path(str(source)))
            else:
                _lay_out(self.data, name, source)

    def _cache(self, address: str, file: Path) -> None:
        """A file of the web, where inspect_evals keeps what it downloaded."""
        for place in harnesses.cached_as(self.task.task, address):
            path = self.data / CACHES / "inspect_evals" / place
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, path)  # a copy, as what cannot be read there is downloaded again, over it


def _lay_out(folder: Path, name: str, source: str | Mapping[str, str]) -> None:
    """A data set of the Hub as a folder of its name: as it was downloaded, or made of a file for each split."""
    owner, title, *config = name.split("/")
    place = folder / owner / title
    if isinstance(source, str):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(Path(source).resolve(), target_is_directory=True)
        return
    place.mkdir(parents=True, exist_ok=True)
    files = []
    for split, file in source.items():
        own = "-".join([*config, split]) + "".join(Path(file).suffixes[-2:])
        (place / own).symlink_to(Path(file).resolve())
        files.append({"split": split, "path": own})
    card = place / "README.md"
    configs = json.loads(card.read_text().split("---")[1])["configs"] if card.exists() else []
    mine = config[0] if config else "default"
    configs = [*(each for each in configs if each["config_name"] != mine), {"config_name": mine, "data_files": files}]
    card.write_text(f"---\n{json.dumps({'configs': configs})}\n---\n")  # JSON is YAML


def inspect_figures(header: Any) -> Reading:
    """What the header of an Inspect log says.

    Raises:
        RunError: the evaluation did not end well, or scored nothing.
    """
    results = header.get("results") or {}
    if header.get("status") != "success":
        raise RunError(str((header.get("error") or {}).get("message") or f"it ended as {header.get('status')}"))
    scores: dict[str, BenchmarkScore] = {}
    for score in results.get("scores", []):
        metrics = {key: each["value"] for key, each in score["metrics"].items()}
        error = metrics.pop("stderr", None) if metrics.keys() & {"accuracy", "mean"} else None
        for key, value in metrics.items():
            own = scores[f"{score['name']}/{key}"] = BenchmarkScore(value=finite(value))
            if error is not None and key in ("accuracy", "mean"):
                own["stderr"] = finite(error)
            if unscored := score.get("unscored_samples"):
                own["unscored"] = unscored
    about, done = header["eval"], results.get("completed_samples", 0)
    # Where all of them failed, the log has no results, and where some did, these count the others.
    asked = len(about["dataset"].get("sample_ids") or ()) * (about["config"].get("epochs") or 1)
    planned = max(asked, results.get("total_samples", 0), done)
    version = str(about.get("task_version", ""))
    headline = results.get("headline") or {}
    named = f"{headline.get('score')}/{headline.get('metric')}"
    return _checked(done, planned - done, scores, named if named in scores else next(iter(scores), ""), version)


def lm_eval_figures(results: Any, name: str) -> Reading:
    """What lm-eval's results file says of a task or a group; raises as ``inspect_figures``."""
    own, scores = results["results"], dict[str, BenchmarkScore]()
    counts = [each["effective"] for each in results.get("n-samples", {}).values()]
    for task in sorted(own, key=lambda task: task != name):
        prefix = "" if len(own) == 1 else f"{task}/"
        for key, value in own[task].items():
            metric, _, way = key.partition(",")
            if not way or metric.endswith("_stderr") or isinstance(value, str):
                continue
            error = own[task].get(f"{metric}_stderr,{way}")
            scores[prefix + key.removesuffix(",none")] = {"value": finite(value), "stderr": finite(error)}
    version = str(results.get("versions", {}).get(name, ""))
    return _checked(sum(counts), 0, scores, next(iter(scores), ""), version)


def _checked(samples: int, failed: int, scores: dict[str, BenchmarkScore], headline: str, version: str) -> Reading:
    reading = {"samples": samples, "failed": failed, "scores": scores, "headline": headline, "version": version}
    if wrong := misfit(reading, Reading):
        raise RunError(f"its log is not of the form that is known ({wrong})")
    if not samples or not scores:
        raise RunError(f"it scored nothing: {count(failed, 'sample')} failed")
    return cast("Reading", reading)


def finite(value: object) -> float | None:
    """A number that is one; None for anything else."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return float(cast("float", value)) if number else None


def newest(files: Sequence[Path]) -> Path:
    """The log that a program wrote last.

    Raises:
        RunError: there is none, or it is too large to be one.
    """
    if not files:
        raise RunError("it left no log")
    file = max(files, key=lambda each: each.stat().st_mtime_ns)
    if file.suffix == ".json" and file.stat().st_size > LARGEST:
        raise RunError(f"its results ({file}) are larger than {LARGEST >> 20} MiB")
    return file
