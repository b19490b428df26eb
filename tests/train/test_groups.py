"""GRPO and RLOO on a language of seven words: the reward rises, whoever gives it, and a killed training goes on."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forks import killed_at, together

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("grpo", "rloo")
SETTINGS = {
    "max_steps": 25,
    "save_steps": 5,
    "learning_rate": 3e-3,
    "per_device_train_batch_size": 32,
    "num_generations": 8,
    "max_completion_length": 6,
    "missing_eos_penalty": 0.0,
    "eval_prompts": 4,
    "bf16": False,
    "guards": {"every": 0},
}
RULES = {"method": "rules", "rules": {"length": -100.0}}  # minus one for each word

Train = Callable[[str, Path], dict[str, Any]]
Online = Callable[..., Path]


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A policy and a reward model that read seven words, and prompts for them, held-out ones too."""
    from toy import models, tokenizer

    from cai.store.rows import Prompt
    from cai.store.stage import Stage

    folder = tmp_path_factory.mktemp("toys")
    policy, reward = models()
    reward.score.weight.data.mul_(20)  # so that answers differ by more than the KL costs
    for name, model in (("policy", policy), ("reward", reward)):
        model.save_pretrained(folder / name)
        tokenizer().save_pretrained(folder / name)
    ask = ["say", "say say", "a say", "b c say"] * 2
    rows = [
        Prompt(str(n), ({"role": "user", "content": each},), "toy", "helpful", tags=("toy",))
        for n, each in enumerate(ask)
    ]
    Stage(folder / "prompts").write_parts(iter(rows[:4]), 4)
    Stage(folder / "prompts" / "heldout").write_parts(iter(rows[4:]), 4)
    return folder


@pytest.fixture
def online(toys: Path, tmp_path: Path) -> Online:
    """Writes the job file of such a trainer; returns its path."""
    from cai.stages import STAGES
    from cai.store.rows import plain
    from cai.train.launch.start import job

    def write(kind: str, name: str = "out", spec: Any = None, **given: object) -> Path:
        settings = {key: value for key, value in {**SETTINGS, **given}.items() if value is not None}
        want = STAGES[kind].want(base=str(toys / "policy"), **settings)
        scoring = {key: getattr(want, key) for key in ("method", "choice", "floor", "rules")}
        scoring |= {"spec": plain(spec) if spec else None, "logs": str(tmp_path)}
        scoring |= {"constitution": str(ROOT / "principles" / "harmless.yaml")}
        return job(kind, want, str(toys / "policy"), (toys / "prompts", tmp_path / name), 0, {"scoring": scoring})

    return write


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def rewards(out: Path) -> list[float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line["reward"] for line in lines if "reward" in line]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("lora", [None, 8])
def test_the_reward_of_rules_rises(online: Online, train_here: Train, kind: str, lora: int | None) -> None:
    from transformers import AutoModelForCausalLM

    rate = 3e-2 if lora else 3e-3
    file = online(kind, reward="", lora=lora, learning_rate=rate, **RULES)
    manifest = train_here(kind, file)
    found = rewards(file.parent)
    assert len(found) == 25
    assert found[0] < -3
    assert sum(found[-5:]) / 5 > -0.5
    assert manifest["rows"] == {"train": 4, "test": 4, "other_track": 0, "too_long": 0, "beyond_eval_prompts": 0}
    assert manifest["steps"] == 25
    metrics = manifest["metrics"]
    assert metrics["eval_gain"] == pytest.approx(metrics["eval_reward"] - metrics["eval_reward_before"])
    assert metrics["eval_reward"] > metrics["eval_reward_before"]
    assert metrics["eval_kl"] > 0
    assert AutoModelForCausalLM.from_pretrained(file.parent / "model").config.vocab_size == 7
    shown = [json.loads(line) for line in (file.parent / "answers.jsonl").read_text().splitlines()]
    assert all(row["score"] == -len(row["text"].split()) for row in shown)


