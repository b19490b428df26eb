"""A server's count of tokens → what a reply says of them, in whatever form the server has it.

Forms that are known: OpenAI's, of prompt and completion with their details; Anthropic's, where what a cache holds or takes is
counted beside the input; those of servers that count a thought beside the completion and in the total alone (Gemini's OpenAI door,
xAI); and details under other names (DeepSeek, SGLang). A thought of which no count is said has its share by characters.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypedDict

from cai.models.replies import THINKING, Sample

Keys = tuple[str, ...]
"""One within the other."""
IN: tuple[Keys, ...] = (("prompt_tokens",), ("input_tokens",))
OUT: tuple[Keys, ...] = (("completion_tokens",), ("output_tokens",))
CACHED: tuple[Keys, ...] = (
    ("prompt_tokens_details", "cached_tokens"),
    ("input_tokens_details", "cached_tokens"),
    ("cache_read_input_tokens",),
    ("prompt_cache_hit_tokens",),
    ("cached_tokens",),
)
THOUGHT: tuple[Keys, ...] = (
    ("completion_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "reasoning_tokens"),
    ("output_tokens_details", "thinking_tokens"),
    ("reasoning_tokens",),
)
USUAL = frozenset(("total_tokens", *(places[0][0] for places in (IN, OUT, CACHED, THOUGHT))))
"""What OpenAI's own protocol says."""
BESIDE_INPUT: tuple[Keys, ...] = (("cache_read_input_tokens",), ("cache_creation_input_tokens",))
"""Counted beside the input, where the input has that name and no other."""
MOST_TOKENS = 1 << 40
OVER = "over_max_tokens"
"""A reply is counted so for each answer that was longer than it may be, as it took tokens that were its thought's."""


class TokenCounts(TypedDict):
    """What of a ``Reply`` its tokens are: in, cached (a part of those in), out, and thought (a part of those out)."""

    tokens_in: int
    tokens_cached: int
    tokens_out: int
    tokens_thought: int


def token_counts(usage: object, samples: Sequence[Sample]) -> TokenCounts:
    """The tokens of a reply, by what its server says of them."""
    tokens_in, cached, out, thought = _tokens(usage)
    thought = min(thought or share(out, samples), out)
    return {"tokens_in": max(tokens_in, cached), "tokens_cached": cached, "tokens_out": out, "tokens_thought": thought}


def within(usage: object, samples: Sequence[Sample], most: int) -> list[Sample]:
    """The samples, of which a whole one that is longer than so many tokens is none; of several each has its share by characters."""
    tokens, length = _answer_tokens(usage, samples), sum(len(each.text) for each in samples)
    if tokens is None:
        return [*samples]
    return [
        replace(each, finish="length") if each.finish == "stop" and len(each.text) * tokens > most * length else each
        for each in samples
    ]


def _answer_tokens(usage: object, samples: Sequence[Sample]) -> int | None:
    """The tokens of the answers, without thoughts; None where the server does not tell the two apart.

    A token is one byte at the least: where there are more of them, what they were spent on is not shown.
    """
    _, _, out, thought = _tokens(usage)
    if not thought and any(each.thinking or each.finish == THINKING for each in samples):
        return None
    return min(out - thought, sum(len(each.text.encode()) for each in samples))


def _tokens(usage: object) -> tuple[int, int, int, int]:
    """In, cached, out and, as far as they are counted, thought."""
    if plain := _plain(usage):
        return plain[0], 0, plain[1], 0
    tokens_in, out = _first(usage, IN), _first(usage, OUT)
    cached, thought = _first(usage, CACHED), _first(usage, THOUGHT)
    if isinstance(usage, Mapping) and "prompt_tokens" not in usage:
        tokens_in += sum(count(usage, *keys) for keys in BESIDE_INPUT)
    rest = count(usage, "total_tokens") - tokens_in - out
    if rest > 0 and rest == cached:
        tokens_in += rest
    elif rest > 0:
        out, thought = out + rest, thought or rest
    elif thought > out:
        out += thought
    return tokens_in, cached, out, thought


def _plain(usage: object) -> tuple[int, int] | None:
    """In and out, where they add up and nothing else is said; at once, as most servers say them so."""
    if not isinstance(usage, dict) or not usage.keys() <= USUAL or usage.get(CACHED[0][0]) or usage.get(THOUGHT[0][0]):
        return None
    tokens_in, out = usage.get(IN[0][0]), usage.get(OUT[0][0])
    if type(tokens_in) is not int or type(out) is not int or min(tokens_in, out) < 0:
        return None
    return (tokens_in, out) if usage.get("total_tokens") == tokens_in + out <= MOST_TOKENS else None


def share(tokens: int, samples: Sequence[Sample]) -> int:
    """The part of some tokens that went into thoughts, by characters; all where nothing is known but that they did."""
    if not any(each.thinking or each.finish == THINKING for each in samples):
        return 0
    thought, text = sum(len(each.thinking) for each in samples), sum(len(each.text) for each in samples)
    if thought:
        return round(tokens * thought / (thought + text))
    return tokens if not text and all(each.finish == THINKING for each in samples) else 0


def count(usage: object, *keys: str) -> int:
    """A number of tokens by its keys, one within the other; 0 where there is none that can be one."""
    for key in keys:
        usage = usage.get(key) if isinstance(usage, Mapping) else None
    if isinstance(usage, str) and usage.isascii() and usage.isdigit():
        usage = int(usage[:15])
    if isinstance(usage, bool) or not isinstance(usage, int | float) or not 0 <= usage <= MOST_TOKENS:
        return 0
    return int(usage)


def _first(usage: object, places: Sequence[Keys]) -> int:
    """The first count that is said, of those in some places."""
    if not isinstance(usage, Mapping):
        return 0
    return next(filter(None, (count(usage, *keys) for keys in places if keys[0] in usage)), 0)
