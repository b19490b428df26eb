"""What servers speak: request bodies and answers. All that is vLLM's own is in ``Vllm``.

vLLM goes on from a forced beginning of the answer and gives the raw distribution of the next token. The OpenAI protocol
has no such thing: there the beginning becomes an instruction to answer with one of the choices. What a server does not take
is put otherwise, see ``cai.models.abilities``; what it answers is looked at in ``cai.models.replies``.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

from cai.errors import UserError
from cai.models import replies, structure, usage
from cai.models.abilities import Abilities, without_system
from cai.models.letters import logprobs_of, tokens_of
from cai.models.switches import merge, room, thinking_fields
from cai.models.transport import under
from cai.models.types import Message, Reply, Request, Sample
from cai.models.verdicts import WITHOUT_LOGPROBS
from constitution.tools import definitions, wire, without_definitions


class OpenAI:
    """The plain protocol.

    Attributes:
        now: what the server was seen to take.
    """

    def __init__(self) -> None:
        self.now = Abilities()
        self.thinkers: set[str] = set()
        """What is added to bodies to which the model's template opens a thought."""

    def base(self, url: str) -> str:
        """The base URL that is meant by one that a person gave."""
        return url

    def headers(self, key: str) -> dict[str, str]:
        """What is sent with each request.

        Args:
            key: empty where there is none.
        """
        return {"Authorization": f"Bearer {key}"} if key else {}

    def health(self, url: str) -> str:
        """Where a server says whether it is well: the protocol has only its list of models."""
        return under(url, "models")

    def root_page(self, url: str, page: str) -> str:
        """A page that is not of the protocol, beside its base URL."""
        base, mark, query = url.partition("?")
        return under(f"{base.removesuffix('/v1')}{mark}{query}", page)

    def at(self, url: str, path: str) -> str:
        """Where a request goes."""
        return under(url, path)

    def body(self, model: str, request: Request) -> tuple[str, dict[str, object]]:
        """The path under the base URL, and the JSON body.

        Raises:
            UserError: a score is asked of a model that writes.
        """
        if request.score:
            raise gives_no_score(model)
        body: dict[str, object] = {"model": model, **self._sampling(request)}
        if request.prompt:
            if request.choices:
                body["logprobs"] = self.now.top
            return "completions", {**body, "prompt": request.prompt + request.begin, **request.more}
        if request.choices:
            body |= {"logprobs": True, "top_logprobs": self.now.top}
        body |= {
            **self.conversation(request),
            **thinking_fields(request, self.now),
            **structure.fields(request, self.now),
        }
        return "chat/completions", merge(body, request.more)

    def room(self, request: Request) -> int:
        """Tokens of the limit that are the thought's, beside the answer's own."""
        return room(request) if self.now.room else 0

    def _sampling(self, request: Request) -> dict[str, object]:
        now, is_text = self.now, not request.choices
        body: dict[str, object] = {"n": request.n} if now.samples else {}
        body[now.limit if not request.prompt else "max_tokens"] = (
            request.max_tokens + self.room(request) if is_text else 1
        )
        if now.temperature or (is_text and not request.options and request.temperature != 1):
            body["temperature"] = request.temperature
        if now.top_p or (is_text and request.top_p != 1):
            body["top_p"] = request.top_p
        if not request.budget and (stops := request.stop[: now.stops]):  # in a thought they would end it: cut here
            body["stop"] = list(stops)
        if request.seed is not None and now.seed:
            body["seed"] = request.seed
        return body

    def conversation(self, request: Request) -> dict[str, object]:
        """The messages, with the forced beginning as far as the protocol allows one."""
        return {"messages": self.turns(request), **_offer(request)}

    def turns(self, request: Request) -> list[dict[str, object]]:
        """The messages of a conversation, and what asks for one of its choices where an answer's beginning is forced."""
        messages = self.messages(request)
        if not request.begin:
            return messages
        order = f"Reply with one of these and nothing else: {', '.join(request.choices)}."
        if reasoning := request.begin.rpartition("\n\n")[0]:
            return [*messages, {"role": "assistant", "content": reasoning}, {"role": "user", "content": order}]
        *before, last = messages
        return [*before, {**last, "content": f"{last['content']}\n\n{order}"}]

    def messages(self, request: Request) -> list[dict[str, object]]:
        """The conversation as the server takes one."""
        turns = tuple(without_definitions(request.messages))
        return wire(turns if self.now.system else without_system(turns))

    def learn(self, request: Request, reply: Reply) -> Iterator[str]:
        """From an answer to a harmless request, what a person is told of it: whether the template opens a thought, as the text
        closes one, and whether it thinks though that was switched off.
        """
        if request.messages and any(each.opened for each in reply.samples):
            self.thinkers.add(_variation(request))
            yield "its template opens a thought, so that an answer which closes none is taken for one"
        if request.thinking == "off" and (reply.thinking or reply.tokens_thought) and self.now.off == Abilities().off:
            yield "it thinks although its thinking was switched off"

    def _opens_thought(self, request: Request) -> bool:
        answers = request.messages and not (request.begin or request.options)
        return bool(self.thinkers and answers) and _variation(request) in self.thinkers

    def reply(self, answer: object, request: Request) -> Reply:
        """The server's JSON → ``Reply``; it may hold fewer samples than were asked.

        Raises:
            Unreadable: it is not of the protocol's form.
        """
        choices = replies.choices(answer)[: request.n]
        in_thought = self._opens_thought(request)
        samples = [replies.sample(each, request.stop, in_thought) for each in choices]
        if definitions(request.messages):
            samples = list(map(replies.with_calls, samples))
        samples = structure.bound_each(samples, choices, request.options)
        tokens = tokens_of(choices[0].get("logprobs")) if request.choices else []
        samples, counts = self.within(samples, answer, request)
        # Of one token some servers take for the beginning of a thought.
        thoughts, counts = ([], {}) if request.choices else (samples, counts)
        if request.seed is not None and not self.now.seed:
            counts["without_seed"] = 1
        if tokens is None:
            counts[WITHOUT_LOGPROBS] = 1
        logprobs = logprobs_of(tokens, request.choices) if tokens else {}
        spent = usage.token_counts(replies.usage(answer), thoughts)
        return Reply(tuple(samples), logprobs, **spent, model=replies.name(answer), counts=counts)

    def within(self, samples: list[Sample], answer: object, request: Request) -> tuple[list[Sample], dict[str, int]]:
        """Samples that took no tokens of a thought's for what they say, and what the ledger counts of them."""
        if not self.room(request):
            return samples, replies.thought_counts(samples)
        answers = usage.within(replies.usage(answer), samples, request.max_tokens)
        counts = replies.thought_counts(answers)
        if over := sum(each is not before for each, before in zip(answers, samples, strict=True)):
            counts[usage.OVER] = over
        return answers, counts


