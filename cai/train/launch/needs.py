"""What a machine, or a base model, cannot do of a training step, though its settings are right."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

from cai.errors import install
from cai.models import own_code
from cai.models.machine import Machine
from cai.models.spec import ModelSpec
from cai.stages.sft import Sft
from cai.stages.train import Train

Problems = Iterator[tuple[str, str]]
"""The key in the block, and a sentence."""

SIGN_IN = """
import sys
try:
    import wandb
    wandb.login(verify=False)
except Exception as error:
    sys.exit(" ".join(str(error).split()))
"""


def problems(want: Train, machine: Machine) -> Problems:
    """What a machine cannot do of a training block."""
    if isinstance(want, Sft):
        yield from unable(want, machine)


def doubtful(stage: str, want: Train) -> str:
    """What is allowed of a training block and seldom meant, in a sentence; empty where nothing is.

    Adapters learn best at about ten times the rate of full weights (Schulman et al. 2025, "LoRA Without Regret").
    """
    usual = float(next(each.default for each in fields(want) if each.name == "learning_rate"))  # pyright: ignore
    if not want.lora or want.learning_rate != usual:
        return ""
    return (
        f"{stage} trains adapters (lora: {want.lora}) at the learning rate of full weights, {usual:g}, from which they hardly "
        f"move; about ten times that is usual for them: learning_rate: {10 * usual:g}"
    )


def untemplated(want: Train, weights: str) -> str:
    """Why a base model cannot be trained on conversations yet; empty where it can, or where it is not on this machine.

    Args:
        weights: the base's folder, or its name on the Hub.
    """
    folder = Path(weights)
    file = folder / "tokenizer_config.json"
    if (isinstance(want, Sft) and want.chat_template) or not file.is_file() or any(folder.glob("chat_template*")):
        return ""
    settings = _settings(file)
    if not settings or settings.get("chat_template"):
        return ""
    if not isinstance(want, Sft):
        return f"{weights} is a base model without a chat template; train sft with chat_template first, and start from that"
    return (
        f"{weights} is a base model without a chat template; set chat_template to chatml, to a .jinja file, or to a model whose "
        "template it is to get"
    )


def unknown(weights: str) -> str:
    """Why a base model cannot be loaded for a training; empty where it can, or where it is not on this machine."""
    return f"{weights} {own_code.UNKNOWN}" if own_code.needed(weights) else ""


def unloadable(spec: ModelSpec, machine: Machine) -> str:
    """Why a model cannot be loaded into this process; empty where it can, or where it is not to be."""
    if spec.kind not in ("local", "reward") or spec.served:
        return ""
    if "transformers" not in machine.packages:
        return f"is loaded by the package transformers, which is not here; run: {install('train')}"
    if own_code.needed(spec.weights or spec.reward):
        return f"{spec.weights or spec.reward} {own_code.UNKNOWN}"
    kinds = _architectures(Path(spec.reward)) if spec.reward else []
    if kinds and all(each.endswith("ForCausalLM") for each in kinds):
        return (
            f"{spec.reward} is a {kinds[0]}, which gives no scores; name a reward model, such as the stage reward makes"
        )
    return ""


def _architectures(folder: Path) -> list[str]:
    """What a folder's model is, by its own settings; empty where they do not say, or are none."""
    names = _settings(folder / "config.json").get("architectures")
    return list(map(str, names)) if isinstance(names, list) else []


def _settings(file: Path) -> dict[str, object]:
    """A model's own settings; none where the file is not there or is damaged, which its loader tells better."""
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def unable(want: Sft, machine: Machine) -> Problems:
    """What a machine cannot do of the ``sft`` settings; the trainer asks again, for it can be run by hand."""
    if want.packing and (lack := packing_needs(machine)):
        yield "packing", f"needs {lack}; take it out, and examples are padded instead"
    if want.quantization:
        if not want.lora:
            yield (
                "quantization",
                "is for LoRA, for four-bit weights cannot be trained themselves; add lora: 16, or take it out",
            )
        if not machine.gpus:
            yield "quantization", "needs a GPU, and this machine shows none; take it out"
        if "bitsandbytes" not in machine.packages:
            yield "quantization", f"needs the package bitsandbytes; take it out, or run: {install('qlora')}"


def packing_needs(machine: Machine) -> str:
    """What is missing for packing; empty where nothing is."""
    if not machine.gpus:
        return "a GPU with FlashAttention, and this machine shows no GPU"
    if "flash_attn" not in machine.packages:
        return "FlashAttention, and the package flash-attn is not installed"
    return ""


def logger(logs: str, machine: Machine) -> str:
    """What is missing for the figures to go there; empty where nothing is."""
    if logs == "none" or logs in machine.packages:
        return ""
    return (
        f"{logs} needs the package {logs}; run: pip install {logs}, or say none: metrics.jsonl is written in any case"
    )


def unwelcome(logs: str) -> str:
    """Why the figures would not get where they are to go, by the environment; empty where they would."""
    if logs == "mlflow":
        variables = [name for name in ("MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID") if os.environ.get(name)]
        need = "each training is a run of its own, in an experiment that MLFLOW_EXPERIMENT_NAME may name; unset"
        return f"{need} {' and '.join(variables)}" if variables else ""
    if logs == "wandb" and (refusal := _wandb_refusal()):
        return f"W&B says: {refusal} (or export WANDB_MODE=offline, and later run: wandb sync runs/NAME/STAGE/wandb/offline-run-*)"
    return ""


def _wandb_refusal() -> str:
    """What W&B says of the account that it knows; empty where it takes it, or needs none. It does not ask its server."""
    line = [sys.executable, "-W", "ignore", "-c", SIGN_IN]
    env = {**os.environ, "WANDB_SILENT": "true"}  # it would otherwise ask who is signed in, to say so
    try:
        process = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL, env=env, timeout=60)
    except subprocess.TimeoutExpired:
        return ""
    return (process.stderr.strip().splitlines() or ["it fails without a word"])[-1] if process.returncode else ""