def judge(folder: Path, *rules: str) -> Any:
    """A judge that knows these rules; all other answers get a rating that it hardly holds to."""
    from cai.models.spec import ModelSpec

    unread = '{say: [x], choose: {"5": 0.01}}'
    (folder / "judge.yaml").write_text("".join(f"- {rule}\n" for rule in (*rules, unread)))
    return ModelSpec("judge", scripted=str(folder / "judge.yaml"))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_a_judge_s_ratings_are_the_reward(online: Online, train_here: Train, tmp_path: Path, kind: str) -> None:
    """Direct RLAIF: an answer with the word a gets 10, one with b gets 1, others cannot be read and count for nothing."""
    ten, one = (
        f'{{when: "Assistant:.*\\\\b{word}\\\\b", say: [x], choose: {{"{value}": 0.9}}}}'
        for word, value in (("a", 10), ("b", 1))
    )
    file = online(kind, spec=judge(tmp_path, ten, one), reward="judge", method="score")
    train_here(kind, file)
    shown = [json.loads(line) for line in (file.parent / "answers.jsonl").read_text().splitlines()]
    assert {row["score"] for row in shown} == {1.0, 10.0, None}
    for row in shown:
        assert row["score"] == (10 if "a" in row["text"].split() else 1 if "b" in row["text"].split() else None)
    assert rewards(file.parent)[0] < 9
    assert sum(rewards(file.parent)[-5:]) / 5 > 9.5


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_verdicts_that_cannot_be_read_teach_nothing(
    online: Online, toys: Path, train_here: Train, tmp_path: Path, kind: str
) -> None:
    spec = judge(tmp_path)
    file = online(kind, spec=spec, reward="judge", method="score", beta=0.0, no_kl=True, max_steps=3)
    train_here(kind, file)
    assert rewards(file.parent) == [None] * 3
    before, after = weights(toys / "policy"), weights(file.parent / "model")
    assert all(before[name].equal(after[name]) for name in before)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_the_score_of_a_reward_model_rises(online: Online, toys: Path, train_here: Train, kind: str) -> None:
    from cai.models.spec import ModelSpec

    spec = ModelSpec("reward", reward=str(toys / "reward"), dtype="float32")
    file = online(kind, spec=spec, reward="reward", max_steps=15)
    metrics = train_here(kind, file)["metrics"]
    found = rewards(file.parent)
    assert sum(found[-3:]) / 3 > max(found[:2])
    assert metrics["eval_reward"] > metrics["eval_reward_before"]


@pytest.mark.parametrize("kind", [*KINDS, "ppo"])
def test_two_processes_share_the_answers_of_a_step(online: Online, kind: str) -> None:
    sizes = {"per_device_train_batch_size": 16}
    if kind == "ppo":
        sizes |= {"batch_size": 32, "max_new_tokens": 6, "num_generations": None, "max_completion_length": None}
    file = online(kind, reward="", max_steps=6, **RULES, **sizes)
    together(kind, file)
    manifest = json.loads((file.parent / "manifest.json").read_text())
    assert manifest["processes"] == 2
    found = rewards(file.parent)
    assert len(found) == 6
    assert found[0] < -3 < found[-1]
    assert manifest["metrics"]["eval_reward"] > manifest["metrics"]["eval_reward_before"]


@pytest.mark.parametrize(("epochs", "steps"), [(1, 2), (3, 5)])
def test_every_prompt_is_met_as_often_as_there_are_epochs(epochs: int, steps: int) -> None:
    from types import SimpleNamespace

    from cai.train.shared.groups import places, prompt_count

    args = SimpleNamespace(generation_batch_size=32, num_generations=8, max_steps=-1, num_train_epochs=epochs)
    order = places(6, prompt_count(6, args), 0)
    assert len(order) == 4 * steps
    assert all(sorted(order[turn * 6 : turn * 6 + 6]) == list(range(6)) for turn in range(epochs))
    assert epochs == 1 or order[:6] != order[6:12]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_training_ends_with_the_same_weights(online: Online, train_here: Train, kind: str) -> None:
    whole, broken = online(kind, "whole", reward="", **RULES), online(kind, "killed", reward="", **RULES)
    train_here(kind, whole)
    killed_at(5, kind, broken)
    manifest = train_here(kind, broken)
    assert manifest["resumed_from"] >= 5
    first, second = weights(whole.parent / "model"), weights(broken.parent / "model")
    assert all(first[name].equal(second[name]) for name in first)
    undisturbed = json.loads((whole.parent / "manifest.json").read_text())["metrics"]
    assert manifest["metrics"]["eval_gain"] == undisturbed["eval_gain"]
    assert rewards(broken.parent) == rewards(whole.parent)


def test_answers_to_be_read_stand_beside_the_whole_conversation(tmp_path: Path) -> None:
    from cai.store.rows import Prompt
    from cai.train.rl.rollout import SeededPrompt
    from cai.train.shared import questions

    turns = [
        {"role": "user", "content": "Hi."},
        {"role": "assistant", "content": "Hello."},
        {"role": "user", "content": "Rye?"},
    ]
    prompts = [SeededPrompt(Prompt("p", tuple(some), "file", "helpful"), 0) for some in (turns, turns[:1])]
    questions.show(tmp_path / "answers.jsonl", 1, prompts, ["It is sour.", "Hello."], [1.0, None])
    shown = [json.loads(line) for line in (tmp_path / "answers.jsonl").read_text().splitlines()]
    assert [row["prompt"] for row in shown] == ["Human: Hi.\n\nAssistant: Hello.\n\nHuman: Rye?", "Hi."]
