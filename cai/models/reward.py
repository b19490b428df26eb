"""A reward model in this process: a conversation with its answer → a score, in micro-batches."""

import torch
from transformers import AutoModelForSequenceClassification

from cai.errors import RowError, UserError
from cai.models import ModelSpec, Reply, Request
from cai.models.batches import Batches
from cai.models.weights import load


class Reward:
    """A sequence classifier with one output, loaded into this process with the tokenizer it was trained with."""

    format, continues = "chat", False

    def __init__(self, spec: ModelSpec) -> None:
        model, self.tokenizer = load(spec, AutoModelForSequenceClassification, "right")
        if model.config.num_labels != 1:
            raise UserError(
                f"models.{spec.role}.reward: {spec.reward} has {model.config.num_labels} outputs; a reward model has one"
            )
        self.model = model
        self.model.config.pad_token_id = self.tokenizer.pad_token_id  # by which the last token of a row is found
        self.name, self.concurrency = spec.title, spec.concurrency or 64
        self.limit = spec.max_len or self.model.config.max_position_embeddings
        self.batches = Batches(self._score, lambda request: request.score)

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``; only scores can be asked."""
        if not request.score:
            raise UserError(f"{self.name} is a reward model: it scores answers and writes none; use method: reward")
        return await self.batches.ask(request)

    @torch.inference_mode()
    def _score(self, requests: list[Request]) -> list[Reply | RowError]:
        texts = [self.tokenizer.apply_chat_template(list(each.messages), tokenize=False) for each in requests]
        ids = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
        fits = [number for number, each in enumerate(ids) if len(each) <= self.limit]
        long = RowError("context_too_long", "the conversation is longer than the reward model's context")
        replies: list[Reply | RowError] = [long for _ in requests]
        if fits:
            inputs = self.tokenizer.pad({"input_ids": [ids[n] for n in fits]}, return_tensors="pt")
            scores = self.model(**inputs.to(self.model.device)).logits[:, 0].float().tolist()
            for number, score in zip(fits, scores, strict=True):
                replies[number] = Reply(tokens_in=len(ids[number]), model=self.name, score=score)
        return replies
