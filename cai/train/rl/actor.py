"""What PPO trains: the policy and its critic, with the reference that the policy is held to.

With LoRA the reference is the policy with its adapter switched off; without, a frozen copy. The critic is a sequence
classifier read at every token. Nothing is drawn within them, neither dropout nor a router's noise: the policy that learns has to
be the one that sampled.
"""

import copy
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain

import torch
from peft import PeftModel
from torch import Tensor, nn
from transformers import PreTrainedModel, Trainer
from transformers.modeling_layers import GradientCheckpointingLayer

from cai.train import adapters
from cai.train.rl import kl


@dataclass(frozen=True, slots=True)
class Batch:
    """Prompts, padded on the left, and the answers to them, padded on the right.

    Attributes:
        ids: tokens, shape (rows, prompt + answer).
        attention: 1 for tokens, 0 for padding, same shape.
        mask: true for an answer's tokens, its end token included, shape (rows, answer).
    """

    ids: Tensor
    attention: Tensor
    mask: Tensor

    def rows(self, which: Tensor | slice) -> "Batch":
        """Some of the rows."""
        return Batch(self.ids[which], self.attention[which], self.mask[which])

    def trimmed(self) -> "Batch":
        """Without the columns that no row needs: padding left of all prompts, and what is right of the longest answer."""
        width, answer = self.mask.shape[1], max(int(self.mask.sum(1).max()), 1)
        columns = slice(int(self.attention[:, :-width].amax(0).argmax()), self.ids.shape[1] - width + answer)
        return Batch(self.ids[:, columns], self.attention[:, columns], self.mask[:, :answer])

    def by_length(self) -> Tensor:
        """The places of the rows, shortest first: neighbours are then of about one length, and little of them is padding."""
        return self.attention.sum(1).argsort(stable=True)

    @property
    def tokens(self) -> Tensor:
        """The answers' tokens, shape (rows, answer)."""
        return self.ids[:, -self.mask.shape[1] :]

    def inputs(self) -> dict[str, Tensor]:
        """What a model is given; positions count from the first token that is no padding."""
        positions = (self.attention.cumsum(1) - 1).clamp_min(0)
        return {"input_ids": self.ids, "attention_mask": self.attention, "position_ids": positions}


