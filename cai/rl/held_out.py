"""Held-out prompts answered before and after a training, with the same random draws: what the training did to answers."""

import statistics
from collections.abc import Sequence
from typing import Any

from cai.rl.loop import Loop
from cai.rl.rollout import Asked


def answers(loop: Loop, asked: Sequence[Asked]) -> list[dict[str, Any]]:
    """An answer to each prompt: its text, score, length in tokens, KL to the reference in nats, and whether it ended."""
    if not asked:
        return []
    mine = loop.processes.mine(asked)
    found: list[dict[str, Any]] = []
    if mine:
        rollout = loop.rollout(mine)
        seen = loop.look(rollout)
        far = (seen.apart * rollout.batch.mask).sum(1).tolist()
        known, lengths = seen.mask.any(1).tolist(), rollout.batch.mask.sum(1).tolist()
        found = [
            {
                "id": each.prompt.id,
                "text": text,
                "score": score if read else None,
                "kl": kls,
                "tokens": tokens,
                "ended": end,
            }
            for each, text, score, read, kls, tokens, end in zip(
                mine, rollout.texts, seen.scores.tolist(), known, far, lengths, rollout.ended.tolist(), strict=True
            )
        ]
    return loop.processes.all(found)


def compared(before: Sequence[dict[str, Any]], after: Sequence[dict[str, Any]]) -> dict[str, float]:
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
        "eval_kl": statistics.fmean(row["kl"] for row in after),
        "eval_tokens_before": statistics.fmean(row["tokens"] for row in before),
        "eval_tokens": statistics.fmean(row["tokens"] for row in after),
        "eval_ended": statistics.fmean(row["ended"] for row in after),
    }
