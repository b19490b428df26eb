"""Trainers on a model of a few thousand weights: TRL takes the datasets as they are, a killed training goes on as it was."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forks import killed_at

DATA = {
    "sft": "sft_set",
    "dpo": "prefs",
    "orpo": "prefs",
    "simpo": "prefs",
    "kto": "unpaired",
    "rrhf": "ranked",
    "reward": "prefs",
}
WRITERS = [kind for kind in DATA if kind != "reward"]
SETTINGS = {"max_steps": 10, "save_steps": 2, "learning_rate": 1e-3, "per_device_train_batch_size": 2}
EPOCH = 6  # steps after which all rows were trained on once

Job = Callable[..., Path]
Train = Callable[[str, Path], dict[str, Any]]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["SFT", "Reward", "DPO", "KTO"])
def test_trl_takes_the_datasets_as_they_are(
    sets: Path, tiny: Path, tmp_path: Path, arguments: dict[str, Any], kind: str
) -> None:
    import trl
    from datasets import load_dataset

    folder = sets / {"SFT": "best", "KTO": "unpaired"}.get(kind, "prefs")
    data = load_dataset(str(folder), cache_dir=str(tmp_path / "cache"))
    trainer = getattr(trl, f"{kind}Trainer")(
        model=str(tiny),
        args=getattr(trl, f"{kind}Config")(**arguments),
        train_dataset=data["train"],
        eval_dataset=data["test"],
    )
    assert math.isfinite(trainer.train().training_loss)


@pytest.mark.filterwarnings("ignore")
def test_a_reward_model_learns_the_soft_labels_and_the_hard_ones_differ(
    sets: Path, tmp_path: Path, job: Job, train_here: Train
) -> None:
    losses = {}
    for soft in (True, False):
        file = job("reward", sets / "prefs", tmp_path / str(soft), max_steps=3, soft_labels=soft)
        manifest = train_here("reward", file)
        assert manifest["rows"]["train"] > 0
        losses[soft] = manifest["metrics"]
    assert "eval_brier" in losses[True]
    assert "eval_brier" not in losses[False]
    assert losses[True]["eval_loss"] != losses[False]["eval_loss"]


@pytest.fixture(scope="module")
def whole(sets: Path, job: Job, train_here: Train, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """A trainer's undisturbed run, done once."""
    done: dict[str, Path] = {}

    def run(kind: str) -> Path:
        if kind not in done:
            file = job(kind, sets / DATA[kind], tmp_path_factory.mktemp(kind) / "whole", **SETTINGS)
            train_here(kind, file)
            done[kind] = file.parent
        return done[kind]

    return run


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", WRITERS)
def test_each_trainer_learns_and_leaves_a_model_that_loads(whole: Callable[[str], Path], kind: str) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    out = whole(kind)
    manifest = json.loads((out / "manifest.json").read_text())
    assert {side: count for side, count in manifest["rows"].items() if count} == {"train": 12, "test": 3}
    assert manifest["steps"] == SETTINGS["max_steps"]
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    losses = [line["loss"] for line in lines if "loss" in line]
    # The same rows are met again in the second epoch, whatever the order: their losses have come down.
    assert sum(losses[EPOCH:]) / len(losses[EPOCH:]) < sum(losses[:EPOCH]) / EPOCH
    assert math.isfinite(manifest["metrics"]["eval_loss"])
    tokenizer, model = (each.from_pretrained(out / "model") for each in (AutoTokenizer, AutoModelForCausalLM))
    said = tokenizer.apply_chat_template([{"role": "user", "content": "Hi"}], return_tensors="pt", return_dict=False)
    assert model.generate(said, max_new_tokens=2, do_sample=False).shape[1] > said.shape[1]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", DATA)
def test_no_answer_is_cut_unsaid(
    sets: Path, tiny: Path, tmp_path: Path, job: Job, train_here: Train, kind: str
) -> None:
    """A cut answer has lost its end: such rows are left out, or, where a trainer keeps them, counted as cut."""
    lengths = row_lengths(sets / DATA[kind], tiny, kind, tmp_path)
    most = sorted(lengths)[len(lengths) * 2 // 3]
    rows = train_here(kind, job(kind, sets / DATA[kind], tmp_path / "out", max_steps=1, max_length=most))["rows"]
    long = sum(length > most for length in lengths)
    assert 0 < long < len(lengths)
    if kind == "sft":
        long = sum(length > most for length in lengths[: rows["train"]])
        assert (rows["train"], rows["test"], rows["cut"], rows["too_long"]) == (12, 3, long, 0)
    else:
        assert (rows["train"] + rows["test"], rows["too_long"]) == (len(lengths) - long, long)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["dpo", "sft", "rrhf", "reward"])
def test_adapters_learn_in_float32_above_a_base_in_bfloat16(
    sets: Path, tiny: Path, tmp_path: Path, job: Job, train_here: Train, kind: str
) -> None:
    """And the base comes out as it is on disk, with what the adapters learnt added to it, not rounded."""
    import torch
    from safetensors.torch import load_file

    settings = {"max_steps": 1, "lora": 4, "learning_rate": 1e-3}
    manifest = train_here(kind, job(kind, sets / DATA[kind], tmp_path / "out", bf16=True, **settings))
    packing = {"packing": False} if kind == "sft" else {}
    # A reward model is held beside the saved one, of which bfloat16 would be as far as a head that was lost.
    held = "float32" if kind == "reward" else "bfloat16"
    assert manifest["decided"] == {"bf16": True, "weights": held, **packing}
    before, after = load_file(tiny / "model.safetensors"), weights(tmp_path / "out")
    assert {each.dtype for each in after.values()} == {torch.float32}
    for name in before.keys() & after.keys():
        moved = (after[name] - before[name]).abs().max().item()
        assert moved == 0 if "norm" in name or "embed" in name or "bias" in name else 0 < moved < 0.02, name


def row_lengths(data: Path, base: Path, kind: str, scratch: Path) -> list[int]:
    """Of each row, those of the training side first, the tokens of its longest conversation."""
    from datasets import load_dataset
    from transformers import AutoTokenizer

    from cai.models.lessons import lesson
    from cai.models.templates import ChatTemplate

    template = ChatTemplate(AutoTokenizer.from_pretrained(base))

    def length(prompt: list[Any], answer: list[Any]) -> int:
        if kind == "reward":
            return len(template.score_ids(prompt + answer))
        whole = lesson(template, prompt, answer[0])
        return len(whole.prompt + whole.answer)

    splits = load_dataset(str(data), cache_dir=str(scratch / "lengths"))
    rows = [row for split in ("train", "test") for row in splits[split]]
    answers = [
        row.get("completions") or [row[key] for key in ("completion", "chosen", "rejected") if key in row]
        for row in rows
    ]
    return [max(length(row["prompt"], each) for each in several) for row, several in zip(rows, answers, strict=True)]


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model" / "model.safetensors")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", DATA)
def test_a_killed_training_ends_with_the_same_weights(
    whole: Callable[[str], Path], sets: Path, tmp_path: Path, job: Job, train_here: Train, kind: str
) -> None:
    file = job(kind, sets / DATA[kind], tmp_path / "killed", **SETTINGS)
    killed_at(2, kind, file)
    assert train_here(kind, file)["resumed_from"] >= 2
    first, second = weights(whole(kind)), weights(tmp_path / "killed")
    assert all(first[name].equal(second[name]) for name in first)