class Actor:
    """A policy, a critic and a reference on one device.

    Args:
        policy: a causal language model.
        critic: a sequence classifier with one output that reads the same tokens.
        lora: rank of adapters on both; None trains all weights.
        temperature: divides the logits, as when the answers are sampled.
    """

    def __init__(self, policy: PreTrainedModel, critic: PreTrainedModel, lora: int | None, temperature: float) -> None:
        self.temperature = temperature
        self.reference = None if lora else _frozen(policy)
        self.policy = adapters.with_adapters(policy, lora, "CAUSAL_LM") if lora else policy
        self.critic = adapters.with_adapters(critic, lora, "SEQ_CLS", ["score"]) if lora else critic
        self._compute_as_read()
        self.train(False)

    def train(self, training: bool) -> None:
        """Switch both models between learning, with gradient checkpointing where asked, and being read.

        Only what is computed twice knows that it learns, and only until it computes: dropout, the noise of routers and layers
        left out go by this in every architecture, whatever their settings are called.
        """
        self.learning = training
        self.policy.eval()
        self.critic.eval()
        for layer in self._layers():
            layer.training = training and layer.gradient_checkpointing

    def _layers(self) -> Iterator[GradientCheckpointingLayer]:
        modules = chain(self.policy.modules(), self.critic.modules())
        return (each for each in modules if isinstance(each, GradientCheckpointingLayer))

    def _compute_as_read(self) -> None:
        def before(layer: nn.Module, _: object) -> None:
            layer.training = False

        def after(layer: GradientCheckpointingLayer, *_: object) -> None:
            layer.training = self.learning and layer.gradient_checkpointing

        for layer in self._layers():
            layer.register_forward_pre_hook(before)
            layer.register_forward_hook(after, always_call=True)  # torch ends what it computes again by an exception

    def logprobs(self, batch: Batch, learns_entropy: bool = True) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the answers' tokens and the entropy before each, in nats, shape (rows, answer).

        Args:
            learns_entropy: whether the entropy has gradients, which takes memory of the size of the logits.
        """
        return logprobs(self.policy, batch, self.temperature, learns_entropy)

    @torch.no_grad()
    def beside_reference(self, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
        """Log-probabilities of the answers' tokens under the policy and under the reference, and the KL before each token.

        The KL, in nats, is over all tokens that could have come: no sample of it is below zero, and few tell enough.
        All of shape (rows, answer).
        """
        reference = self.policy if self.reference is None else self.reference
        mine, theirs = beside(self.policy, reference, batch, self.temperature)
        tokens = batch.tokens.unsqueeze(-1)
        divergence = kl.over_all_tokens(mine, theirs)
        return mine.gather(-1, tokens).squeeze(-1), theirs.gather(-1, tokens).squeeze(-1), divergence

    def values(self, batch: Batch) -> Tensor:
        """The critic's value of the state before each of the answers' tokens, shape (rows, answer)."""
        model = adapters.under(self.critic)
        body = getattr(model, model.base_model_prefix)
        hidden = body(**batch.inputs(), use_cache=False).last_hidden_state[:, -batch.mask.shape[1] - 1 : -1]
        return model.get_submodule("score")(hidden.float()).squeeze(-1).float()

    def parameters(self) -> dict[str, list[nn.Parameter]]:
        """What is trained, by model."""
        return {
            name: [each for each in model.parameters() if each.requires_grad]
            for name, model in (("policy", self.policy), ("critic", self.critic))
        }

    def state(self) -> dict[str, dict[str, Tensor]]:
        """The trained weights, by model."""
        return {
            name: {key: each.detach() for key, each in model.named_parameters() if each.requires_grad}
            for name, model in (("policy", self.policy), ("critic", self.critic))
        }

    def load(self, state: dict[str, dict[str, Tensor]]) -> None:
        """Take weights back that ``state`` gave."""
        for name, weights in state.items():
            parameters = dict(getattr(self, name).named_parameters())
            with torch.no_grad():
                for key, value in weights.items():
                    parameters[key].copy_(value)


def logprobs(model: nn.Module, batch: Batch, temperature: float, learns_entropy: bool = True) -> tuple[Tensor, Tensor]:
    """See ``Actor.logprobs``; under any model."""
    spread = distributions(model, batch, temperature)
    logps = spread.gather(-1, batch.tokens.unsqueeze(-1)).squeeze(-1)
    with torch.set_grad_enabled(learns_entropy and torch.is_grad_enabled()):
        known = spread.masked_fill(spread.isneginf(), 0.0)  # of what is never drawn, 0 · log 0
        return logps, -(spread.exp() * known).sum(-1)


def distributions(model: nn.Module, batch: Batch, temperature: float) -> Tensor:
    """Log-probabilities of all tokens before each of the answers' tokens, shape (rows, answer, vocabulary)."""
    length = batch.mask.shape[1]
    logits = model(**batch.inputs(), use_cache=False, logits_to_keep=length + 1).logits[:, :-1]
    return (logits.float() / temperature).log_softmax(-1)


def beside(model: nn.Module, reference: nn.Module, batch: Batch, temperature: float) -> tuple[Tensor, Tensor]:
    """A model's distributions and its reference's.

    Args:
        reference: another model; or one with adapters, such as the model itself, which are switched off for it.
    """
    mine = distributions(model, batch, temperature)
    with reference.disable_adapter() if isinstance(reference, PeftModel) else nullcontext():
        return mine, distributions(reference, batch, temperature)


def reference_of(trainer: Trainer, model: nn.Module) -> nn.Module | None:
    """What one of TRL's trainers holds its model to: another model, the model without its adapters, or nothing (None)."""
    reference = getattr(trainer, "ref_model", None)
    return reference if reference is not None or not isinstance(model, PeftModel) else model


def _frozen(model: PreTrainedModel) -> nn.Module:
    reference = copy.deepcopy(model).eval()
    return reference.requires_grad_(False)
