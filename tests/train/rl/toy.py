"""A language of a few words, a policy of a few thousand weights, and the optimum that is known by counting all answers."""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
from accelerate import Accelerator
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from transformers import LlamaConfig, LlamaForCausalLM, LlamaForSequenceClassification, PreTrainedTokenizerFast

from cai.stages.ppo import Ppo
from cai.store.rows import Prompt
from cai.train.rl.actor import Actor, Batch
from cai.train.rl.loop import Loop, PpoPlan, Score
from cai.train.rl.processes import Processes
from cai.train.rl.rollout import ChatTokens, Generate, Limits

WORDS = ("<pad>", "</s>", "say", ":", "a", "b", "c")
END = 1


def tokenizer() -> PreTrainedTokenizerFast:
    inner = Tokenizer(WordLevel({word: number for number, word in enumerate(WORDS)}, unk_token="<pad>"))
    inner.pre_tokenizer = WhitespaceSplit()
    found = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="</s>")
    found.chat_template = "{% for m in messages %}{{ m.content }} {% endfor %}:"
    return found


def shape(**more: object) -> LlamaConfig:
    return LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
        pad_token_id=0,
        eos_token_id=END,
        **more,
    )


def models(seed: int = 0) -> tuple[LlamaForCausalLM, LlamaForSequenceClassification]:
    torch.manual_seed(seed)
    policy = LlamaForCausalLM(shape())
    # Adapters leave the last layer alone: it has to be large enough for them to say anything through it.
    policy.lm_head.weight.data.mul_(5)
    return policy, LlamaForSequenceClassification(shape(num_labels=1))


def settings(**more: object) -> Ppo:
    usual = {
        "base": "toy",
        "batch_size": 64,
        "per_device_train_batch_size": 64,
        "num_ppo_epochs": 4,
        "learning_rate": 3e-3,
        "value_learning_rate": 1e-2,
        "missing_eos_penalty": 0.0,
        "generate_batch_size": 64,
        "kl_coef": 0.25,
        "lr_scheduler_type": "linear",
    }
    return Ppo(**{**usual, **more})


def loop(want: Ppo, score: Score, steps: int, prompts: int = 4, actor: Actor | None = None) -> Loop:
    processes = Processes(Accelerator(cpu=True))
    actor = actor or Actor(*models(), want.lora, want.temperature)
    talk = ChatTokens(tokenizer())
    limits = Limits(want.max_new_tokens, want.temperature, want.generate_batch_size)
    writer = Generate(actor.policy, talk.pad, talk.ends, limits)
    ask = ["say", "say say", "a say", "b c say"]
    questions = [Prompt(str(n), ({"role": "user", "content": ask[n % 4]},), "toy", "helpful") for n in range(prompts)]
    return Loop(actor, talk, writer, score, PpoPlan(want, questions, steps, 0), processes)


def by_text(reward: Callable[[str], float]) -> Score:
    return lambda asked, texts: [reward(text) for text in texts]


def language(length: int) -> list[tuple[int, ...]]:
    """All answers of so many tokens at most: those that end, and those that are cut off."""
    found: list[tuple[int, ...]] = []
    for size in range(1, length + 1):
        for answer in itertools.product(range(len(WORDS)), repeat=size):
            if END not in answer[:-1] and (answer[-1] == END or size == length):
                found.append(answer)
    return found


def distribution(model: torch.nn.Module, prompt: Sequence[int], answers: Sequence[tuple[int, ...]]) -> torch.Tensor:
    """The log-probability of each of these answers, one by one and without padding."""
    found = []
    with torch.no_grad():
        for answer in answers:
            ids = torch.tensor([[*prompt, *answer]])
            spread = model(ids).logits[0].log_softmax(-1)
            found.append(sum(spread[len(prompt) + n - 1, token].item() for n, token in enumerate(answer)))
    return torch.tensor(found)


def objective(
    policy: torch.Tensor, reference: torch.Tensor, rewards: torch.Tensor, beta: float
) -> tuple[float, float, float]:
    """E[r] − β·KL of a policy, of its reference, and of the best policy there is, β·log Σ π_ref·exp(r/β)."""

    def value(log_p: torch.Tensor) -> float:
        return (log_p.exp() * (rewards - beta * (log_p - reference))).sum().item()

    return value(policy), value(reference), beta * torch.logsumexp(reference + rewards / beta, 0).item()


def random_batch(rows: int = 6, seed: int = 0) -> Batch:
    """Prompts and answers of unequal lengths."""
    draw = torch.Generator().manual_seed(seed)
    ids = torch.randint(2, len(WORDS), (rows, 9), generator=draw)
    attention, mask = torch.ones_like(ids), torch.ones(rows, 5, dtype=torch.bool)
    for row in range(rows):
        before, after = row % 3, math.ceil(row / 2) % 4
        ids[row, :before], attention[row, :before] = 0, 0
        if after:
            ids[row, -after:], attention[row, -after:], mask[row, -after:] = 0, 0, False
    return Batch(ids, attention, mask)
