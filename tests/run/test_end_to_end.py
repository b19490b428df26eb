"""The whole path for real, killed twice on its way: vLLM serves the bundled model, TRL trains it.

One run, several minutes; the tests below look at what it left.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from cai.models.process import GRACE_SECONDS
from cai.store.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.real
needs_all = pytest.mark.skipif(sys.platform != "linux", reason="vLLM's CPU build runs on Linux")


def until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> None:
    while not ready():
        assert process.poll() is None, "the run ended before it could be killed"
        time.sleep(0.05)


def lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


class Story:
    """What happened: the folder, and what was there at each kill."""

    def __init__(self, out: Path) -> None:
        self.out, self.run = out, out / "real"
        self.written: list[bytes] = []
        self.below: list[list[str]] = []
        self.orphans: list[str] = []
        self.said = ""


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Story:
    story = Story(tmp_path_factory.mktemp("real"))
    line = [sys.executable, "-m", "cai.cli", "run", "tests/data/real.yaml", "--out", str(story.out)]
    log = (story.out / "log").open("wb")

    def begin() -> subprocess.Popen[bytes]:
        return subprocess.Popen(line, cwd=ROOT, stdout=log, stderr=log)

    def kill(process: subprocess.Popen[bytes]) -> None:
        below = psutil.Process(process.pid).children(recursive=True)
        story.below.append([" ".join(each.cmdline()) for each in below])
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        story.orphans += [str(each) for each in psutil.wait_procs(below, 10 * GRACE_SECONDS)[1]]

    generating = begin()
    opened = story.run / "revise" / "part-00000.jsonl.open"
    until(lambda: lines(opened) >= 2, generating)
    kill(generating)
    story.written = [part for part in opened.read_bytes().split(b"\n")[:-1] if part.endswith(b"}")]

    training = begin()
    checkpoint = story.run / "dpo" / "checkpoints" / "checkpoint-2" / "complete"
    until(lambda: checkpoint.exists() and lines(story.run / "dpo" / "metrics.jsonl") >= 3, training)
    kill(training)

    ended = subprocess.run(line, cwd=ROOT, capture_output=True, text=True)
    story.said = ended.stdout
    assert ended.returncode == 0, ended.stdout[-2000:] + ended.stderr[-2000:]
    return story


@needs_all
def test_killing_the_run_leaves_no_server_and_no_trainer(story: Story) -> None:
    for word, below in zip(("vllm.entrypoints", "cai.train.dpo"), story.below, strict=True):
        assert any(word in line for line in below)
    assert story.orphans == []


@needs_all
def test_rows_written_before_the_kill_were_not_done_again(story: Story) -> None:
    rows = {row["id"]: row for row in Stage(story.run / "revise").all_rows(dict)}
    assert len(story.written) >= 2
    for line in story.written:
        done = json.loads(line)
        assert done["out"] == [rows[done["in"]]]


@needs_all
def test_training_went_on_from_its_checkpoint(story: Story) -> None:
    steps = [line["step"] for line in Stage(story.run / "dpo").metrics() if "loss" in line]
    assert steps == [1, 2, 3, 4, 5, 6]
    log = (story.run / "logs" / "dpo.log").read_text()
    assert json.loads((story.run / "dpo" / "manifest.json").read_text())["resumed_from"] >= 2, log[-500:]


@needs_all
def test_every_ledger_adds_up(story: Story) -> None:
    names = [each["name"] for each in json.loads((story.run / "run.json").read_text())["stages"]]
    for name in names:
        seal = Stage(story.run / name).seal
        assert seal is not None, name
        assert seal["rows_in"] == seal["rows_kept"] + sum(seal["dropped"].values()), name
    labels = Stage(story.run / "label_cot").seal
    assert labels is not None
    assert sum(labels["counts"].values()) == labels["rows_out"]


@needs_all
def test_tokens_and_the_prefix_cache_are_counted(story: Story) -> None:
    seal = Stage(story.run / "revise").seal
    assert seal is not None
    assert seal["tokens_out"] > 0
    assert 0 < seal["tokens_cached"] < seal["tokens_in"]


@needs_all
def test_chains_have_critiques_and_revisions_in_words(story: Story) -> None:
    chains = [row for row in Stage(story.run / "revise").all_rows(dict) if row["track"] == "redteam"]
    assert chains
    for chain in chains:
        assert len(chain["drafts"]) == 2
        assert all(draft["text"] for draft in chain["drafts"])
        assert chain["drafts"][1]["critique"]


@needs_all
def test_models_load_as_their_kind_and_the_reward_head_was_kept(story: Story) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, AutoTokenizer

    for name in ("sft", "dpo"):
        tokenizer = AutoTokenizer.from_pretrained(story.run / name / "model")
        assert tokenizer.chat_template
        model = AutoModelForCausalLM.from_pretrained(story.run / name / "model")
        assert model.num_parameters() > 1e8
    reward, loading = AutoModelForSequenceClassification.from_pretrained(
        story.run / "reward" / "model", output_loading_info=True
    )
    assert not loading["missing_keys"], "the head would be random"
    assert reward.config.num_labels == 1
    tokenizer = AutoTokenizer.from_pretrained(story.run / "reward" / "model")
    with torch.inference_mode():
        assert reward(**tokenizer("Hello there", return_tensors="pt")).logits.shape == (1, 1)


@needs_all
def test_the_summary_and_the_report_tell_the_outcome(story: Story) -> None:
    for words in ("One row, whole", "revision 1:", "Ledger", "sft_set", "report.html"):
        assert words in story.said
    page = (story.run / "report" / "report.html").read_text()
    for words in ("What became of the model", "What the principles changed", "held-out loss", "far too small"):
        assert words in page
    metrics = json.loads((story.run / "evaluate" / "metrics.json").read_text())
    assert metrics["sft"]["compared"]["all"]["compared"] > 0
