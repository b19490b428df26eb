"""A reward model in this process: its scores are transformers' own, whoever shares the batch."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cai.errors import RowError, UserError
from cai.models import ModelSpec, Request


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random classifier with the bundled model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, LlamaConfig, LlamaForSequenceClassification

    from cai.models import bundled

    folder = tmp_path_factory.mktemp("reward")
    tokenizer = AutoTokenizer.from_pretrained(bundled.ensure("smollm2-135m"))
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        **shape,
        num_labels=1,
        pad_token_id=tokenizer.pad_token_id,
        max_position_embeddings=64,
    )
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def said(text: str) -> Request:
    messages = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": text}
    return Request(messages, score=True)


def test_scores_are_those_of_one_at_a_time(tiny: Path) -> None:
    import torch

    from cai.models.reward import Reward

    model = Reward(ModelSpec("rm", reward=str(tiny)))
    texts = ["Yes.", "No, and here is why it is not so.", "Perhaps another time."]

    async def together() -> list[float]:
        return [reply.score for reply in await asyncio.gather(*(model.ask(said(text), "r") for text in texts))]

    found = asyncio.run(together())
    alone: list[Any] = []
    for text in texts:
        ids = model.tokenizer.apply_chat_template(list(said(text).messages), return_tensors="pt", return_dict=True)
        with torch.inference_mode():
            alone.append(model.model(**ids).logits[0, 0].item())
    assert found == pytest.approx(alone, abs=1e-5)
    assert len(set(found)) == 3


def test_what_is_too_long_is_the_row_s_error(tiny: Path) -> None:
    from cai.models.reward import Reward

    model = Reward(ModelSpec("rm", reward=str(tiny)))
    with pytest.raises(RowError) as error:
        asyncio.run(model.ask(said("long " * 100), "r"))
    assert error.value.reason == "context_too_long"


def test_a_reward_model_writes_nothing(tiny: Path) -> None:
    from cai.models.reward import Reward

    model = Reward(ModelSpec("rm", reward=str(tiny)))
    with pytest.raises(UserError, match="scores answers and writes none"):
        asyncio.run(model.ask(Request(({"role": "user", "content": "Hi"},)), "r"))
