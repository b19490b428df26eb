"""Weights loaded into this process, with their tokenizer: for models that write and for those that score."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from jinja2 import TemplateError
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase
from transformers.integrations.deepspeed import (
    is_deepspeed_zero3_enabled,
    set_hf_deepspeed_config,
    unset_hf_deepspeed_config,
)
from transformers.utils import logging

from cai.errors import RowError, UserError
from cai.models import own_code
from cai.models.abilities import joined
from cai.models.bundled import resolve
from cai.models.spec import ModelSpec
from cai.models.types import Message
from constitution.tools import definitions, spoken, wire

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


def ends(tokenizer: Any, generation: GenerationConfig | None) -> set[int]:
    """The tokens that end an answer: the tokenizer's, and those of the model's settings for generation."""
    also = getattr(generation, "eos_token_id", None) or []
    return {tokenizer.eos_token_id, *(also if isinstance(also, list) else [also])} - {None}


def rendered(
    tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message], answer_begins: bool = False, goes_on: bool = False
) -> str:
    """A conversation in the tokenizer's own template, to where the next answer begins, or the last one goes on, if so asked.

    A system message that the template refuses, or leaves out, stands before the words of the first turn.

    Raises:
        RowError: the template does not take the conversation.
    """

    def text_of(some: Sequence[Message]) -> str:
        text = tokenizer.apply_chat_template(
            wire(some, parsed=True),
            tools=tools,
            tokenize=False,
            add_generation_prompt=answer_begins,
            continue_final_message=goes_on,
        )
        assert isinstance(text, str)
        return text

    tools, messages = definitions(messages) or None, spoken(messages)
    opening = next((each["content"].strip() for each in messages if each["role"] == "system"), "")
    try:
        text = text_of(messages)
    except TemplateError as error:
        if not opening:
            raise RowError("refused_by_template", f"the chat template: {error}") from None
        text = ""
    try:
        return text if opening in text and text else text_of(joined(tuple(messages)))
    except TemplateError as error:
        raise RowError("refused_by_template", f"the chat template: {error}") from None


def conversation(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """The tokens of a conversation with its answer, in the chat template, as a reward model was trained on them.

    transformers scores at the last token that is not padding. Where the token that ends a turn is also the padding, as with
    many templates, that is the one before the end; other servers do not know it, so such an end is left out here.
    """
    text = rendered(tokenizer, messages)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    while len(ids) > 1 and ids[-1] == tokenizer.pad_token_id:
        ids.pop()
    return ids
