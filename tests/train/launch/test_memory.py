"""What a training takes of memory: the estimate's parts against real models, and the sentence where it was too much."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from cai.cli.plan_memory import memory_needs
from cai.models import bundled
from cai.recipe.read import load_recipe
from cai.stages import STAGES
from cai.train.launch import memory
from cai.train.launch.hardware import Hardware
from cai.train.launch.start import Where, train

ROOT = Path(__file__).resolve().parents[3]
Write = Callable[[str, str], Path]
CPU = Hardware("cpu")


@pytest.fixture(scope="module")
def base() -> memory.Size:
    found = memory.size(Path(bundled.ensure("smollm2-135m")))
    assert found is not None
    return found


def need(base: memory.Size, kind: str, where: Hardware = CPU, **given: object) -> memory.Need:
    return memory.need(kind, kind, STAGES[kind].want(base="b", bf16=False, **given), base, where)


def test_weights_are_counted_without_loading_them(base: memory.Size) -> None:
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(bundled.ensure("smollm2-135m"))
    assert base.parameters == sum(each.numel() for each in model.parameters())
    adapted = get_peft_model(model, LoraConfig(r=16, target_modules="all-linear", task_type="CAUSAL_LM"))
    trained = sum(each.numel() for each in adapted.parameters() if each.requires_grad)
    assert 16 * base.sides == trained
    found = need(base, "dpo", lora=16)
    assert (found.gradients, found.optimizer, found.reference) == (4 * trained, 8 * trained, 0)
    assert need(base, "dpo").reference == need(base, "dpo").weights == 4 * base.parameters


def test_adapters_stand_on_a_base_of_two_bytes(base: memory.Size, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    monkeypatch.setattr(memory, "_capacity", lambda device: 80 * 10**9)

    def on(where: str, kind: str, **given: object) -> memory.Need:
        want = STAGES[kind].want(base="b", **{"bf16": True, "lora": 16, **given})
        return memory.need(kind, kind, want, base, Hardware(where), 123)

    count, trained = base.parameters, 16 * base.sides
    assert on("auto", "dpo").weights == 2 * count + 4 * trained
    assert on("auto", "dpo", bf16=False).weights == 4 * count + 4 * trained
    assert on("auto", "dpo", trl={"model_init_kwargs": {"dtype": "float32"}}).weights == 4 * count + 4 * trained
    assert on("auto", "sft", quantization="4bit").weights == count // 2 + 4 * trained
    assert on("auto", "grpo", trl={"use_vllm": True}).weights == 4 * count + 4 * trained
    assert on("fsdp2", "dpo").weights == (4 * count + 4 * trained) // 2
    assert on("auto", "dpo", lora=None).weights == 6 * count  # and autocast's copies of all that is trained
    assert (on("auto", "dpo").reference, on("auto", "dpo", reference="other").reference) == (0, 2 * count)
    assert on("auto", "dpo", lora=None, precompute_ref_log_probs=True).reference == 0
    ppo = on("auto", "ppo")
    assert ppo.weights == 2 * (2 * count + 4 * trained)  # the critic is another
    assert ppo.all - ppo.process - ppo.activations - ppo.logits == 4 * count + 2 * 16 * trained + 123
    assert on("ddp", "ppo").gradients - ppo.gradients == 8 * trained
    assert on("ddp", "dpo").gradients - on("auto", "dpo").gradients == 4 * trained


@pytest.mark.parametrize(("role", "models"), [("policy", 0), ("rm", 1), ("both", 2), ("far", 0)])
def test_reward_models_in_the_training_s_processes_count(
    base: memory.Size, write: Write, role: str, models: int
) -> None:
    """Two steps of reward models that are yet to be trained, alone and together; a judge elsewhere takes nothing here."""
    text = (
        f"name: p\nconstitution: {ROOT}/principles/harmless.yaml\nhardware: cpu\nmodels:\n"
        "  policy: {local: bundled/smollm2-135m}\n  far: {endpoints: ['http://localhost:1/v1'], model: big, scores: true}\n"
        "  both: {rewards: {rm: 1.0, other: 1.0}}\nstages:\n"
        f"  - prompts: {{redteam: {ROOT}/principles/prompts/redteam.jsonl}}\n"
        "  - sample: {model: policy}\n  - label: {model: policy}\n  - prefs: {}\n"
        "  - reward: {as: rm, base: policy}\n  - reward: {as: other, base: policy, from: prefs}\n"
        f"  - ppo: {{base: policy, from: prompts, {'method: rules' if role == 'policy' else f'reward: {role}'}}}\n"
    )
    *_, ppo = memory_needs(load_recipe(write("r.yaml", text)))
    assert ppo.scorers == models * 4 * base.parameters


@pytest.mark.parametrize("lora", [None, 8])
def test_activations_are_what_autograd_keeps(tmp_path: Path, lora: int | None) -> None:
    """Counted at a smaller model of the same kind, on a real forward pass."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 3, "vocab_size": 64}
    model = LlamaForCausalLM(LlamaConfig(**shape, num_attention_heads=6, num_key_value_heads=2))
    model.save_pretrained(tmp_path)
    body = model.model
    if lora:
        get_peft_model(model, LoraConfig(r=lora, target_modules="all-linear", task_type="CAUSAL_LM"))
    own = {each.untyped_storage().data_ptr() for each in model.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        found = body.train()(input_ids=torch.ones(2, 64, dtype=torch.long), use_cache=False)
    assert found.last_hidden_state.requires_grad
    known = memory.size(tmp_path)
    assert known is not None
    estimate = need(known, "sft", per_device_train_batch_size=2, max_length=64, lora=lora).activations / memory.LOOSE
    assert estimate == pytest.approx(sum(kept.values()), rel=0.15)


def test_what_saves_memory_saves_it_in_the_estimate(base: memory.Size, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setattr(memory, "_capacity", lambda device: 80 * 10**9)
    whole, spread = (need(base, "sft", Hardware(kind)) for kind in ("ddp", "fsdp2"))
    assert spread.weights == whole.weights // 4 and spread.optimizer == whole.optimizer // 4
    assert spread.activations == whole.activations
    assert need(base, "sft", Hardware("ddp"), gradient_checkpointing=True).activations < whole.activations / 5
    assert need(base, "sft", Hardware("ddp"), per_device_train_batch_size=1).activations == whole.activations // 4
    assert need(base, "ppo").weights == 2 * whole.weights


@pytest.mark.parametrize(
    ("given", "left"), [("bundled/smollm2-135m", 0.7), ("{model: bundled/smollm2-135m, gpu_memory: 0.5}", 0.5)]
)
def test_a_server_for_ppo_s_answers_takes_its_share_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, write: Write, given: str, left: float
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    monkeypatch.setattr(memory, "_capacity", lambda device: 80 * 10**9)
    text = (
        f"name: p\nconstitution: {ROOT}/principles/harmless.yaml\n"
        f"models: {{policy: {{vllm: {given}}}}}\nstages:\n"
        f"  - prompts: {{redteam: {ROOT}/principles/prompts/redteam.jsonl}}\n"
        "  - ppo: {base: policy, method: rules}\n"
        "  - ppo: {as: served, base: policy, method: rules, rollouts: policy}\n"
    )
    here, beside = memory_needs(load_recipe(write("r.yaml", text)))
    assert (here.there, beside.there) == (80 * 10**9, pytest.approx(left * 80 * 10**9))


def test_a_plan_says_what_each_trainer_takes_and_what_will_not_fit(tmp_path: Path, write: Write) -> None:
    text = (
        "name: p\nconstitution: principles/harmless.yaml\nhardware: cpu\n"
        "models: {policy: {local: bundled/smollm2-135m}, m: {scripted: script.yaml}}\nstages:\n"
        "  - prompts: {redteam: {path: principles/prompts/redteam.jsonl, limit: 20}}\n"
        "  - revise: {model: m}\n  - sft_set: {}\n  - sft: {base: policy, lora: 8}\n"
        "  - sft: {as: huge, base: sft, per_device_train_batch_size: 512, max_length: 8192}\n"
    )
    write("script.yaml", (ROOT / "tests" / "data" / "script.yaml").read_text(encoding="utf-8"))
    line = [
        sys.executable,
        "-m",
        "cai.cli",
        "plan",
        str(write("r.yaml", text)),
        "--sample",
        "16",
        "--out",
        str(tmp_path),
    ]
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "", "COLUMNS": "160"}
    shown = subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=env)
    assert shown.returncode == 0, shown.stderr
    said = " ".join((shown.stdout + shown.stderr).split())
    assert "538.1 MB" in said  # the weights, in float32
    assert "huge will not fit: about" in said and "sft will not fit" not in said.replace("huge", "")
    assert "lower per_device_train_batch_size (now 512) with gradient_accumulation_steps raised or max_length" in said
    found = subprocess.run([*line, "--json"], capture_output=True, text=True, cwd=ROOT, env=env)
    sft, huge = json.loads(found.stdout)["trainers"]
    assert sft["stage"] == "sft" and sft["all"] < sft["there"] < huge["all"]


