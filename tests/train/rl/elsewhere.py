"""Samplers that are no part of the policy's process, as servers are: what they say of their answers is their own."""

import copy
from collections.abc import Sequence
from typing import Any

import torch

from cai.train.rl.actor import logprobs
from cai.train.rl.loop import Loop
from cai.train.rl.rollout import Generate, Sample, together


class Elsewhere:
    """Draws from a model and says with which probabilities, so much off; counts what it is told.

    Args:
        stale: it holds the policy as it is now, and never takes new weights.
        off: taken off the log-probability of each token, answer by answer.
    """

    def __init__(self, loop: Loop, stale: bool = False, off: Sequence[float] = ()) -> None:
        self.model: Any = copy.deepcopy(loop.actor.policy).eval() if stale else loop.actor.policy
        self.temperature, self.pad, self.off, self.told = loop.want.temperature, loop.talk.pad, off, 0
        assert isinstance(loop.writer, Generate)
        self.inner = Generate(self.model, loop.writer.pad, loop.writer.ends, loop.writer.limits)

    def write(self, prompts: Sequence[Sequence[int]], seeds: Sequence[int]) -> list[Sample]:
        found = self.inner.write(prompts, seeds)
        batch = together(prompts, [each.tokens for each in found], self.pad)
        with torch.no_grad():
            known = logprobs(self.model, batch, self.temperature)[0]
        off = [*self.off, *[0.0] * (len(found) - len(self.off))]
        parts = zip(found, known, off, strict=True)
        return [Sample(each.tokens, (row[: len(each.tokens)] - less).tolist()) for each, row, less in parts]

    def new_weights(self) -> None:
        self.told += 1

    def close(self) -> None: ...
