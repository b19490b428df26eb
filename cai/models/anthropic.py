"""Anthropic's Messages API, as a dialect of its own.

It differs from the OpenAI protocol in this: the system prompt stands apart, a limit of tokens is required, an answer is a list of
blocks of which some are thoughts, and there are no several samples, no seed and no log-probabilities. What requests have in
common at their beginning is marked, so that it is read from the cache. Written after its documentation of API version
2023-06-01, the last by which models that take a temperature can be told one.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import accumulate

from cai.errors import UserError
from cai.models import replies, structure, usage
from cai.models.abilities import BLOCKS
from cai.models.dialect import WITHOUT_LOGPROBS, OpenAI, gives_no_score
from cai.models.switches import merge, room
from cai.models.types import Reply, Request
from constitution.tools import CALLS, RESULT, Call, Definition, definitions

VERSION = "2023-06-01"
LEAST_BUDGET = 1024
CACHED = {"cache_control": {"type": "ephemeral"}}
SHARED = 2
"""A beginning that so many requests had before is marked: what one row alone has would be written to be read by nobody."""
MOST_BEGINNINGS = 1 << 13


class Anthropic(OpenAI):
    """The Messages API."""

    def __init__(self) -> None:
        super().__init__()
        self.now = replace(self.now, switch=BLOCKS, seed=False, samples=False)
        self.seen: OrderedDict[int, int] = OrderedDict()
        """Beginning of a conversation → how many requests had it."""

    def base(self, url: str) -> str:
        """The URL that people know has no version at its end."""
        place, mark, query = url.partition("?")
        return f"{place.rstrip('/').removesuffix('/messages').removesuffix('/v1')}/v1{mark}{query}"

    def headers(self, key: str) -> dict[str, str]:
        """The key under a name of its own, and the version that is spoken."""
        return {"anthropic-version": VERSION, **({"x-api-key": key} if key else {})}

    def body(self, model: str, request: Request) -> tuple[str, dict[str, object]]:
        """The path under the base URL, and the JSON body.

        Raises:
            UserError: a score or a text to go on from is asked.
        """
        if request.score:
            raise gives_no_score(model)
        if not request.messages:
            raise UserError(f"{model} takes conversations alone; use format: chat")
        body = {"model": model, **self._thinking(request)}
        body |= {"max_tokens": 1} if request.choices else {"max_tokens": request.max_tokens + self.room(request)}
        body |= {**self._sampling(request), **self.conversation(request), **structure.block_fields(request, self.now)}
        return "messages", merge(body, request.more)

    def room(self, request: Request) -> int:
        """As of the plain protocol; what is bounded has a least bound, and a role may say its own."""
        if isinstance(thinking := request.more.get("thinking"), Mapping):
            return usage.count(thinking, "budget_tokens")
        if self._bounded(request):
            return max(room(request), LEAST_BUDGET)
        return super().room(request)

    def _bounded(self, request: Request) -> bool:
        thinks = request.thinking == "on" and not request.choices
        return thinks and self.now.budget and "thinking" not in request.more

    def _thinking(self, request: Request) -> dict[str, object]:
        if "thinking" in request.more:
            return {}
        if self._bounded(request):
            return {"thinking": {"type": "enabled", "budget_tokens": self.room(request)}}
        if request.thinking == "on" and self.now.on and not request.choices:
            return {"thinking": {"type": "adaptive", "display": "summarized"}}
        return {"thinking": {"type": "disabled"}} if request.thinking == "off" and self.now.off else {}

    def _thinks(self, request: Request) -> bool:
        """Whether thinking is asked for, beside which no temperature is taken."""
        thinking = request.more.get("thinking", self._thinking(request).get("thinking"))
        return isinstance(thinking, Mapping) and thinking.get("type") in ("enabled", "adaptive")

    def _sampling(self, request: Request) -> dict[str, object]:
        is_text, body = not (request.choices or request.options), dict[str, object]()
        if request.temperature != 1 and (is_text or self.now.temperature) and not self._thinks(request):
            body["temperature"] = request.temperature
        if request.top_p != 1 and (is_text or self.now.top_p) and not self._thinks(request):
            body["top_p"] = request.top_p
        stops = [stop for stop in request.stop[: self.now.stops] if stop.strip()]  # others are cut here
        if stops and not self._thinks(request):  # within a thought they would end it
            body["stop_sequences"] = stops
        return body

    def conversation(self, request: Request) -> dict[str, object]:
        """The system prompt and the turns, marked where that ends which others share with them."""
        turns = _turns(self.turns(request))
        system = "\n\n".join(str(turn["content"]) for turn in turns if turn["role"] == "system")
        turns = [turn for turn in turns if turn["role"] != "system"]
        offer = list(map(_tool, definitions(request.messages)))
        tools = {"tools": offer, "tool_choice": {"type": "none"}} if offer else {}
        place = self._shared(
            [(str(tools), system), *((turn["role"], str(turn["content"])) for turn in turns)], request.n > 1
        )
        if place > 1 and (last := turns[place - 2])["content"]:
            turns[place - 2] = {**last, "content": _with_cache(last["content"])}
        return {
            **tools,
            **({"system": _with_cache(system) if place == 1 else system} if system else {}),
            "messages": turns,
        }

    def _shared(self, parts: Sequence[object], again: bool) -> int:
        """How many parts from the first others had before; all where the same is asked again, as of several samples."""
        beginnings = [*accumulate(parts, lambda before, part: hash((before, part)), initial=0)][1:]
        before = [self.seen.get(each, 0) for each in beginnings]
        for each, times in zip(beginnings, before, strict=True):
            self.seen[each] = times + 1
            self.seen.move_to_end(each)
        while len(self.seen) > MOST_BEGINNINGS:
            self.seen.popitem(last=False)
        if again or before[-1]:
            return len(parts)
        return max((place for place, times in enumerate(before, 1) if times >= SHARED), default=0)

    def learn(self, request: Request, reply: Reply) -> Iterator[str]:
        """As of the plain protocol, and what this one does not take at all."""
        yield from super().learn(request, reply)
        if request.seed is not None:
            yield "it takes no seed, so that its answers cannot be drawn again"
        if request.temperature != 1 and self._thinks(request) and not request.choices:
            yield "its temperature is 1 while it thinks"
        if self._bounded(request) and (request.budget or LEAST_BUDGET) < LEAST_BUDGET:
            yield f"a thought has {LEAST_BUDGET:,} tokens, as it takes no bound below that"

    def reply(self, answer: object, request: Request) -> Reply:
        """The server's JSON → ``Reply`` of one sample.

        Raises:
            Unreadable: it is not of the API's form.
        """
        fields = answer if isinstance(answer, dict) else {}
        blocks = fields.get("content")
        if not isinstance(blocks, list):
            raise replies.Unreadable("an answer without a list of content")
        blocks, call = structure.call_of_blocks(blocks) if request.options else (blocks, "")
        text, thought = replies.content(blocks)
        sample = replies.text_sample(text, replies.end(fields.get("stop_reason")), thought, request.stop)
        sample = structure.bound(sample, request.options, call) if request.options else sample
        samples, counts = self.within([sample], answer, request)
        thoughts, counts = ([], {WITHOUT_LOGPROBS: 1}) if request.choices else (samples, counts)
        if request.seed is not None:
            counts["without_seed"] = 1
        spent = usage.token_counts(replies.usage(answer), thoughts)
        return Reply(tuple(samples), **spent, model=replies.name(answer), counts=counts)


def _tool(tool: Definition) -> dict[str, object]:
    function = tool["function"]
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    return {"name": function["name"], "description": function.get("description", ""), "input_schema": schema}


def _turns(messages: Sequence[Mapping[str, object]]) -> list[dict[str, object]]:
    """The turns with their calls as blocks, and what tools gave as blocks of one turn of the person's."""
    turns: list[dict[str, object]] = []
    for each in messages:
        if each["role"] == RESULT:
            block = {"type": "tool_result", "tool_use_id": each["tool_call_id"], "content": each["content"]}
            blocks = turns[-1]["content"] if turns and turns[-1]["role"] == "user" else None
            if isinstance(blocks, list):
                blocks.append(block)
            else:
                turns.append({"role": "user", "content": [block]})
        elif isinstance(calls := each.get(CALLS), list):
            words = [{"type": "text", "text": each["content"]}] if str(each["content"]).strip() else []
            turns.append({"role": each["role"], "content": [*words, *map(_use, calls)]})
        else:
            turns.append({**each})
    return turns


def _use(call: Call) -> dict[str, object]:
    function = call["function"]
    arguments = json.loads(str(function["arguments"]))
    return {"type": "tool_use", "id": call["id"], "name": function["name"], "input": arguments}


def _with_cache(content: object) -> list[dict[str, object]]:
    """A text, or blocks, at whose end a cache is written, and read by who begins alike."""
    if isinstance(content, list):
        return [*content[:-1], {**content[-1], **CACHED}]
    return [{"type": "text", "text": content, **CACHED}]
