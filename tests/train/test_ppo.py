"""The PPO trainer as a process: it learns, goes on after a kill, and does alone what two processes do."""

import importlib.util
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from forks import killed_at, together
from toy import models, tokenizer

from cai.store.rows import Prompt, plain
from cai.store.stage import Stage

ROOT = Path(__file__).resolve().parents[2]
CONSTITUTION = str(ROOT / "principles" / "harmless.yaml")
SETTINGS = {
    "method": "rules",
    "rules": {"length": 20.0},
    "max_steps": 6,
    "batch_size": 32,
    "per_device_train_batch_size": 16,
    "max_new_tokens": 8,
    "learning_rate": 3e-3,
    "missing_eos_penalty": 0.0,
    "save_steps": 2,
    "kl_coef": 0.02,
    "num_mini_batches": 2,
    "eval_prompts": 5,
}

TrainHere = Callable[[str, Path], dict[str, Any]]


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a policy of seven words, a reward model that reads them, and prompts, some of them held out."""
    folder = tmp_path_factory.mktemp("toy")
    for name, model in zip(("policy", "reward"), models(), strict=True):
        model.save_pretrained(folder / name)
        tokenizer().save_pretrained(folder / name)
    asked = ["say", "say say", "a say", "b c say", "c say", "b say"]
    rows = [
        Prompt(
            str(number),
            ({"role": "user", "content": asked[number % 6]},),
            "toy",
            "redteam" if number % 2 else "helpful",
        )
        for number in range(24)
    ]
    Stage(folder / "prompts").write_parts(rows[:18], 10)
    Stage(folder / "prompts" / "heldout").write_parts(rows[18:], 10)
    return folder


@pytest.fixture(scope="module")
def job(toy: Path) -> Callable[..., Path]:
    """Writes a PPO job on the toy; returns its path."""
    from cai.stages.ppo import Ppo
    from cai.train.launch.start import job as write_job

    def write(out: Path, spec: dict[str, Any] | None = None, **config: Any) -> Path:
        want = Ppo(base=str(toy / "policy"), bf16=False, **{**SETTINGS, **config})
        keys = ("method", "choice", "floor", "rules")
        scoring = {key: getattr(want, key) for key in keys} | {"spec": spec, "constitution": CONSTITUTION}
        places = (toy / "prompts", out)
        return write_job("ppo", want, str(toy / "policy"), places, 0, {"scoring": {**scoring, "logs": str(out)}})

    return write


@pytest.fixture(scope="module")
def whole(job: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory, train_here: TrainHere) -> Path:
    """A PPO training that nothing disturbed."""
    out = tmp_path_factory.mktemp("whole")
    train_here("ppo", job(out))
    return out


def lines(out: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]


def weights(out: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(out / "model" / "model.safetensors")


def test_the_reward_rises_and_the_figures_of_the_field_are_there(whole: Path) -> None:
    found, manifest = lines(whole), json.loads((whole / "manifest.json").read_text())
    assert [each["step"] for each in found] == [1, 2, 3, 4, 5, 6]
    assert found[-1]["reward"] > found[0]["reward"] + 0.3  # answers of up to eight words, a fifth of a point each
    assert found[0]["kl"] == pytest.approx(0, abs=1e-5) and found[-1]["kl"] > 0.1
    figures = {"entropy", "clip_fraction", "explained_variance", "length", "ended", "approx_kl", "kl_coef", "unread"}
    assert figures <= found[-1].keys()
    left_out = {"other_track": 0, "too_long": 0, "beyond_eval_prompts": 1}
    assert manifest["rows"] == {"train": 18, "test": 5, **left_out}
    metrics = manifest["metrics"]
    assert metrics["eval_gain"] == pytest.approx(metrics["eval_reward"] - metrics["eval_reward_before"])
    assert metrics["eval_gain"] > 0 and metrics["eval_gain_se"] > 0
    assert not (whole / "checkpoints").exists()


def test_the_policy_it_leaves_answers(whole: Path, toy: Path) -> None:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model, reads = (each.from_pretrained(whole / "model") for each in (AutoModelForCausalLM, AutoTokenizer))
    ids = reads.apply_chat_template([{"role": "user", "content": "say"}], return_tensors="pt", return_dict=False)
    assert model.generate(ids, max_new_tokens=3, do_sample=False).shape[1] > ids.shape[1]
    before = AutoModelForCausalLM.from_pretrained(toy / "policy").state_dict()
    assert any(not value.equal(before[name]) for name, value in model.state_dict().items())


def test_a_killed_training_ends_with_the_same_weights(
    whole: Path, job: Callable[..., Path], tmp_path: Path, train_here: TrainHere
) -> None:
    file = job(tmp_path)
    killed_at(2, "ppo", file)
    train_here("ppo", file)
    assert json.loads((tmp_path / "manifest.json").read_text())["resumed_from"] >= 2
    first, second = weights(whole), weights(tmp_path)
    assert all(first[name].equal(second[name]) for name in first)
    timeless = [{**each, "seconds": 0} for each in lines(tmp_path)]
    assert timeless == [{**each, "seconds": 0} for each in lines(whole)]


def test_two_processes_do_what_one_does(whole: Path, job: Callable[..., Path], tmp_path: Path) -> None:
    import torch

    together("ppo", job(tmp_path))
    alone, shared = weights(whole), weights(tmp_path)
    assert all(torch.allclose(alone[name], shared[name], atol=1e-4) for name in alone)
    for one, two in zip(lines(whole), lines(tmp_path), strict=True):
        for name in ("reward", "kl", "loss/policy", "loss/value", "explained_variance"):
            assert two[name] == pytest.approx(one[name], abs=1e-3), name


@pytest.mark.real
@pytest.mark.slow
def test_two_processes_learn_from_what_one_server_samples(toy: Path, tiny: Path, tmp_path: Path) -> None:
    """Both processes ask a vLLM server that has the policy's weights at every step; one process does in ``rl/test_serving``."""
    from cai.models.spec import ModelSpec
    from cai.stages.ppo import Ppo
    from cai.train.launch.start import job as write_job

    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    spec = ModelSpec("policy", vllm=str(tiny))
    small = {"max_steps": 2, "batch_size": 4, "per_device_train_batch_size": 2, "eval_prompts": 2}
    want = Ppo(base=spec.vllm, bf16=False, **{**SETTINGS, **small}, rollouts="policy")
    beside = {
        "scoring": {"method": "rules", "rules": {"length": 20.0}, "constitution": CONSTITUTION, "logs": str(tmp_path)},
        "sampler": {"spec": plain(spec), "logs": str(tmp_path / "logs")},
    }
    file = write_job("ppo", want, want.base, (toy / "prompts", tmp_path / "ppo"), 0, beside)
    together("ppo", file)
    found = lines(tmp_path / "ppo")
    assert [each["step"] for each in found] == [1, 2]
    assert found[1]["kl"] > 1e-4  # it learns
    assert all(each["kl_drawn"] < 1e-4 for each in found)  # and the server's policy is the one that learnt
    assert not (tmp_path / "ppo" / "serving").exists()
    lines_of_processes = (each.info["cmdline"] or () for each in psutil.process_iter(["cmdline"]))
    assert not [line for line in lines_of_processes if str(tmp_path) in " ".join(line)], "a server is left behind"


