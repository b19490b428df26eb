"""Answers to prompts as tensors: sampled, padded, decoded."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from peft import PeftModel
from torch import Tensor
from transformers import GenerationConfig, LogitsProcessorList, PreTrainedModel, PreTrainedTokenizerBase

from cai.models.sampling import GumbelNoise
from cai.models.templates import ChatTemplate, ends
from cai.models.thoughts import answer_to
from cai.store.rows import Message, Prompt
from cai.train.adapters import under
from cai.train.rl.actor import Batch


@dataclass(frozen=True, slots=True)
class SeededPrompt:
    """A prompt of a batch.

    Attributes:
        seed: of its answer: it depends on the run's seed, the step and the prompt's place, and on nothing else.
    """

    prompt: Prompt
    seed: int

    @property
    def messages(self) -> tuple[Message, ...]:
        """The conversation to be answered."""
        return self.prompt.messages

    @property
    def track(self) -> str:
        """As its file gives it."""
        return self.prompt.track


@dataclass(frozen=True, slots=True)
class Rollout:
    """A batch of answers.

    Attributes:
        texts: what the answers say, see ``ChatTokens.words``.
        ended: whether each ended, shape (rows,).
        sampler_logps: log-probabilities with which the tokens were drawn, shape (rows, answer); None where the policy itself
            drew them.
    """

    prompts: Sequence[SeededPrompt]
    batch: Batch
    texts: Sequence[str]
    ended: Tensor
    sampler_logps: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """An answer as it was sampled.

    Attributes:
        tokens: its end token included where it ended; none where it could not be written, which leaves the prompt out.
        logprobs: with which each was drawn, where another than the policy's own computation drew them.
    """

    tokens: Sequence[int]
    logprobs: Sequence[float] | None = None


class Sampler(Protocol):
    """What samples answers: the policy itself, or a server that has its weights."""

    def write(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Sample]:
        """An answer to each prompt."""
        ...

    def new_weights(self) -> None:
        """The policy has other weights now; all processes say so together."""
        ...

    def close(self) -> None:
        """End what it started."""
        ...


class Generate:
    """Samples with ``generate``, a row's answer by the row's own seed.

    Args:
        ends: the tokens that end an answer.
    """

    def __init__(self, policy: Any, pad: int, ends: Sequence[int], limits: "Limits") -> None:
        self.policy, self.pad, self.ends, self.limits = policy, pad, list(ends), limits

    @torch.no_grad()
    def write(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Sample]:
        """See ``Sampler``."""
        samples: list[Sample] = []
        for start in range(0, len(prompts), self.limits.at_once):
            some = slice(start, start + self.limits.at_once)
            samples += self._batch(prompts[some], seeds[some])
        return samples

    def new_weights(self) -> None:
        """It is the policy itself that writes."""

    def close(self) -> None:
        """Nothing was started."""

    def _batch(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Sample]:
        device = self.policy.device
        ids, attention = (each.to(device) for each in left_padded(prompts, self.pad))
        # A config of our own: the model's may cut off unlikely tokens or punish repetition, and then the probabilities
        # that PPO takes would not be those of what sampled.
        config = GenerationConfig(
            max_new_tokens=self.limits.max_new_tokens, do_sample=False, eos_token_id=self.ends, pad_token_id=self.pad
        )
        noise = LogitsProcessorList([GumbelNoise(seeds, self.limits.temperature, device.type)])
        with neutral(self.policy):
            out = self.policy.generate(
                input_ids=ids, attention_mask=attention, generation_config=config, logits_processor=noise
            )
        return [Sample(cut(row, self.ends)) for row in out[:, ids.shape[1] :].tolist()]


@contextmanager
def neutral(policy: PreTrainedModel | PeftModel) -> Iterator[None]:
    """Meanwhile the model has no settings of its own for generation: transformers fills in from them what a config leaves open.

    They are taken from the model under its adapters: peft hands it the settings of what is around it, and from then on it
    would be saved with those.
    """
    model = under(policy)
    settings, model.generation_config = model.generation_config, GenerationConfig()
    try:
        yield
    finally:
        model.generation_config = settings


@dataclass(frozen=True, slots=True)
class Limits:
    """How answers are sampled: tokens at most, temperature, answers at once."""

    max_new_tokens: int
    temperature: float = 1.0
    at_once: int = 16


def cut(tokens: Sequence[int], ends: Sequence[int]) -> list[int]:
    """The tokens to the first end token, which is kept."""
    stop = next((place for place, token in enumerate(tokens) if token in ends), len(tokens) - 1)
    return list(tokens[: stop + 1])


def pad_id(tokenizer: PreTrainedTokenizerBase) -> int:
    """The token that fills rows up: the tokenizer's own for it, or the one that ends texts."""
    token = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
    assert isinstance(token, int)
    return token


