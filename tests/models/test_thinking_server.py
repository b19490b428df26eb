"""Real vLLM with a thinking template and its parser. The model is random: it shows the wiring, and no thought worth reading."""

import asyncio
import copy
import importlib.util
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cai.models import vllm
from cai.models.roles import for_role
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request

TEMPLATE = (
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' }}"
    "{% if m.role == 'assistant' and loop.last %}{% set parts = m.content.split('</think>') %}"
    "{{ '<think>\n' + (parts[0].replace('<think>', '').strip() if parts | length > 1 else '') + '\n</think>\n\n'"
    " + parts[-1].lstrip('\n') }}{% else %}{{ m.content.split('</think>')[-1].strip() }}{% endif %}{{ '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}"
    "{% if enable_thinking is defined and not enable_thinking %}{{ '<think>\n\n</think>\n\n' }}"
    "{% else %}{{ '<think>\n' }}{% endif %}{% endif %}"
)
"""After the form of Qwen 3.5: it opens a thought, puts an empty one where there is to be none, and before an answer that is to be
gone on from."""
ASKED = Request(({"role": "user", "content": "Which bread rises fastest?"},), max_tokens=8, seed=1)
VERDICT = replace(ASKED, choices=("A", "B"), begin="The answer is: (", temperature=0.0)


@pytest.fixture(scope="session")
def thinking(tokenizer: Any, shape: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Qwen 3 of a few weights whose tokenizer knows the tags of a thought."""
    import torch
    from transformers import Qwen3Config, Qwen3ForCausalLM

    folder = tmp_path_factory.mktemp("thinking")
    own = copy.deepcopy(tokenizer)
    own.add_tokens(["<think>", "</think>"])
    own.chat_template = TEMPLATE
    torch.manual_seed(0)
    sizes = {**shape, "vocab_size": len(own), "num_key_value_heads": 2, "tie_word_embeddings": False}
    model: Any = Qwen3ForCausalLM(Qwen3Config(**sizes))
    last = own("The answer is: (", add_special_tokens=False)["input_ids"][-1]
    with torch.no_grad():  # after the forced beginning, much of its mass is on the letters
        model.model.embed_tokens.weight[last, 0] = 1.0
        model.lm_head.weight[:, 0] = 0.0
        model.lm_head.weight[own.convert_tokens_to_ids(["A", "B"]), 0] = 1.8
    model.save_pretrained(folder)
    own.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def scene(thinking: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """What is asked of it by roles; the server is up once for all of them."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("vLLM is not installed")
    logs = tmp_path_factory.mktemp("logs")

    def run(doing: Callable[[Callable[..., Coroutine[Any, Any, Reply]]], Coroutine[Any, Any, Any]]) -> Any:
        async def up() -> Any:
            spec = ModelSpec("policy", vllm=str(thinking), dtype="float32", max_len=2048)
            async with vllm.serve(spec, logs) as served:

                async def ask(request: Request, **keys: Any) -> Reply:
                    return await for_role(served, replace(spec, **keys)).ask(request, "row")

                return await doing(ask)

        return asyncio.run(up())

    return run


@pytest.mark.slow
@pytest.mark.real
def test_a_thinking_model_of_ours_is_asked_as_the_role_says(scene: Any, thinking: Path) -> None:
    async def doing(ask: Any) -> dict[str, Reply]:
        return {
            "budget": await ask(ASKED, thinking={"budget": 16}),
            "off": await ask(ASKED, thinking="off"),
            "verdict": await ask(VERDICT, thinking="on"),
        }

    said = scene(doing)
    bounded, off, verdict = said["budget"], said["off"], said["verdict"]
    assert bounded.thinking[0]
    assert bounded.finishes == ("length",)  # of the answer: the thought was ended in time
    assert 16 <= bounded.tokens_out <= 16 + 8 + 4
    assert not off.thinking
    assert off.finishes == ("length",)
    assert off.tokens_out == 8
    assert verdict.choice_logprobs == pytest.approx(after(thinking, "The answer is: ("), abs=1e-3)


def after(model: Path, begun: str) -> dict[str, float]:
    """The log-probabilities of the choices, by transformers, after an answer that was begun so."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    own: Any = AutoTokenizer.from_pretrained(model)
    text = (
        own.apply_chat_template(list(ASKED.messages), tokenize=False, add_generation_prompt=True, enable_thinking=False)
        + begun
    )
    ids = torch.tensor([own(text, add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        row = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)(ids).logits[0, -1].log_softmax(-1)
    return {choice: row[own.convert_tokens_to_ids(choice)].item() for choice in VERDICT.choices}
