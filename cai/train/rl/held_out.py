"""Held-out prompts answered before and after a training, with the same random draws: what the training did to answers."""

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict

from cai.store.files import read_form, write_json
from cai.store.form import Count
from cai.train.rl.loop import Loop
from cai.train.rl.processes import Processes
from cai.train.rl.rollout import Rollout, SeededPrompt


class HeldOutAnswer(TypedDict):
    """One prompt's answer.

    Attributes:
        score: None where it could not be read.
        kl: to the reference, in nats; None where there is none.
        tokens: its length.
        ended: whether it ended by itself.
    """

    id: str
    text: str
    score: float | None
    kl: float | None
    tokens: Count
    ended: bool


class HeldOutFile(TypedDict):
    """What a file of them holds."""

    answers: list[HeldOutAnswer]


def answers(loop: Loop, prompts: Sequence[SeededPrompt]) -> list[HeldOutAnswer]:
    """An answer to each prompt."""
    if not prompts:
        return []
    mine = loop.processes.mine(prompts)
    replies: list[HeldOutAnswer] = []
    if mine:
        rollout = loop.rollout(mine)
        experience = loop.experience(rollout)
        kls = (experience.kl * rollout.batch.mask).sum(1).tolist()
        replies = rows(rollout, experience.readable_scores(), kls)
    return loop.processes.all(replies)


def rows(rollout: Rollout, scores: Sequence[float | None], kls: Sequence[float | None]) -> list[HeldOutAnswer]:
    """What is known of each answer.

    Args:
        kls: the KL of each to the reference, in nats; None where there is no reference.
    """
    lengths, ended = rollout.batch.mask.sum(1).tolist(), rollout.ended.tolist()
    parts = zip(rollout.prompts, rollout.texts, scores, kls, lengths, ended, strict=True)
    return [
        {"id": each.prompt.id, "text": text, "score": score, "kl": kl, "tokens": tokens, "ended": end}
        for each, text, score, kl, tokens, end in parts
    ]


def once(path: Path, processes: Processes, answer: Callable[[], list[HeldOutAnswer]]) -> list[HeldOutAnswer]:
    """Answers kept in a file, so that a training that is resumed has those of the policy that it began with."""
    exists = path.exists()
    processes.accelerator.wait_for_everyone()  # all have looked before one of them writes
    if not exists:
        replies = answer()
        if processes.first:
            write_json(path, {"answers": replies})
        processes.accelerator.wait_for_everyone()
    kept = read_form(path, HeldOutFile)
    assert kept is not None  # it was written a moment ago, if not before
    return kept["answers"]


def comparison(before: Sequence[HeldOutAnswer], after: Sequence[HeldOutAnswer]) -> dict[str, float]:
    """Mean scores before and after, their paired difference with its standard error, and the KL after, in nats."""
    both = [
        (old["score"], new["score"])
        for old, new in zip(before, after, strict=True)
        if old["score"] is not None and new["score"] is not None
    ]
    if len(both) < 2:
        return {}
    gains = [new - old for old, new in both]
    return {
        "eval_reward_before": statistics.fmean(old for old, _ in both),
        "eval_reward": statistics.fmean(new for _, new in both),
        "eval_gain": statistics.fmean(gains),
        "eval_gain_se": statistics.stdev(gains) / len(gains) ** 0.5,
        **_kl(after),
        "eval_tokens_before": statistics.fmean(row["tokens"] for row in before),
        "eval_tokens": statistics.fmean(row["tokens"] for row in after),
        "eval_ended": statistics.fmean(row["ended"] for row in after),
    }


def _kl(rows: Sequence[HeldOutAnswer]) -> dict[str, float]:
    values = [row["kl"] for row in rows if row["kl"] is not None]
    return {"eval_kl": statistics.fmean(values)} if values else {}
