"""A server's JSON → what it says. It is looked at here, once: behind this line texts are texts, numbers finite, ends known.

Forms that are known: a chat's ``message`` or a completion's ``text``; content as text, null, or a list of parts of which text
is said, thinking is thought, and anything else is no reply; a refusal beside empty content, which is what the model said; a
thought in a field of its own or within tags.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cai.models.thoughts import THOUGHT_KEYS, closes_alone, parts_of
from cai.models.types import Sample
from constitution.visible import invisible

ENDS = {
    "stop": ("stop", "eos", "eos_token", "end_turn", "stop_sequence", "stop_token", "complete", "completed", "end"),
    "length": (
        *("length", "max_tokens", "max_output_tokens", "max_length", "model_length", "token_limit", "time_limit"),
        *("model_context_window_exceeded", "repetition"),
    ),
    "content_filter": (
        *("content_filter", "content-filter", "contentfilter", "safety", "recitation", "blocklist", "language"),
        *("prohibited_content", "spii", "sensitive", "moderation", "guardrail", "refusal", "other"),
        *("content_filtered", "guardrail_intervened", "image_safety", "error_toxic"),
    ),
    "tool_calls": (
        *("tool_calls", "tool_call", "function_call", "tool_use", "pause_turn"),
        *("malformed_function_call", "unexpected_tool_call", "too_many_tool_calls"),
    ),
    "error": (
        *("error", "abort", "aborted", "cancelled", "canceled", "network_error", "engine_overloaded"),
        *("insufficient_system_resource", "timeout"),
    ),
}
"""How an answer ended → the words that servers have for it. Only "stop" is a whole answer."""
_ENDS = {word: end for end, words in ENDS.items() for word in words}
UNKNOWN, THINKING = "unknown", "thinking"
"""An end that no server should give, and that of an answer whose tokens were all spent on a thought."""
ANSWER = ("text", "output_text", "refusal")
THOUGHT = (
    *("thinking", "reasoning", "reasoning_content", "redacted_thinking", "summary_text", "reasoning_text"),
    *("reasoning.text", "reasoning.summary", "reasoning.encrypted"),
)


class Unreadable(ValueError):
    """An answer that is not of the protocol's form; the text says what was wrong with it."""


@dataclass(frozen=True, slots=True)
class Failure:
    """An error that came as an answer.

    Attributes:
        status: as HTTP has it; 0 where it says none.
    """

    status: int
    words: str


def failure(answer: object) -> Failure | None:
    """The error that stands in a 200, for the whole answer or in one of its samples."""
    if not isinstance(answer, dict):
        return None
    wrong = answer.get("error")
    if not wrong and not answer.get("choices") and not answer.get("data"):
        wrong = next((answer[key] for key in ("detail", "message", "msg") if answer.get(key)), None)
        wrong = {**answer, "message": wrong} if wrong else None
    if wrong:
        return _failure(wrong)
    samples = answer.get("choices")
    for each in samples if isinstance(samples, list) else ():
        if isinstance(each, dict) and (each.get("error") or end(each.get("finish_reason")) == "error"):
            return _failure(each.get("error") or {"message": "an answer that ended in an error", "code": 502})
    return None


def _failure(wrong: object) -> Failure:
    codes = [wrong.get(key) for key in ("code", "status", "status_code")] if isinstance(wrong, dict) else []
    status = next((int(code) for code in map(str, codes) if len(code) == 3 and code.isascii() and code.isdigit()), 0)
    return Failure(status, words_of(wrong))


def words_of(wrong: object) -> str:
    """What a server says of an error, of the forms in which servers say it; what was asked is not repeated."""
    if isinstance(wrong, str):
        return " ".join(whole(wrong).split())
    if isinstance(wrong, dict):
        place = wrong.get("loc")
        inner = [".".join(map(str, place[1:]))] if isinstance(place, list) and "msg" in wrong else []
        inner += [
            wrong[key] for key in ("error", "message", "msg", "detail", "type", "code", "param") if wrong.get(key)
        ]
        more = wrong.get("metadata")
        inner += [more["raw"]] if isinstance(more, dict) and isinstance(more.get("raw"), str) else []
        return ", ".join(dict.fromkeys(filter(None, map(words_of, inner))))
    if isinstance(wrong, Sequence):
        return "; ".join(filter(None, map(words_of, wrong[:5])))
    return ""


def choices(answer: object) -> list[Mapping[str, object]]:
    """The samples in their order.

    Raises:
        Unreadable: there is none.
    """
    samples = answer.get("choices") if isinstance(answer, dict) else None
    if not isinstance(samples, list) or not samples or not all(isinstance(each, dict) for each in samples):
        raise Unreadable("an answer without a list of choices")
    if len(samples) == 1:
        return samples
    indices = [each.get("index") for each in samples]
    if all(isinstance(index, int) for index in indices) and len(set(indices)) == len(indices):
        return sorted(samples, key=lambda each: each["index"])
    return samples


def sample(choice: Mapping[str, object], stops: Sequence[str] = (), in_thought: bool = False) -> Sample:
    """One sample of an answer.

    Args:
        stops: where a text ends, also where the server did not end it.
        in_thought: as of ``parts_of``.

    Raises:
        Unreadable: it holds no text, and nothing else that is known.
    """
    finish = end(choice.get("finish_reason"))
    if "message" in choice:
        text, thinking = _message(choice["message"])
    elif isinstance(text := choice.get("text"), str):
        text, thinking = whole(text), ""
    elif finish == "content_filter":
        text, thinking = "", ""
    else:
        raise Unreadable("a choice without a message or a text")
    return text_sample(text, finish, thinking, stops, in_thought and not thinking and bool(text))