def test_a_reward_model_scores_and_the_critic_starts_from_it(
    toy: Path, job: Callable[..., Path], tmp_path: Path, train_here: TrainHere
) -> None:
    from cai.models.spec import ModelSpec

    spec = plain(ModelSpec("rm", reward=str(toy / "reward")))
    file = job(tmp_path, spec, method="reward", reward="rm", rules={}, value="reward", max_steps=2, lora=4)
    train_here("ppo", file)
    found = lines(tmp_path)
    assert found[0]["reward_std"] > 0
    assert json.loads((tmp_path / "manifest.json").read_text())["steps"] == 2
    assert ends(tmp_path / "model") is not None
    assert ends(tmp_path / "model") == ends(toy / "policy")


def ends(model: Path) -> Any:
    """The tokens that end an answer, as a model is saved with them."""
    from transformers import GenerationConfig

    return GenerationConfig.from_pretrained(model).eos_token_id


def test_what_these_processes_cannot_do_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    from cai.stages.ppo import Ppo
    from cai.train import ppo
    from cai.train.shared.job import Job

    two: Any = SimpleNamespace(count=2)
    few, enough = Ppo(base="b", batch_size=1), Ppo(base="b")
    alone, served = (Job("ppo", enough, Path(), Path(), 0, sampler=each) for each in (None, {"spec": {}}))
    assert "batch_size 1 is below the 2 processes" in ppo._unable(replace(alone, want=few), two)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "1")
    assert "this training is on several; take rollouts out" in ppo._unable(served, two)
    assert not ppo._unable(alone, two)


def test_a_judge_that_cannot_be_read_is_left_out(
    job: Callable[..., Path], tmp_path: Path, train_here: TrainHere
) -> None:
    from cai.models.spec import ModelSpec

    script = tmp_path / "judge.yaml"
    unread = "- {when: 'a b', say: ['-'], choose: {'1': 0.001}}\n"
    script.write_text(unread + "- {say: ['-'], choose: {'1': 0.1, '7': 0.8}}\n")
    spec = plain(ModelSpec("judge", scripted=str(script)))
    train_here("ppo", job(tmp_path, spec, method="score", reward="judge", rules={}, max_steps=1))
    [found] = lines(tmp_path)
    assert 0 < found["unread"] < 0.6
    assert found["reward"] == pytest.approx((0.1 + 5.6) / 0.9)


def test_a_training_ends_where_the_kl_passes_its_limit(
    job: Callable[..., Path], tmp_path: Path, train_here: TrainHere
) -> None:
    train_here("ppo", job(tmp_path, kl_limit=0.05, learning_rate=1e-2))
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert manifest["steps"] < 6
    assert "over kl_limit (0.05)" in manifest["stopped"]
