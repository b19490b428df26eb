"""transformers in this process, for machines where vLLM cannot be installed. Slower; the same answers to the same seeds.

Requests that arrive together form a batch. Each sample is drawn with a generator of its own, by adding Gumbel noise to
the logits and taking the largest (which samples from the softmax exactly), so that a row's text does not depend on who
shares its batch, up to rounding.
"""

import math
from dataclasses import replace

import torch
from transformers import (
    AutoModelForCausalLM,
    LogitsProcessorList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from cai.errors import RowError
from cai.models.batches import Batches
from cai.models.dialect import gives_no_score
from cai.models.replies import reply_parts, text_sample
from cai.models.sampling import GumbelNoise
from cai.models.spec import ModelSpec
from cai.models.templates import ChatTemplate, ends
from cai.models.types import Reply, Request
from cai.models.usage import share
from cai.models.weights import load


class Local:
    """A model loaded into this process."""

    continues = True

    def __init__(self, spec: ModelSpec) -> None:
        self.model, self.tokenizer = load(spec, AutoModelForCausalLM, "left")
        self.template = ChatTemplate(self.tokenizer, self.model.generation_config)
        self.ends = ends(self.tokenizer, self.model.generation_config) | {self.tokenizer.pad_token_id}
        self.name, self.concurrency, self.format = spec.title, spec.concurrency or 64, spec.format
        self.limit = spec.max_len or self.model.config.max_position_embeddings
        self.batches = Batches(self._answer, _shape)

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``."""
        if request.score:
            raise gives_no_score(self.name)
        if request.thought and request.messages:
            last = {"role": "assistant", "content": request.begin, "reasoning_content": request.thought}
            text = self.template.unfinished((*request.messages, last))
            request = replace(request, messages=(), prompt=text, begin="")
        if request.messages:  # here, so that what a template does not take is this row's alone
            request = replace(request, messages=(), prompt=self.template.prompt(request.messages))
        return await self.batches.ask(request)

    def _answer(self, requests: list[Request]) -> list[Reply | RowError]:
        texts = [request.prompt + request.begin for request in requests]
        lengths = [len(ids) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]]
        fits = [length + _most_tokens(request) <= self.limit for length, request in zip(lengths, requests, strict=True)]
        numbers = [number for number, fit in enumerate(fits) if fit]
        answer = self._choose if requests[0].choices else self._write
        replies = iter(answer([requests[n] for n in numbers], [texts[n] for n in numbers]) if numbers else [])
        long = "the prompt and the answer are longer than the model's context"
        return [next(replies) if fit else RowError("context_too_long", long) for fit in fits]

    @torch.inference_mode()
    def _choose(self, requests: list[Request], texts: list[str]) -> list[Reply]:
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(
            self.model.device
        )
        logprobs = self.model(**inputs, logits_to_keep=1).logits[:, -1].float().log_softmax(-1)
        replies = []
        for request, row, mask in zip(requests, logprobs, inputs["attention_mask"], strict=True):
            tokens = {choice: ids for choice in request.choices if (ids := self._ids(choice))}
            values = {choice: row[ids].logsumexp(0).item() for choice, ids in tokens.items()}
            values = {} if any(map(math.isnan, values.values())) else values
            replies.append(Reply(("",), ("stop",), values, int(mask.sum()), 0, 1, self.name))
        return replies

    def _ids(self, choice: str) -> list[int]:
        forms = [self.tokenizer.encode(form, add_special_tokens=False) for form in (choice, f" {choice}")]
        return sorted({ids[0] for ids in forms if len(ids) == 1})

    @torch.inference_mode()
    def _write(self, requests: list[Request], texts: list[str]) -> list[Reply]:
        first = requests[0]
        texts = [text for text, request in zip(texts, requests, strict=True) for _ in range(request.n)]
        seeds = [(request.seed or 0) + number for request in requests for number in range(request.n)]
        inputs = self.tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False).to(
            self.model.device
        )
        steps = LogitsProcessorList()
        if first.temperature > 0:  # in the order of other servers: the nucleus is that of the tempered probabilities
            steps.append(TemperatureLogitsWarper(first.temperature))
            steps += [TopPLogitsWarper(first.top_p)] if first.top_p < 1 else []
            steps.append(GumbelNoise(seeds))
        out = self.model.generate(
            **inputs,
            max_new_tokens=first.max_tokens,
            do_sample=False,
            logits_processor=steps,
            stop_strings=list(first.stop) or None,
            tokenizer=self.tokenizer,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        samples = [self._sample(ids[inputs["input_ids"].shape[1] :], first) for ids in out]
        counts = inputs["attention_mask"].sum(1).tolist()
        replies, start = [], 0
        for request in requests:
            rows = samples[start : start + request.n]
            out_tokens = sum(count for _, _, count in rows)
            answers = [text_sample(text, finish) for text, finish, _ in rows]
            parts, thought = reply_parts(answers), share(out_tokens, answers)
            spent = {"tokens_in": counts[start], "tokens_out": out_tokens, "tokens_thought": thought}
            replies.append(Reply(**parts, **spent, model=self.name))
            start += request.n
        return replies

    def _sample(self, ids: torch.Tensor, request: Request) -> tuple[str, str, int]:
        """Text, finish and number of tokens of one generated row."""
        length = next((n for n, token in enumerate(ids.tolist()) if token in self.ends), len(ids))
        text = self.tokenizer.decode(ids[:length], skip_special_tokens=True)
        place = min((text.find(stop) for stop in request.stop if stop in text), default=-1)
        finish = "stop" if length < len(ids) or place >= 0 else "length"
        return (text[:place] if place >= 0 else text), finish, min(length + 1, len(ids))


def _shape(request: Request) -> tuple[object, ...]:
    return (request.max_tokens, request.temperature, request.top_p, request.stop, bool(request.choices))


def _most_tokens(request: Request) -> int:
    return 1 if request.choices else request.max_tokens
