"""QLoRA (Dettmers et al. 2023): the base in four bits while its adapters are trained, and whole again when they are merged.

Merged into the four-bit weights, the result would carry their rounding and could not be loaded as a plain checkpoint. So
the adapters are saved, the base is read again in bfloat16, and they are merged into that. The same is done, in float32, where
adapters were trained on a base in bfloat16 or on one that was spread.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification, BitsAndBytesConfig, PreTrainedModel

from cai.train.adapters import under


def config(quantization: str | None) -> BitsAndBytesConfig | None:
    """NormalFloat with double quantization, computed in bfloat16, as published; None where it was not asked for."""
    if quantization != "4bit":
        return None
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16,
    )


def is_quantized(model: nn.Module) -> bool:
    """Whether a model's weights are held in four bits."""
    return bool(getattr(model, "is_loaded_in_4bit", False))


def merge(
    model: PeftModel,
    base: str,
    scratch: Path,
    dtype: torch.dtype = torch.bfloat16,
    state: dict[str, Tensor] | None = None,
    read: Mapping[str, object] = MappingProxyType({}),
) -> PreTrainedModel:
    """The adapters merged into the base as it is on disk.

    Args:
        read: with what else the base was read, such as a revision.
        scratch: a folder for the adapters; it is removed.
        state: the model's weights, where they are spread over processes and were gathered.
    """
    model.save_pretrained(str(scratch), state_dict=state)
    scores = model.active_peft_config.task_type == "SEQ_CLS"
    kind, more = (AutoModelForSequenceClassification, {"num_labels": 1}) if scores else (AutoModelForCausalLM, {})
    whole = kind.from_pretrained(base, **{**read, "dtype": dtype, "trust_remote_code": False, **more})
    result = PeftModel.from_pretrained(whole, str(scratch)).merge_and_unload()  # pyright: ignore
    shutil.rmtree(scratch)
    trained = under(model)  # what was set for the training stays: where it ends, and what pads
    if not scores:
        result.generation_config = trained.generation_config
    result.config.get_text_config().pad_token_id = trained.config.get_text_config().pad_token_id
    return result