class Vllm(OpenAI):
    """vLLM's server (0.22 and later)."""

    def health(self, url: str) -> str:
        """Fails where the engine is dead, while the list of models is still given."""
        return self.root_page(url, "health")

    def body(self, model: str, request: Request) -> tuple[str, dict[str, object]]:
        """Tokens in and tokens out, where tokens are asked; all else as in the plain protocol."""
        path, body = super().body(model, request)
        if not request.tokens:
            return path, body
        del body["messages"]
        return "completions", {**body, "prompt": list(request.tokens), "return_token_ids": True, "logprobs": 0}

    def reply(self, answer: object, request: Request) -> Reply:
        """The server's JSON → ``Reply``; log-probabilities are as the server's ``--logprobs-mode`` has them.

        Raises:
            Unreadable: it is not of vLLM's form.
        """
        reply = super().reply(answer, request)
        if not request.tokens:
            return reply
        tokens, logprobs = _sampled_tokens(replies.choices(answer)[0])
        return replace(reply, tokens=tokens, logprobs=logprobs)

    def conversation(self, request: Request) -> dict[str, object]:
        """The answer goes on from ``begin``, word for word; a thought stands before it, closed by the model's template."""
        if not request.begin:
            return {"messages": self.messages(request), **_offer(request)}
        # Under both of the names that vLLM has had for it.
        thought = dict.fromkeys(("reasoning", "reasoning_content"), request.thought) if request.thought else {}
        return {
            "messages": [*self.messages(request), {"role": "assistant", "content": request.begin, **thought}],
            **_offer(request),
            "continue_final_message": True,
            "add_generation_prompt": False,
        }


