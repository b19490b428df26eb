"""Weights loaded into this process, with their tokenizer: for models that write and for those that score."""

from typing import Any

import torch
from transformers import AutoTokenizer
from transformers.utils import logging

from cai.errors import UserError
from cai.models import ModelSpec
from cai.models.vllm import resolve

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
    device = "cuda" if torch.cuda.is_available() else "cpu"
    # On a CPU float32 generates seven times faster than bfloat16 (measured on the bundled model).
    dtype = spec.dtype or ("bfloat16" if device == "cuda" else "float32")
    try:
        model = auto.from_pretrained(path, dtype=dtype).to(device).eval()
        tokenizer: Any = AutoTokenizer.from_pretrained(path, padding_side=padding_side)
    except (OSError, ValueError) as error:
        text = f"models.{spec.role}.{spec.kind}: {name} cannot be loaded: {str(error).splitlines()[0]}"
        raise UserError(text) from None
    tokenizer.pad_token = tokenizer.pad_token or tokenizer.eos_token
    return model, tokenizer
