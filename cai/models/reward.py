"""A reward model in this process: a conversation with its answer → a score, in micro-batches."""

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import PreTrainedModel

from cai.errors import RowError, UserError
from cai.models.batches import BATCH, Batches
from cai.models.dialect import writes_nothing
from cai.models.spec import ModelSpec
from cai.models.templates import ChatTemplate
from cai.models.types import Reply, Request
from cai.models.weights import load_scorer


class Reward:
    """A sequence classifier with one output, loaded into this process with the tokenizer it was trained with."""

    format, continues = "chat", False

    def __init__(self, spec: ModelSpec) -> None:
        model, self.tokenizer = load_scorer(spec)
        if model.config.num_labels != 1:
            raise UserError(
                f"models.{spec.role}.reward: {spec.reward} has {model.config.num_labels} outputs; a reward model has one"
            )
        self.model, self.template = model, ChatTemplate(self.tokenizer)
        self.model.config.pad_token_id = self.tokenizer.pad_token_id  # by which the last token of a row is found
        self.name, self.concurrency = spec.title, spec.concurrency or 64
        self.limit = spec.max_len or self.model.config.max_position_embeddings
        self.batches = Batches(self._score, lambda request: request.score)

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``; only scores can be asked."""
        if not request.score:
            raise writes_nothing(self.name)
        return await self.batches.ask(request)

    def _score(self, requests: list[Request]) -> list[Reply | RowError]:
        ids = [self.template.score_ids(each.messages) for each in requests]
        values = scores(self.model, self.tokenizer, [each for each in ids if len(each) <= self.limit])
        fitting = iter(values)
        return [self._reply(len(each), next(fitting)) if len(each) <= self.limit else _long() for each in ids]

    def _reply(self, tokens: int, score: float) -> Reply | RowError:
        if not math.isfinite(score):
            return RowError("unreadable_score", f"the reward model's score is {score}; give it another dtype")
        return Reply(tokens_in=tokens, model=self.name, score=score)


@torch.no_grad()  # weights that are spread over processes cannot be read in inference mode
def scores(model: PreTrainedModel, tokenizer: Any, conversations: Sequence[list[int]]) -> list[float]:
    """The raw score of each conversation: the classifier's one logit, without an activation.

    Args:
        conversations: token ids, of any number; a forward pass takes few of them at once.
    """
    values: list[float] = []
    for start in range(0, len(conversations), BATCH):
        some = conversations[start : start + BATCH]
        inputs = tokenizer.pad({"input_ids": some}, padding_side="right", return_tensors="pt")
        values += model(**inputs.to(model.device)).logits[:, 0].float().tolist()
    return values


def _long() -> RowError:
    return RowError("context_too_long", "the conversation is longer than the reward model's context")
