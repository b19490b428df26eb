"""Weights loaded into this process, with their tokenizer: for models that write and for those that score."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers.integrations.deepspeed import (
    is_deepspeed_zero3_enabled,
    set_hf_deepspeed_config,
    unset_hf_deepspeed_config,
)
from transformers.utils import logging

from cai.errors import UserError
from cai.models import own_code
from cai.models.bundled import resolve
from cai.models.spec import ModelSpec

logging.set_verbosity_error()  # its advice on tokenizers is not for the person who reads our screen


def load(spec: ModelSpec, auto: Any, padding_side: str) -> tuple[Any, Any]:
    """The model, on the GPU where there is one, and its tokenizer.

    Args:
        auto: transformers' class for the kind of model.

    Raises:
        UserError: they cannot be loaded.
    """
    name = getattr(spec, spec.kind)
    path = resolve(name)
    # Of its own among several: which GPU is the current one is known to a process's first thread only.
    device = f"cuda:{os.environ.get('LOCAL_RANK', 0)}" if torch.cuda.is_available() else "cpu"
    # On a CPU float32 generates seven times faster than bfloat16 (measured on the bundled model).
    dtype = spec.dtype or ("float32" if device == "cpu" else "bfloat16")
    try:
        with whole():
            model = auto.from_pretrained(path, dtype=dtype, trust_remote_code=False).to(device).eval()
        tokenizer = load_tokenizer(path, padding_side)
    except Exception as error:  # by files that are damaged or meant to harm, as every library has errors of its own
        raise UserError(f"models.{spec.role}.{spec.kind}: {name} {own_code.reason(error)}") from error
    return model, tokenizer


def load_scorer(spec: ModelSpec) -> tuple[Any, Any]:
    """A model that scores, its head in float32 whatever the weights below are in, and its tokenizer; raises as ``load``."""
    model, tokenizer = load(spec, AutoModelForSequenceClassification, "right")
    exact_head(model)
    _head_as_saved(model, Path(resolve(getattr(spec, spec.kind))))
    return model, tokenizer


class ExactLinear(nn.Linear):
    """A linear layer that computes in float32, within autocast too."""

    def forward(self, input: Tensor) -> Tensor:
        """As the parent; shape (…, inputs) → (…, outputs)."""
        with torch.autocast(input.device.type, enabled=False):
            bias = None if self.bias is None else self.bias.float()
            return nn.functional.linear(input.float(), self.weight.float(), bias)


def exact_head(model: PreTrainedModel) -> None:
    """Let a classifier's head compute in float32: bfloat16 has steps of 1/32 between four and eight, in which scores tie."""
    for part in _head(model).values():
        if not is_deepspeed_zero3_enabled():  # which holds the weights elsewhere, in what it was told
            part.float()
        for each in part.modules():
            if type(each) is nn.Linear:
                each.__class__ = ExactLinear


def _head(model: PreTrainedModel) -> dict[str, nn.Module]:
    """What a classifier has beside its body, by name."""
    return {name: part for name, part in model.named_children() if name != model.base_model_prefix}


def _head_as_saved(model: PreTrainedModel, folder: Path) -> None:
    """Read the head's weights anew, which were rounded to what the body is in; a folder that is none of ours is left."""
    weights = {f"{name}.{key}": each for name, part in _head(model).items() for key, each in part.named_parameters()}
    for file in folder.glob("*.safetensors"):
        with safe_open(file, framework="pt") as tensors, torch.no_grad():
            for name in weights.keys() & tensors.keys():
                weights[name].copy_(tensors.get_tensor(name))


@contextmanager
def whole() -> Iterator[None]:
    """Meanwhile weights are read whole by the process that reads them.

    Where a training's are spread by ZeRO-3, transformers would otherwise spread every model that is read, and wait for all
    processes to read it.
    """
    if not is_deepspeed_zero3_enabled():
        yield
        return
    from accelerate.state import AcceleratorState  # a model that only answers does not need it

    plugin = AcceleratorState().deepspeed_plugin
    assert plugin is not None  # it spreads the weights
    unset_hf_deepspeed_config()
    try:
        yield
    finally:
        set_hf_deepspeed_config(plugin.hf_ds_config)


def load_tokenizer(path: str, padding_side: str) -> Any:
    """A tokenizer that can pad, with the token that ends a text where it has none of its own for that."""
    tokenizer: Any = AutoTokenizer.from_pretrained(path, padding_side=padding_side, trust_remote_code=False)
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return tokenizer