def text_sample(
    text: str, finish: str, thinking: str = "", stops: Sequence[str] = (), in_thought: bool = False
) -> Sample:
    """A sample of a model of any kind, by its text and its end.

    Args:
        thinking: what was thought, where that came apart from the text.
        stops, in_thought: as of ``sample``.
    """
    thought, answer, unclosed = parts_of(text, in_thought)
    answer, at_stop = _before(answer, stops) if stops else (answer, False)
    answer = "" if invisible(answer) else answer
    thinking, finish = thinking or thought, "stop" if at_stop else finish
    # Tokens of which nothing is seen were spent on a thought that the server keeps to itself.
    all_thought = finish == "length" and (not answer or (thinking and not answer.strip()))
    if all_thought or (unclosed and finish != "content_filter"):
        finish = THINKING
    return Sample(answer, thinking, finish, bool(thought) and closes_alone(text))


CALLS = ("<tool_call>", "[TOOL_CALLS]", "<|python_tag|>", "<function=", "<|tool_call|>", "<|tool_calls_section_begin|>")
"""How the call of a tool begins, where a server leaves it in the text."""


def with_calls(answer: Sample) -> Sample:
    """A sample of a model that was offered tools: the call of one is no answer."""
    return replace(answer, finish="tool_calls") if answer.text.lstrip().startswith(CALLS) else answer


def thought_counts(samples: Sequence[Sample]) -> dict[str, int]:
    """What the ledger counts of the thoughts of some samples."""
    counts: dict[str, int] = {}
    for each in samples:
        if each.thinking:
            counts["thoughts"] = counts.get("thoughts", 0) + 1
        if each.finish == THINKING:
            counts["cut_while_thinking"] = counts.get("cut_while_thinking", 0) + 1
    return counts


def _message(message: object) -> tuple[str, str]:
    if not isinstance(message, dict):
        raise Unreadable("a message that is no object")
    text, thinking = content(message.get("content"))
    refusal = message.get("refusal")
    if not text and isinstance(refusal, str):
        text = whole(refusal)
    for key in THOUGHT_KEYS:
        if not thinking and isinstance(message.get(key), str):
            thinking = whole(message[key])
    for key in ("reasoning_details", "thinking_blocks"):
        if not thinking and isinstance(message.get(key), list):
            thinking = content([each for each in message[key] if _is_thought(each)])[1]
    return text, thinking


def _is_thought(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in THOUGHT


def content(parts: object) -> tuple[str, str]:
    """What is said and what is thought, of a text or of a list of parts.

    Raises:
        Unreadable: there is something that is neither, such as an image.
    """
    if parts is None:
        return "", ""
    if isinstance(parts, str):
        return whole(parts), ""
    if isinstance(parts, dict):
        parts = [parts]
    if not isinstance(parts, list):
        raise Unreadable(f"content that is no text ({type(parts).__name__})")
    texts: list[str] = []
    thoughts: list[str] = []
    for part in parts:
        kind = _kind(part) if isinstance(part, dict) else "text"
        if kind not in (*ANSWER, *THOUGHT):
            raise Unreadable(f"content with a part that is no text ({str(kind)[:40]})")
        (texts if kind in ANSWER else thoughts).append(_part(part, kind))
    return "".join(texts), "\n".join(filter(None, thoughts))


def _kind(part: Mapping[str, object]) -> str:
    """As the part says; Gemini marks a text that is a thought beside it."""
    return THOUGHT[0] if part.get("thought") is True else str(part.get("type", "text"))


def _part(part: object, kind: str) -> str:
    if isinstance(part, str):
        return whole(part)
    fields = part if isinstance(part, dict) else {}
    inner = next((fields[key] for key in ("text", kind, "summary") if fields.get(key) is not None), None)
    if inner is None and kind in THOUGHT:
        return ""  # one that the server keeps to itself
    if isinstance(inner, list):
        return "".join(content(inner))
    if not isinstance(inner, str):
        raise Unreadable(f"a part of content whose text is none ({type(inner).__name__})")
    return whole(inner)


def whole(text: str) -> str:
    """Two halves of a surrogate pair make a character; one alone is replaced by U+FFFD."""
    if text.isascii():
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _before(text: str, stops: Sequence[str]) -> tuple[str, bool]:
    """What stands before the first stop, and whether there was one."""
    places = [place for stop in stops if (place := text.find(stop)) >= 0]
    return (text[: min(places)], True) if places else (text, False)


def end(word: object) -> str:
    """How an answer ended, by a server's word for it; also by a word with its reason after it, such as "content_filter: SAFETY"."""
    if not isinstance(word, str):
        return UNKNOWN
    return _ENDS.get(word) or _ENDS.get(word.lower().split(":")[0].strip(), UNKNOWN)


def name(answer: object) -> str:
    """The model's, as the server has it."""
    model = answer.get("model") if isinstance(answer, dict) else None
    return whole(model) if isinstance(model, str) else ""


def usage(answer: object) -> object:
    """What the server says of its tokens."""
    return answer.get("usage") if isinstance(answer, dict) else None


def number(value: object) -> float:
    """A finite number.

    Raises:
        Unreadable: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unreadable(f"{str(value)[:40]} where a number was expected")
    return float(value)
