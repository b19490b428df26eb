"""Soft labels against hard ones where the truth is known: whose reward model comes closer to the true probability?

    python benchmarks/soft_labels.py [--seeds 3] [--pairs 1500] [--noise 0.5]

Answers are words, each with a worth; an answer's utility u is the sum of its words' worths, and P = σ(u_a − u_b) is the true
probability that a is preferred. A hard label is one draw from P, as one person gives it; a soft label is P with Gaussian
noise on its log-odds, as a judge that is right on average gives it. Both train the same tiny Llama from the same seed by
our own trainer; both are held to the true P of pairs that they have not seen, by the Brier score: the mean of
(σ(r_a − r_b) − P)². A coin's is printed beside them. The ratio is soft over hard: below 1, soft labels are the better.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from cai.data import dataset
from cai.judge.statistics import logit, sigmoid
from cai.stages.reward import Reward
from cai.train.launch.start import job

WORDS = 40
LENGTH = 6
SPREAD = 0.6
"""Standard deviation of a word's worth: of two answers' utilities it is about 2 apart."""
HELD_OUT = 400
TRAINING: dict[str, Any] = {
    "learning_rate": 3e-3,
    "per_device_train_batch_size": 32,
    "max_length": 64,
    "save_steps": 100_000,
}


@dataclass(frozen=True)
class Case:
    """Two answers and the true probability that the first is the better."""

    a: str
    b: str
    p: float


def cases(rng: Random, count: int) -> list[Case]:
    """Pairs of random answers under worths drawn for this seed."""
    worth = [rng.gauss(0, SPREAD) for _ in range(WORDS)]
    found = []
    for _ in range(count):
        a, b = ([rng.randrange(WORDS) for _ in range(LENGTH)] for _ in range(2))
        p = sigmoid(sum(worth[word] for word in a) - sum(worth[word] for word in b))
        texts = [" ".join(f"w{word}" for word in words) for words in (a, b)]
        found.append(Case(texts[0], texts[1], p))
    return found


def labelled(rng: Random, some: Sequence[Case], soft: bool, noise: float) -> Iterator[dict[str, Any]]:
    """The rows of a preference dataset: with a judge's probability, or with one person's choice."""
    for number, case in enumerate(some):
        p = sigmoid(logit(case.p) + rng.gauss(0, noise)) if soft else float(rng.random() < case.p)
        chosen, rejected = (case.a, case.b) if p >= 0.5 else (case.b, case.a)
        said = {"chosen": chosen, "rejected": rejected}
        sides = {side: [{"role": "assistant", "content": text}] for side, text in said.items()}
        prompt = [{"role": "user", "content": "w0"}]
        yield {"prompt": prompt, **sides, "chosen_prob": max(p, 1 - p), "id": str(number), "prompt_id": str(number)}


def tiny(folder: Path, seed: int) -> Path:
    """A random Llama whose tokens are the words."""
    import torch
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    names = ["<pad>", "<user>", "<assistant>", "<end>", *(f"w{word}" for word in range(WORDS))]
    inner = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<pad>"))
    inner.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="<pad>", eos_token="<end>")
    tokenizer.chat_template = "{% for m in messages %}<{{ m.role }}> {{ m.content }} <end> {% endfor %}"
    torch.manual_seed(seed)
    shape: dict[str, Any] = {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
    }
    config = LlamaConfig(vocab_size=len(names), **shape, pad_token_id=0, eos_token_id=3, max_position_embeddings=64)
    LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def brier(model_folder: Path, held_out: Sequence[Case]) -> float:
    """The mean squared distance of σ(r_a − r_b) from the true probability."""
    from cai.models.reward import scores
    from cai.models.spec import ModelSpec
    from cai.models.templates import ChatTemplate
    from cai.models.weights import load_scorer

    model, tokenizer = load_scorer(ModelSpec("reward", reward=str(model_folder), dtype="float32"))
    template = ChatTemplate(tokenizer)
    rows: list[Any] = list(
        labelled(Random(0), [Case(each.a, each.b, 1.0) for each in held_out], False, 0.0)
    )  # a stands as chosen
    answers = [[*row["prompt"], *row[side]] for row in rows for side in ("chosen", "rejected")]
    found = scores(model, tokenizer, list(map(template.score_ids, answers)))
    pairs = zip(found[::2], found[1::2], held_out, strict=True)
    return statistics.mean((sigmoid(a - b) - case.p) ** 2 for a, b, case in pairs)


def trained(folder: Path, seed: int, some: Sequence[Case], soft: bool, args: argparse.Namespace) -> Path:
    """A reward model on these pairs; returns its folder."""
    data, out = folder / "data", folder / "out"
    data.mkdir(parents=True)
    dataset.write(data, labelled(Random(f"{seed}/{soft}"), some, soft, args.noise), set())
    base = tiny(folder / "base", seed)
    want = Reward(base=str(base), num_train_epochs=args.epochs, soft_labels=soft, bf16=False, **TRAINING)
    file = job("reward", want, str(base), (data, out), seed)
    done = subprocess.run([sys.executable, "-m", "cai.train.reward", file], capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return out / "model"


def compared(folder: Path, seed: int, args: argparse.Namespace) -> dict[str, float]:
    """Held-out Brier scores of one seed: its own worths, pairs, labels and first weights."""
    every = cases(Random(seed), args.pairs + HELD_OUT)
    train, held_out = every[: args.pairs], every[args.pairs :]
    found = {"coin": statistics.mean((0.5 - each.p) ** 2 for each in held_out)}
    for name, soft in (("hard", False), ("soft", True)):
        found[name] = brier(trained(folder / f"{seed}-{name}", seed, train, soft, args), held_out)
    print(f"seed {seed}: " + ", ".join(f"{name} {value:.4f}" for name, value in found.items()), flush=True)
    return found


def main() -> None:
    """Print both Brier scores and their ratio, each with its standard error over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else "")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=1500)
    parser.add_argument("--noise", type=float, default=0.5, help="standard deviation of a soft label's log-odds")
    parser.add_argument("--epochs", type=float, default=4)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = [compared(Path(folder), seed, args) for seed in range(args.seeds)]
    figures = {name: [each[name] for each in found] for name in ("coin", "hard", "soft")}
    figures["hard - soft"] = [each["hard"] - each["soft"] for each in found]
    figures["soft / hard"] = [each["soft"] / each["hard"] for each in found]
    print(f"Brier against the true probability, {args.pairs} pairs, {HELD_OUT} held out, noise {args.noise:g}:")
    for name, values in figures.items():
        error = statistics.stdev(values) / len(values) ** 0.5 if len(values) > 1 else float("nan")
        print(f"  {name:12} {statistics.mean(values):.4f} ± {error:.4f}")
    print(json.dumps({"pairs": args.pairs, "noise": args.noise, "seeds": args.seeds, **figures}))


if __name__ == "__main__":
    main()
