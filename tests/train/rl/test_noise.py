"""Models that draw within themselves while they learn: the policy that learns is the one that sampled, or nothing is learnt."""

from typing import Any

import pytest
import torch
from toy import WORDS, by_text, loop, models, random_batch, settings, shape
from transformers import AutoModelForCausalLM, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedModel
from transformers.models.bloom import BloomConfig
from transformers.models.falcon import FalconConfig
from transformers.models.gpt2 import GPT2Config
from transformers.models.mixtral import MixtralConfig
from transformers.models.opt import OPTConfig
from transformers.models.starcoder2 import Starcoder2Config

from cai.train.rl.actor import Actor

SIZE: Any = {"vocab_size": len(WORDS), "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
END: Any = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 1}
NOISY = {
    "opt": OPTConfig(**SIZE, **END, ffn_dim=16, word_embed_proj_dim=16, dropout=0.5, layerdrop=0.5),
    "bloom": BloomConfig(**SIZE, **END, hidden_dropout=0.5, attention_dropout=0.5),
    "falcon": FalconConfig(**SIZE, **END, hidden_dropout=0.5, attention_dropout=0.5, new_decoder_architecture=False),
    "gpt2": GPT2Config(vocab_size=len(WORDS), n_embd=16, n_layer=2, n_head=2, **END, resid_pdrop=0.5),
    "starcoder2": Starcoder2Config(
        **SIZE, **END, intermediate_size=16, num_key_value_heads=1, residual_dropout=0.5, embedding_dropout=0.5
    ),
    "mixtral": MixtralConfig(
        **SIZE, **END, intermediate_size=16, num_key_value_heads=1, num_local_experts=4, router_jitter_noise=0.5
    ),
}


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("name", NOISY)
def test_the_policy_that_learns_is_the_one_that_sampled(name: str, checkpointing: bool) -> None:
    torch.manual_seed(0)
    policy: PreTrainedModel = AutoModelForCausalLM.from_config(NOISY[name])
    for each in policy.parameters():
        each.data.mul_(3)  # of so few weights noise would hardly be seen else
    actor, batch = Actor(policy, models()[1], None, 1.0), random_batch()
    if checkpointing:
        policy.gradient_checkpointing_enable({"use_reentrant": False})
    actor.train(False)
    with torch.no_grad():
        read = actor.logprobs(batch)[0]
    actor.train(True)
    for _ in range(2):  # what is computed twice leaves no trace in the next pass
        learning = actor.logprobs(batch)[0]
        assert torch.allclose(learning, read, atol=1e-5)
        learning[batch.mask].sum().backward()


def test_layers_are_computed_again_rather_than_held_where_that_is_asked_for() -> None:
    passes: list[str] = []
    policy, critic = models()
    policy.model.layers[0].mlp.register_forward_pre_hook(lambda *_: passes.append("a pass"))
    actor, batch = Actor(policy, critic, None, 1.0), random_batch()
    policy.gradient_checkpointing_enable({"use_reentrant": False})
    actor.train(True)
    for number in range(1, 3):
        actor.logprobs(batch)[0].sum().backward()
        assert len(passes) == 2 * number
    actor.train(False)
    actor.logprobs(batch)
    assert len(passes) == 5


class Trembling(LlamaForCausalLM):
    """Noise of its own wherever it learns, which no setting turns off."""

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        out = super().forward(*args, **kwargs)
        if torch.is_grad_enabled():
            out.logits = out.logits + 0.2 * torch.randn_like(out.logits)
        return out


def test_a_policy_that_differs_from_itself_before_it_learns_is_refused() -> None:
    torch.manual_seed(0)
    actor = Actor(Trembling(shape()), LlamaForSequenceClassification(shape(num_labels=1)), None, 1.0)
    trembling = loop(settings(max_new_tokens=4), by_text(lambda text: float(len(text))), 2, actor=actor)
    before = {name: each.clone() for name, each in actor.state()["policy"].items()}
    with pytest.raises(
        ValueError, match=r"nats a token from itself before it learns anything, over 0\.001: as it learns"
    ):
        trembling.step(1)
    assert all(each.equal(before[name]) for name, each in actor.state()["policy"].items())
