"""A conversation and an answer as a model reads them, and where the one ends and the other begins."""

from collections.abc import Sequence
from typing import Any

from transformers import PreTrainedTokenizerBase

from cai.models.weights import rendered

Messages = Sequence[dict[str, str]]


def texts(tokenizer: Any, prompt: Messages, completion: Messages) -> tuple[str, str]:
    """The prompt as generation sees it, and the answer up to and with the token that ends the turn.

    Many chat templates put a line break behind that token. It is cut, because a model stops before it, and because TRL's
    experimental trainers, which look for the token at the very end, would add a second one.
    """
    before = rendered(tokenizer, prompt, answer_begins=True)
    whole = rendered(tokenizer, [*prompt, *completion])
    # Some templates open an answer otherwise than they show one: the answer begins where the two part.
    same = (number for number, (one, other) in enumerate(zip(before, whole, strict=False)) if one != other)
    before = before[: next(same, len(before))]
    said, end = whole[len(before) :], tokenizer.eos_token
    cut = said.rfind(end)
    return before, said[: cut + len(end)] if cut >= 0 else said + end


def tokens(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """The token ids of a text that has its special tokens already."""
    return tokenizer(text, add_special_tokens=False)["input_ids"]
