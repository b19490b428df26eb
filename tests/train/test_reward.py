"""Reward models as they are trained, saved and described: margins, held-out figures, and a head that got lost."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


Job = Callable[..., Path]
TrainHere = Callable[[str, Path], dict[str, Any]]


def manifest(out: Path) -> dict[str, Any]:
    return json.loads((out / "manifest.json").read_text())


@pytest.mark.filterwarnings("ignore")
def test_held_out_figures_are_those_of_the_saved_model(
    scripted_run: Callable[..., Path], tmp_path: Path, job: Job, train_here: TrainHere
) -> None:
    """They can be had again from the saved model by the very role that a recipe uses, and nothing was scored twice for them."""
    import asyncio

    from pyarrow import parquet

    from cai.models.reward import Reward
    from cai.models.spec import ModelSpec
    from cai.models.types import Request

    data = scripted_run("prefs.test=0.5") / "prefs"
    rows = parquet.read_table(data / "test.parquet").to_pylist()
    more = {"trl": {"per_device_eval_batch_size": len(rows)}}
    file = job("reward", data, tmp_path / "rm", max_steps=4, lora=4, learning_rate=1e-2, **more)
    train_here("reward", file)
    held = manifest(tmp_path / "rm")["held_out"]
    model = Reward(ModelSpec("rm", reward=str(tmp_path / "rm" / "model")))

    async def score(row: dict, side: str) -> float:
        return (await model.ask(Request(tuple(row["prompt"] + row[side]), score=True), row["id"])).score

    async def right(row: dict) -> bool:
        return await score(row, "chosen") > await score(row, "rejected")

    async def share() -> float:
        return sum([await right(row) for row in rows]) / len(rows)

    assert held["pairs"] == len(rows) > 4
    assert held["accuracy"]["value"] == pytest.approx(asyncio.run(share()))
    assert held["accuracy"]["low"] < held["accuracy"]["value"] < held["accuracy"]["high"]
    assert held["brier"]["value"] == pytest.approx(manifest(tmp_path / "rm")["metrics"]["eval_brier"], abs=1e-6)
    assert sum(point["pairs"] for point in held["curve"]) == len(rows)
    assert held["by_track"].keys() == {row["track"] for row in rows}
    assert held["by_principle"].keys() == {name for row in rows for name in row["principles"]}
    assert -1 <= held["reward_and_length"]["spearman"] <= 1
    assert manifest(tmp_path / "rm")["reloaded"] == {"pairs": 8, "apart": pytest.approx(0, abs=1e-4)}


def test_a_lost_head_is_noticed(tiny: Path, tmp_path: Path) -> None:
    """A model whose head did not reach the disk loads without an error, and scores at random."""
    import torch
    from safetensors.torch import load_file, save_file
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    from cai.models.reward import scores
    from cai.train.shared.scoring import Probe, check

    tokenizer = AutoTokenizer.from_pretrained(tiny)
    model = AutoModelForSequenceClassification.from_pretrained(tiny, num_labels=1, dtype=torch.float32).eval()
    model.config.pad_token_id = tokenizer.pad_token_id
    said = [tokenizer(text)["input_ids"] for text in ("A kind answer.", "A rude one.")]
    before = Probe(said, scores(model, tokenizer, said), torch.float32)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    assert check(tmp_path, before) == {"pairs": 1, "apart": pytest.approx(0, abs=1e-5)}
    with pytest.raises(ValueError, match="no pair was scored before"):
        check(tmp_path, Probe([], [], torch.float32))
    weights = load_file(tmp_path / "model.safetensors")
    del weights["score.weight"]
    save_file(weights, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(ValueError, match=r"the saved reward model is not the trained one: .* head was lost"):
        check(tmp_path, before)


def written(folder: Path) -> Path:
    """Three pairs to train on and three held out, as ``prefs`` writes them."""
    from cai.data import dataset

    folder.mkdir()
    rows = [
        {
            "prompt": [{"role": "user", "content": f"Question {n}?"}],
            "chosen": [{"role": "assistant", "content": "A kind answer. " * (n + 1)}],
            "rejected": [{"role": "assistant", "content": "A rude one."}],
            "chosen_prob": 0.75,
            "chosen_prob_raw": 0.75,
            "margin": 1 / 3,
            "principles": ["kind"],
            "judge": "nobody",
            "id": str(n),
            "track": "redteam",
            "prompt_id": str(n),
        }
        for n in range(6)
    ]
    dataset.write(folder, rows, {"3", "4", "5"})
    return folder


@pytest.mark.filterwarnings("ignore")
def test_rewards_are_not_rounded_where_the_rest_is_computed_in_bfloat16(
    tmp_path: Path, job: Job, train_here: TrainHere
) -> None:
    """And the held-out figures are made of what the trainer's own evaluation gave, not of another in float32."""
    import torch

    train_here("reward", job("reward", written(tmp_path / "data"), tmp_path / "rm", max_steps=1, bf16=True))
    first = json.loads((tmp_path / "rm" / "metrics.jsonl").read_text().splitlines()[0])
    assert torch.tensor(first["min_reward"]).bfloat16().item() != first["min_reward"]
    done = manifest(tmp_path / "rm")
    assert done["held_out"]["brier"]["value"] == pytest.approx(done["metrics"]["eval_brier"], abs=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_margins_ask_for_more_than_hard_labels_do(tmp_path: Path, job: Job, train_here: TrainHere) -> None:
    """With a margin m the loss at equal rewards is −log σ(−m), not log 2."""
    import math

    data = written(tmp_path / "data")
    losses = {}
    for margin in (True, False):
        hard = {"soft_labels": False, "margin": margin, "center_rewards_coefficient": None}
        done = train_here("reward", job("reward", data, tmp_path / str(margin), max_steps=1, **hard))
        losses[margin] = done["metrics"]["eval_loss"]
    assert losses[False] == pytest.approx(math.log(2), abs=0.05)
    assert losses[True] - losses[False] == pytest.approx(math.log(1 + math.exp(1 / 3)) - math.log(2), abs=0.02)


@pytest.mark.filterwarnings("ignore")
def test_margins_and_soft_labels_do_not_go_together(tmp_path: Path, job: Job, train_here: TrainHere) -> None:
    with pytest.raises(ValueError, match="margin: true is for hard labels"):
        train_here("reward", job("reward", written(tmp_path / "data"), tmp_path / "rm", margin=True))


def test_a_correlation_with_length_is_found() -> None:
    from cai.judge.reward_figures import correlation

    found = correlation([1, 2, 3, 4, 5, 6, 7], [1, 4, 9, 16, 25, 36, 49])
    assert found["spearman"] == pytest.approx(1)
    assert 0.9 < found["pearson"] < 1
    assert correlation([1, 1, 1], [1, 2, 3])["spearman"] is None


RECIPE = """\
name: ensemble
constitution: principles/harmless.yaml
models:
  policy: {{scripted: {data}/script.yaml}}
  careful: {{rewards: {{reward: 1.0}}, combine: mean, spread: 1.0}}
stages:
  - prompts: {{redteam: {{path: principles/prompts/redteam.jsonl, limit: 24}}}}
  - sample: {{model: policy}}
  - label: {{model: policy, method: logprob, orders: one}}
  - prefs: {{test: 0.3}}
  - reward: {{base: {tiny}, ensemble: 2, max_steps: 1, bf16: false}}
  - label: {{as: again, from: sample, model: careful, method: reward}}
  - report: {{}}
"""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("trains_here")
def test_an_ensemble_is_trained_used_and_reported(tiny: Path, tmp_path: Path) -> None:
    """Two models from two seeds judge together; done again after one is lost, only that one is trained."""
    import shutil

    from rich.console import Console

    from cai.flow.screen import Screen
    from cai.recipe.read import load_recipe
    from cai.run.walk import start
    from cai.store.stage import Stage

    (tmp_path / "r.yaml").write_text(RECIPE.format(data=ROOT / "tests" / "data", tiny=tiny))
    recipe, folder, quiet = load_recipe(tmp_path / "r.yaml"), tmp_path / "run", Screen(Console(quiet=True))
    start(recipe, folder, quiet)
    first, second = (manifest(folder / name) for name in ("reward", "reward-2"))
    assert (first["seed"], second["seed"]) == (0, 1)
    assert first["held_out"]["brier"] != second["held_out"]["brier"]
    votes = [row["votes"][0] for row in Stage(folder / "again").all_rows(dict)]
    assert votes
    assert {vote["model"] for vote in votes} == {"careful"}
    page = (folder / "report" / "report.html").read_text()
    assert "the saved model prefers the chosen answer in" in page
    for name in ("reward-2", "again", "report"):
        shutil.rmtree(folder / name)
    start(recipe, folder, quiet)
    assert manifest(folder / "reward") == first
    assert manifest(folder / "reward-2")["held_out"] == second["held_out"]
