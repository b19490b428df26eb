"""A reward model in this process: its scores are transformers' own, whoever shares the batch."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from cai.errors import RowError, UserError
from cai.models.spec import ModelSpec
from cai.models.types import Request


@pytest.fixture(scope="module")
def scorer(tokenizer: Any, shape: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random classifier of a few weights."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    folder = tmp_path_factory.mktemp("reward")
    torch.manual_seed(0)
    config = LlamaConfig(**{**shape, "num_labels": 1, "max_position_embeddings": 128})
    LlamaForSequenceClassification(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def said(text: str) -> Request:
    messages = {"role": "user", "content": "Hi"}, {"role": "assistant", "content": text}
    return Request(messages, score=True)


def test_scores_are_those_of_one_at_a_time(scorer: Path) -> None:
    import torch

    from cai.models.reward import Reward

    model = Reward(ModelSpec("rm", reward=str(scorer)))
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


def test_in_bfloat16_the_head_is_in_float32_still(scorer: Path, tokenizer: Any, tmp_path: Path) -> None:
    """Bfloat16 has steps of 1/32 between four and eight: answers would be tied, or ordered otherwise, that are not."""
    import torch
    from transformers import LlamaForSequenceClassification

    from cai.models.reward import Reward

    whole: Any = LlamaForSequenceClassification.from_pretrained(scorer)
    with torch.no_grad():
        whole.score.weight.mul_(0.2).add_(0.8 * torch.randn(16, generator=torch.manual_seed(1)).sign())
    whole.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    model = Reward(ModelSpec("rm", reward=str(tmp_path), dtype="bfloat16"))
    texts = [f"No. {number}" for number in range(40)]

    async def scores() -> list[float]:
        return [(await model.ask(said(text), "r")).score for text in texts]

    found, wanted = asyncio.run(scores()), []
    for text in texts:
        ids = torch.tensor([model.template.score_ids(said(text).messages)])
        with torch.inference_mode():
            wanted.append(
                (model.model.model(ids).last_hidden_state[0, -1].double() @ whole.score.weight[0].double()).item()
            )
    assert model.model.model.dtype == torch.bfloat16
    assert found == pytest.approx(wanted, rel=1e-4)
    order = sorted(range(40), key=wanted.__getitem__)
    assert sorted(range(40), key=found.__getitem__) == order
    assert len(set(torch.tensor(wanted).bfloat16().tolist())) < len(set(found))


def test_autocast_leaves_a_head_in_float32(scorer: Path) -> None:
    """Also the copy of it that adapters train, as of PPO's critic."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForSequenceClassification

    from cai.models.weights import exact_head

    model: Any = LlamaForSequenceClassification.from_pretrained(scorer)
    exact_head(model)
    get_peft_model(model, LoraConfig(r=2, target_modules="all-linear", task_type="SEQ_CLS", modules_to_save=["score"]))
    hidden = torch.randn(5, 16, generator=torch.manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16):
        values = model.get_submodule("score")(hidden).flatten()
    weight = next(each for name, each in model.named_parameters() if "score.modules_to_save" in name)
    assert values.dtype == torch.float32
    assert values.tolist() == pytest.approx((hidden @ weight[0].detach()).tolist(), abs=1e-6)


def test_what_is_too_long_is_the_row_s_error(scorer: Path) -> None:
    from cai.models.reward import Reward

    model = Reward(ModelSpec("rm", reward=str(scorer)))
    with pytest.raises(RowError) as error:
        asyncio.run(model.ask(said("long " * 200), "r"))
    assert error.value.reason == "context_too_long"


def test_a_reward_model_writes_nothing(scorer: Path) -> None:
    from cai.models.reward import Reward

    model = Reward(ModelSpec("rm", reward=str(scorer)))
    with pytest.raises(UserError, match="scores answers and writes none"):
        asyncio.run(model.ask(Request(({"role": "user", "content": "Hi"},)), "r"))


def test_a_turn_that_ends_in_the_padding_scores_as_transformers_does(scorer: Path) -> None:
    """There transformers reads the score one token earlier; no other server would know."""
    import torch

    from cai.models.reward import Reward
    from cai.models.templates import ChatTemplate

    model = Reward(ModelSpec("rm", reward=str(scorer)))
    model.tokenizer.chat_template = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}"
    model.tokenizer.pad_token = "<|im_end|>"
    model.model.config.pad_token_id = model.tokenizer.pad_token_id
    asked = said("Yes, of course.")
    whole = model.tokenizer.apply_chat_template(list(asked.messages), return_tensors="pt", return_dict=True)
    ids = ChatTemplate(model.tokenizer).score_ids(asked.messages)
    assert len(ids) == whole["input_ids"].shape[1] - 1
    with torch.inference_mode():
        wanted = model.model(**whole).logits[0, 0].item()
    assert asyncio.run(model.ask(asked, "r")).score == pytest.approx(wanted, abs=1e-5)


@pytest.mark.real
@pytest.mark.slow
def test_both_backends_and_an_endpoint_give_the_same_scores(
    tokenizer: Any, shape: dict[str, Any], tmp_path: Path
) -> None:
    """vLLM's classify endpoint, with the conversation as tokens and as messages, beside transformers in this process."""
    import torch
    from transformers import LlamaConfig, LlamaForSequenceClassification

    from cai.models.open import open_model

    torch.manual_seed(0)
    model = LlamaForSequenceClassification(LlamaConfig(**{**shape, "num_labels": 1, "max_position_embeddings": 256}))
    with torch.no_grad():  # scores of some size, on both sides of zero: an activation would show
        model.score.weight.mul_(50)
    model.save_pretrained(tmp_path / "rm")
    tokenizer.save_pretrained(tmp_path / "rm")
    texts = [
        "Yes.",
        "No, and here is why it is not so.",
        "Perhaps another time, when there is more of it.",
        "Ask again " * 20,
    ]

    async def ask(spec: ModelSpec, text: str) -> float:
        async with open_model(spec, tmp_path) as model:
            return (await model.ask(said(text), text)).score

    async def scene() -> list[list[float]]:
        here = ModelSpec("rm", reward=str(tmp_path / "rm"))
        served = ModelSpec("rm", reward=str(tmp_path / "rm"), backend="vllm", max_len=256)
        async with open_model(served, tmp_path) as model:
            url = model.servers[0].url  # type: ignore[attr-defined]
            there = ModelSpec("rm", endpoints=(f"{url}/v1",), model=model.name, scores=True)
            by_vllm = [(await model.ask(said(text), text)).score for text in texts]
            with pytest.raises(RowError) as error:
                await model.ask(said("long " * 400), "long")
            assert error.value.reason == "context_too_long"
            return [by_vllm, [await ask(there, text) for text in texts], [await ask(here, text) for text in texts]]

    by_vllm, by_endpoint, here = asyncio.run(scene())
    assert by_vllm == pytest.approx(here, abs=1e-2)
    assert by_endpoint == pytest.approx(here, abs=1e-2)
    assert max(here) > 1 or min(here) < 0
    assert max(here) - min(here) > 0.1


def test_a_language_model_is_refused_before_a_run(scorer: Path) -> None:
    from cai.models import bundled
    from cai.models.machine import Machine
    from cai.train.launch.needs import unloadable

    assert unloadable(ModelSpec("rm", reward=str(scorer)), Machine()) == ""
    language = bundled.ensure("smollm2-135m")
    assert "is a LlamaForCausalLM, which gives no scores" in unloadable(
        ModelSpec("rm", reward=str(language)), Machine()
    )