def left_padded(rows: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
    """Tokens and attention of shape (rows, longest)."""
    longest = max(map(len, rows))
    ids = [[pad] * (longest - len(row)) + list(row) for row in rows]
    return torch.tensor(ids), torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in rows])


def together(prompts: Sequence[Sequence[int]], answers: Sequence[Sequence[int]], pad: int) -> Batch:
    """Prompts and answers as one batch."""
    ids, attention = left_padded(prompts, pad)
    longest = max(1, *map(len, answers))
    after = torch.tensor([[*answer, *[pad] * (longest - len(answer))] for answer in answers])
    mask = torch.tensor([[True] * len(answer) + [False] * (longest - len(answer)) for answer in answers])
    return Batch(torch.cat([ids, after], 1), torch.cat([attention, mask.long()], 1), mask)


class ChatTokens:
    """Conversations in a tokenizer's own template.

    Args:
        options: what the template is told beside them, such as ``enable_thinking``.

    Raises:
        ValueError: the tokenizer has no chat template.
    """

    def __init__(
        self,
        tokenizer: PreTrainedTokenizerBase,
        generation: GenerationConfig | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        if tokenizer.chat_template is None:
            raise ValueError("the policy's tokenizer has no chat template; start from a chat model, or train sft first")
        self.tokenizer, self.template = tokenizer, ChatTemplate(tokenizer, generation, options)
        self.pad = pad_id(tokenizer)
        self.ends = sorted(ends(tokenizer, generation))

    def ask(self, messages: Sequence[Message]) -> list[int]:
        """The tokens of a conversation, up to where the answer begins."""
        return self.template.ids(self.template.prompt(messages))

    def words(self, prompt: str, tokens: Sequence[int]) -> str:
        """What an answer's tokens say, without its thought and the token that ends it.

        Special tokens within it are shown: whoever learns from the answer's score could else write them unseen.

        Args:
            prompt: as the template shows it, with a thought opened or not.
        """
        whole = tokens[:-1] if tokens and tokens[-1] in self.ends else tokens
        return answer_to(prompt, self.template.tokenizer.decode(whole))

    def rollout(self, prompts: Sequence[SeededPrompt], writer: Sampler, device: torch.device) -> Rollout:
        """Answers to a batch of prompts."""
        renderings = [self.template.prompt(each.messages) for each in prompts]
        ids = [self.template.ids(each) for each in renderings]
        samples = writer.write(ids, [each.seed for each in prompts])
        answers = [each.tokens for each in samples]
        batch = together(ids, answers, self.pad)
        on_device = Batch(batch.ids.to(device), batch.attention.to(device), batch.mask.to(device))
        texts = list(map(self.words, renderings, answers))
        ended = torch.tensor([bool(answer) and answer[-1] in self.ends for answer in answers], device=device)
        return Rollout(prompts, on_device, texts, ended, sampler_logps(samples, device))


def sampler_logps(samples: Sequence[Sample], device: torch.device) -> Tensor | None:
    """The log-probabilities with which tokens were drawn, shape (rows, longest); None where none are told."""
    logprobs = [each.logprobs for each in samples if each.logprobs is not None]
    if len(logprobs) < len(samples):
        return None
    longest = max(1, *map(len, logprobs))
    return torch.tensor([[*each, *[0.0] * (longest - len(each))] for each in logprobs], device=device)
