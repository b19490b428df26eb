"""How likely a model finds a text: what it sums, on a model small enough to be made here."""

import math

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from cai.models import likelihood


class Letters:
    """A tokenizer of one token a letter."""

    bos_token_id, eos_token_id = 0, 1

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        assert not add_special_tokens
        return [2 + ord(each) % 30 for each in text]


@pytest.fixture
def model() -> LlamaForCausalLM:
    torch.manual_seed(0)
    sizes = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    return LlamaForCausalLM(LlamaConfig(vocab_size=32, **sizes)).eval()


def test_every_token_counts_once_also_the_first_and_over_windows(
    model: LlamaForCausalLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "a ferry leaves at seven"
    total, tokens = likelihood.nats(model, Letters(), text)
    assert tokens == len(text)
    ids = torch.tensor([[0, *Letters().encode(text, False)]])
    assert total == pytest.approx(model(input_ids=ids, labels=ids).loss.item() * tokens, rel=1e-4)
    monkeypatch.setattr(likelihood, "WINDOW", 8)
    parts = [text[start : start + 8] for start in range(0, len(text), 8)]
    split, counted = likelihood.nats(model, Letters(), text)
    assert counted == tokens and split == pytest.approx(
        sum(likelihood.nats(model, Letters(), each)[0] for each in parts)
    )


def test_a_model_that_knows_nothing_is_as_surprised_as_its_vocabulary_is_large(model: LlamaForCausalLM) -> None:
    torch.nn.init.zeros_(model.lm_head.weight)
    total, tokens = likelihood.nats(model, Letters(), "anything")
    assert total / tokens == pytest.approx(math.log(32), rel=1e-5)
