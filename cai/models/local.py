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
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from cai.errors import RowError
from cai.models import reasoning
from cai.models.batches import Batches
from cai.models.bundled import resolve
from cai.models.dialect import gives_no_score
from cai.models.forcing import BUDGET, close_thoughts
from cai.models.replies import text_sample, thought_counts
from cai.models.sampling import Abandonment, GumbelNoise
from cai.models.spec import ModelSpec
from cai.models.templates import QUESTION, ChatTemplate, ends
from cai.models.thoughts import open_tags
from cai.models.types import Reply, Request, Sample
from cai.models.usage import share
from cai.models.weights import load
from constitution.turns import CHAT

CLOSING = 16
"""Tokens at the most that close a thought."""


class Local:
    """A model loaded into this process."""

    continues = True

    def __init__(self, spec: ModelSpec) -> None:
        self.model, self.tokenizer = load(spec, AutoModelForCausalLM, "left")
        self.template = ChatTemplate(self.tokenizer, self.model.generation_config)
        self.ends = ends(self.tokenizer, self.model.generation_config) | {self.tokenizer.pad_token_id}
        self.name, self.concurrency, self.format = spec.title, spec.concurrency or 64, spec.format
        self.limit = spec.max_len or self.model.config.max_position_embeddings
        self.parser = reasoning.parser_of(resolve(spec.local)) if spec.format == CHAT else ""
        self.batches = Batches(self._answer, _shape)

    @property
    def thinks(self) -> bool:
        """Whether its folder tells that it thinks, or its template opens a thought."""
        return bool(self.parser) or (self.format == CHAT and open_tags(self.template.prompt((QUESTION,))) is not None)

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``; a thought has tokens of its own, and one that took them all is closed, as on servers."""
        if request.score:
            raise gives_no_score(self.name)
        writes = bool(request.messages) and not (request.choices or request.begin or request.likelihood)
        request = self._in_text(request)
        tags = open_tags(request.prompt)
        if not writes or not (tags or self.parser):
            return await self.batches.ask(request)
        request = replace(request, budget=self._room(request))
        reply = await self.batches.ask(request)
        if self.parser == reasoning.HARMONY:  # whose thought no tag alone closes
            return reply
        around = ("", tags[1]) if tags else reasoning.tags(self.parser)
        return await close_thoughts(reply, request, around, self.batches.ask)

    def _in_text(self, request: Request) -> Request:
        """The request as the text that the model goes on from; here, so that what a template does not take is this row's alone."""
        if not request.messages:
            return request
        if request.thought:
            last = {"role": "assistant", "content": request.begin, "reasoning_content": request.thought}
            text = self.template.unfinished((*request.messages, last))
            return replace(request, messages=(), prompt=text, begin="")
        return replace(request, messages=(), prompt=self.template.prompt(request.messages))

    def _room(self, request: Request) -> int:
        """Tokens for a thought beside the answer, as far as the model's length has them and leaves room for one after it."""
        left = self.limit - len(self.template.ids(request.prompt)) - 2 * request.max_tokens - CLOSING
        return max(min(BUDGET, self.limit // 2, left), 0)

    def _answer(self, requests: list[Request]) -> list[Reply | RowError]:
        texts = [request.prompt + request.begin for request in requests]
        lengths = [len(ids) for ids in self.tokenizer(texts, add_special_tokens=False)["input_ids"]]
        fits = [length + _most_tokens(request) <= self.limit for length, request in zip(lengths, requests, strict=True)]
        numbers = [number for number, fit in enumerate(fits) if fit]
        answer = self._choose if requests[0].choices else self._read if requests[0].likelihood else self._write
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
            replies.append(Reply((Sample(""),), values, int(mask.sum()), 0, 1, self.name))
        return replies

    @torch.inference_mode()
    def _read(self, requests: list[Request], texts: list[str]) -> list[Reply]:
        """One by one: beside padding, a short text would be computed as long as the longest."""
        return [self._read_one(request) for request in requests]

    def _read_one(self, request: Request) -> Reply:
        prompt, given = self.template.ids(request.prompt), self.template.ids(request.begin) if request.begin else []
        ids, values = [*prompt, *given], []
        if given:
            inputs = torch.tensor([ids], device=self.model.device)
            logprobs = self.model(inputs, logits_to_keep=len(given) + 1).logits[0, :-1].float().log_softmax(-1)
            values = logprobs.gather(-1, inputs[0, -len(given) :, None]).squeeze(-1).tolist()
        return Reply(tokens_in=len(ids), model=self.name, tokens=tuple(ids), logprobs=tuple(values))

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
            max_new_tokens=_most_tokens(first),
            do_sample=False,
            logits_processor=steps,
            stopping_criteria=StoppingCriteriaList([Abandonment(lambda: self.batches.abandoned)]),
            stop_strings=list(first.stop) if first.stop and first.budget is None else None,  # they end no thought
            tokenizer=self.tokenizer,
            pad_token_id=self.tokenizer.pad_token_id,
        )
        rows = [ids[inputs["input_ids"].shape[1] :].tolist() for ids in out]
        origins = [request for request in requests for _ in range(request.n)]
        samples = [self._sample(*each) for each in zip(rows, origins, strict=True)]
        counts = inputs["attention_mask"].sum(1).tolist()
        replies, start = [], 0
        for request in requests:
            rows = samples[start : start + request.n]
            out_tokens = sum(count for _, count in rows)
            answers = tuple(each for each, _ in rows)
            spent = {"tokens_in": counts[start], "tokens_out": out_tokens, "tokens_thought": share(out_tokens, answers)}
            replies.append(Reply(answers, **spent, model=self.name, counts=thought_counts(answers)))
            start += request.n
        return replies

    def _sample(self, ids: list[int], request: Request) -> tuple[Sample, int]:
        """One generated row, and its number of tokens."""
        length = next((n for n, token in enumerate(ids) if token in self.ends), len(ids))
        finish = "stop" if length < len(ids) else "length"
        in_thought = open_tags(request.prompt) is not None and not request.begin
        text = self.template.text(ids[:length])
        sample = text_sample(text, finish, stops=request.stop, in_thought=in_thought)
        return self._within(sample, request) if request.budget else sample, min(length + 1, len(ids))

    def _within(self, sample: Sample, request: Request) -> Sample:
        """A sample whose answer has no tokens that were its thought's."""
        ids, most = self.template.ids(sample.text), request.max_tokens
        return replace(sample, text=self.template.text(ids[:most]), finish="length") if len(ids) > most else sample


def _shape(request: Request) -> tuple[object, ...]:
    return (
        *(request.max_tokens, request.budget, request.temperature, request.top_p, request.stop),
        bool(request.choices),
        request.likelihood,
    )


def _most_tokens(request: Request) -> int:
    if request.likelihood:
        return 0
    return 1 if request.choices else request.max_tokens + (request.budget or 0)
