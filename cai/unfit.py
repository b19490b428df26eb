"""What a machine, or a base model, cannot do of a training step, though its settings are right."""

import importlib.util
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cai.errors import install
from cai.models import gpus
from cai.models.types import ModelSpec
from cai.stages.sft import Sft
from cai.stages.train import Train

Found = Iterator[tuple[str, str]]
"""The key in the block, and a sentence."""


def of(want: Train) -> Found:
    """What this machine cannot do of a training block."""
    if isinstance(want, Sft):
        yield from unable({"packing": want.packing, "quantization": want.quantization, "lora": want.lora})


def untemplated(want: Train, weights: str) -> str:
    """Why a base model cannot be trained on conversations yet; empty where it can, or where it is not on this machine.

    Args:
        weights: the base's folder, or its name on the Hub.
    """
    folder = Path(weights)
    settings = folder / "tokenizer_config.json"
    if (isinstance(want, Sft) and want.chat_template) or not settings.is_file() or any(folder.glob("chat_template*")):
        return ""
    said = _settings(settings)
    if not said or said.get("chat_template"):
        return ""
    if not isinstance(want, Sft):
        return f"{weights} is a base model without a chat template; train sft with chat_template first, and start from that"
    return (
        f"{weights} is a base model without a chat template; set chat_template to chatml, to a .jinja file, or to a model whose "
        "template it is to get"
    )


def unloadable(spec: ModelSpec) -> str:
    """Why a model cannot be loaded into this process; empty where it can, or where it is not to be."""
    if spec.kind not in ("local", "reward") or spec.served:
        return ""
    if importlib.util.find_spec("transformers") is None:
        return f"is loaded by the package transformers, which is not here; run: {install('train')}"
    held = _architectures(Path(spec.reward)) if spec.reward else []
    if held and all(each.endswith("ForCausalLM") for each in held):
        return (
            f"{spec.reward} is a {held[0]}, which gives no scores; name a reward model, such as the stage reward makes"
        )
    return ""


def _architectures(folder: Path) -> list[str]:
    """What a folder's model is, by its own settings; empty where they do not say, or are none."""
    return _settings(folder / "config.json").get("architectures") or []


def _settings(file: Path) -> dict[str, Any]:
    """A model's own settings; none where the file is not there or is damaged, which its loader tells better."""
    try:
        said = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def unable(own: Mapping[str, Any]) -> Found:
    """What this machine cannot do of the ``sft`` settings; the trainer asks again, for it can be run by hand."""
    if own.get("packing") and (missing := packing_needs()):
        yield "packing", f"needs {missing}; take it out, and examples are padded instead"
    if own.get("quantization"):
        if not own.get("lora"):
            yield (
                "quantization",
                "is for LoRA, for four-bit weights cannot be trained themselves; add lora: 16, or take it out",
            )
        if not gpus.visible():
            yield "quantization", "needs a GPU, and this machine shows none; take it out"
        if importlib.util.find_spec("bitsandbytes") is None:
            yield "quantization", f"needs the package bitsandbytes; take it out, or run: {install('qlora')}"


def packing_needs() -> str:
    """What is missing for packing; empty where nothing is."""
    if not gpus.visible():
        return "a GPU with FlashAttention, and this machine shows no GPU"
    if importlib.util.find_spec("flash_attn") is None:
        return "FlashAttention, and the package flash-attn is not installed"
    return ""
