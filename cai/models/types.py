"""What is asked of a model, and what comes back; how a model is reached is in ``cai.models.spec``."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

Message = dict[str, str]


@dataclass(frozen=True, slots=True)
class Request:
    """What a model is asked.

    Attributes:
        messages: the conversation; its last message is the person's.
        prompt: plain text instead of messages, for base models.
        n: samples wanted.
        choices: next tokens whose probabilities are wanted instead of a text, such as ("A", "B").
        begin: a forced beginning of the answer, after which the model goes on.
        score: whether a reward model's score of the conversation, answer included, is wanted instead of a text.
        track: of the prompt, where it is known; some combinations of reward models go by it.
        tokens: token ids instead of messages, for what learns from the sampled tokens; only vLLM's servers take them.
        more: what a role adds to the body of each of its requests.
        thinking: "on" or "off"; as the model does by itself where empty.
        budget: tokens that a thought may take, beside the answer's max_tokens; None where nothing bounds it but these.
        thought: what was thought before ``begin``, closed before it; for models whose answers go on from a beginning.
        options: what the whole answer must be one of, by the server's structured output; for models that take it, see
            ``cai.models.structure``.
        likelihood: whether the log-probabilities of the tokens of ``begin``, an answer that is given, are wanted instead of a
            text: the reply's tokens are then the ids of all that was given, and its logprobs those of the last of them, of
            ``begin`` at least.
    """

    messages: tuple[Message, ...] = ()
    prompt: str = ""
    n: int = 1
    max_tokens: int = 256
    temperature: float = 1.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None
    choices: tuple[str, ...] = ()
    begin: str = ""
    score: bool = False
    track: str = ""
    tokens: tuple[int, ...] = ()
    more: Mapping[str, object] = field(default_factory=dict)
    thinking: str = ""
    budget: int | None = None
    thought: str = ""
    options: tuple[str, ...] = ()
    likelihood: bool = False


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample: what is said, what was thought before, how it ended.

    Attributes:
        text: without the forced beginning.
        thinking: no part of the text; empty where a model does not think.
        finish: "stop", and "length", "thinking", "content_filter", "tool_calls" or "unknown" where it is no whole answer.
        opened: whether its thought was opened by the template, as it closes one that it did not open.
    """

    text: str
    thinking: str = ""
    finish: str = "stop"
    opened: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        samples: as many as were asked, or fewer; one without words where choices were asked.
        choice_logprobs: natural log-probability of each choice as the next token; a choice outside the server's top
            tokens is missing.
        tokens_in, tokens_cached, tokens_out: as counted by the server; cached ones are part of tokens_in.
        score: a reward model's, where one was asked.
        tokens, logprobs: the first sample's token ids and the natural log-probability with which each was drawn, for
            requests of tokens.
        counts: what the ledger counts of it, beside its tokens.
        tokens_thought: those of tokens_out that went into thoughts; by their share of characters where a server says nothing of it.
        paid: its tokens (in, cached, out) by what stands after the role's name in the bill, without those that an earlier session
            paid for; all for the role itself where it is None.
    """

    samples: tuple[Sample, ...] = ()
    choice_logprobs: Mapping[str, float] = field(default_factory=dict)
    tokens_in: int = 0
    tokens_cached: int = 0
    tokens_out: int = 0
    model: str = ""
    score: float = 0.0
    tokens: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict)
    tokens_thought: int = 0
    paid: Mapping[str, Sequence[int]] | None = None

    @property
    def spent(self) -> tuple[int, int, int]:
        """Its tokens: in, cached, out."""
        return self.tokens_in, self.tokens_cached, self.tokens_out

    @property
    def texts(self) -> tuple[str, ...]:
        """What each sample says."""
        return tuple([each.text for each in self.samples])

    @property
    def finishes(self) -> tuple[str, ...]:
        """How each sample ended."""
        return tuple([each.finish for each in self.samples])

    @property
    def thinking(self) -> tuple[str, ...]:
        """What was thought before each sample; empty where nothing was."""
        thoughts = tuple([each.thinking for each in self.samples])
        return thoughts if any(thoughts) else ()

    def with_samples(self, other: "Reply") -> "Reply":
        """This one's samples, and another's to the same request after them."""
        return replace(
            self,
            samples=self.samples + other.samples,
            tokens_in=self.tokens_in + other.tokens_in,
            tokens_cached=self.tokens_cached + other.tokens_cached,
            tokens_out=self.tokens_out + other.tokens_out,
            tokens_thought=self.tokens_thought + other.tokens_thought,
            counts=Counter(self.counts) + Counter(other.counts),
        )


class Model(Protocol):
    """A model that is up.

    Attributes:
        continues: whether an answer goes on from a forced beginning, word for word.
    """

    name: str
    concurrency: int
    format: str

    @property
    def continues(self) -> bool: ...

    async def ask(self, request: Request, row_id: str) -> Reply:
        """Answer one request.

        Args:
            row_id: keeps a row on one replica, for its cache.

        Raises:
            RowError: this request cannot be answered.
            RunError: no request can.
        """
        ...


class _Nobody:
    """Stands where a stage asks no model."""

    name, concurrency, format, continues = "none", 64, "chat", False

    async def ask(self, request: Request, row_id: str) -> Reply:
        """Nothing is asked of it."""
        raise AssertionError("a stage that names no model asked one")


NO_MODEL = _Nobody()