async def run_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str) -> str:
    """The error of a training whose process does this."""
    from cai.errors import RunError

    (tmp_path / "job.json").write_text(
        json.dumps(
            {"kind": "sft", "block": {"base": "b", "per_device_train_batch_size": 8, "max_length": 1024, "lora": 16}}
        )
    )
    line = json.dumps({"step": 3, "steps": 9}) + "\n"
    begun = f"open({str(tmp_path / 'metrics.jsonl')!r}, 'w').write({line!r}); {code}"
    here = SimpleNamespace(command=lambda: [sys.executable, "-c", begun], environment=dict)
    with pytest.raises(RunError) as error:
        await train("sft", tmp_path / "job.json", tmp_path / "sft.log", Where(here), lambda line: None)  # pyright: ignore
    return str(error.value)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import torch; torch.empty(2**55)", "ran out of memory"),  # the CPU's allocator
        (
            "import torch; raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2 GiB')",
            "ran out of memory",
        ),
        ("b'' * 1; bytearray(2**62)", "ran out of memory"),
        ("import os; os.kill(os.getpid(), 9)", "was killed by the system, as happens where memory runs out,"),
    ],
)
def test_too_little_memory_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: str, words: str
) -> None:
    import asyncio

    said = asyncio.run(run_out(tmp_path, monkeypatch, code))
    assert f"{words} in step 4, with 8 × 1024 tokens on each device" in said
    assert "lower per_device_train_batch_size (now 8) with gradient_accumulation_steps raised or max_length" in said
    assert "gradient_checkpointing: true" in said and "lora: 16" not in said
    assert "Traceback" not in said


def test_another_failure_keeps_its_own_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    said = asyncio.run(run_out(tmp_path, monkeypatch, "raise ValueError('the data is odd')"))
    assert "failed: ValueError: the data is odd" in said and "memory" not in said.partition(";")[0]