class Scores(Vllm):
    """A reward model on vLLM's server, by ``/classify`` (vLLM 0.31): the classifier's raw logit, without its sigmoid.

    Args:
        tokens: a conversation → its token ids. Without it the server puts the messages into the model's chat template itself,
            which gives other scores where the template ends in the padding token, see ``ChatTemplate.score_ids``.
    """

    def __init__(self, tokens: Callable[[Sequence[Message]], list[int]] | None = None) -> None:
        super().__init__()
        self.tokens = tokens

    def at(self, url: str, path: str) -> str:
        """Beside the base URL: it is no part of the OpenAI protocol."""
        return self.root_page(url, path)

    def body(self, model: str, request: Request) -> tuple[str, dict[str, object]]:
        """The page and the JSON body; the last layer's activation, on unless told, would squeeze scores into (0, 1)."""
        if not request.score:
            raise writes_nothing(model)
        body = {"model": model, "use_activation": False, **request.more}
        if self.tokens:
            return "classify", {**body, "input": self.tokens(request.messages), "add_special_tokens": False}
        return "classify", {**body, "messages": list(request.messages), "add_generation_prompt": False}

    def reply(self, answer: object, request: Request) -> Reply:
        """The server's JSON → ``Reply``.

        Raises:
            Unreadable: it is not of vLLM's form, or its score is no finite number.
            UserError: the model has more than one output.
        """
        logits = _logits(answer)
        if len(logits) != 1:
            raise UserError(f"{replies.name(answer)} has {len(logits)} outputs; a reward model has one")
        tokens = usage.count(replies.usage(answer), "prompt_tokens")
        return Reply(tokens_in=tokens, model=replies.name(answer), score=replies.number(logits[0]))


def writes_nothing(name: str) -> UserError:
    """What is said to who asks a reward model for a text."""
    return UserError(f"{name} is a reward model: it scores answers and writes none; use method: reward")


def gives_no_score(name: str) -> UserError:
    """What is said to who asks a model that writes for a score."""
    return UserError(
        f"{name} writes texts and gives no scores; name a reward model (reward: MODEL, or scores: true beside endpoints)"
    )


def _offer(request: Request) -> dict[str, object]:
    """The tools of a conversation; a call of one is no answer, and where it is written all the same it is seen."""
    tools = definitions(request.messages)
    return {"tools": tools, "tool_choice": "none"} if tools else {}


def _variation(request: Request) -> str:
    """What of a request may change how its model's template begins an answer."""
    return repr((request.thinking, sorted(request.more.items()))) if request.more or request.thinking else ""


def _sampled_tokens(choice: Mapping[str, object]) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """The sampled tokens and their log-probabilities."""
    tokens, logprobs = choice.get("token_ids"), choice.get("logprobs")
    values = logprobs.get("token_logprobs") if isinstance(logprobs, dict) else None
    if not isinstance(tokens, list) or not isinstance(values, list):
        raise replies.Unreadable("an answer without the sampled tokens")
    if len(tokens) != len(values) or not all(type(each) is int for each in tokens):
        raise replies.Unreadable("sampled tokens without a log-probability each")
    return tuple(tokens), tuple(map(replies.number, values))


def _logits(answer: object) -> list[object]:
    """The outputs of a classifier.

    Raises:
        Unreadable: there are none.
    """
    rows = answer.get("data") if isinstance(answer, dict) else None
    row = rows[0] if isinstance(rows, list) and rows else None
    logits = row.get("probs") if isinstance(row, dict) else None
    if not isinstance(logits, list):
        raise replies.Unreadable("an answer without a score")
    return logits
