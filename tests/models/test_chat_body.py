"""OpenAI's chat bodies, read as a server reads them: what is meant is asked, and what cannot be asked is refused by name."""

from types import SimpleNamespace
from typing import Any

import pytest

from cai.models import chat_body
from cai.models.chat_body import UnfitBody
from cai.models.types import Sample

USER = {"role": "user", "content": "Is rye sour?"}


def test_a_body_is_asked_as_it_says() -> None:
    parts = [{"type": "text", "text": "Is rye "}, {"type": "text", "text": "sour?"}]
    messages = [{"role": "developer", "content": "Be kind."}, {"role": "user", "content": parts}]
    more = {"max_completion_tokens": 9, "temperature": 0, "top_p": 0.5, "stop": "END", "seed": 3, "n": 2}
    idle = {"stream": False, "tools": [], "user": "me", "logprobs": None, "frequency_penalty": 0.0}
    request = chat_body.read({"model": "m", "messages": messages, **more, **idle}, 100)
    assert request.messages == ({"role": "system", "content": "Be kind."}, USER)
    assert (request.max_tokens, request.temperature, request.top_p, request.stop) == (9, 0.0, 0.5, ("END",))
    assert (request.seed, request.n, request.begin) == (3, 2, "")


def test_what_a_body_does_not_say_is_as_openai_has_it_and_the_limit_as_told() -> None:
    request = chat_body.read({"messages": [USER]}, 100)
    assert (request.max_tokens, request.temperature, request.top_p, request.n, request.seed) == (100, 1.0, 1.0, 1, None)


def test_an_answer_that_was_begun_is_gone_on_with() -> None:
    request = chat_body.read({"messages": [USER, {"role": "assistant", "content": "Yes, as"}]}, 100)
    assert (request.messages, request.begin) == ((USER,), "Yes, as")


def test_a_base_model_is_asked_by_a_transcript() -> None:
    request = chat_body.read({"messages": [USER], "stop": ["\n"]}, 100, "transcript")
    assert request.prompt.endswith("Human: Is rye sour?\n\nAssistant:") and not request.messages
    assert request.stop == ("\n", "\n\nHuman:")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"tools": [{"type": "function"}]}, '"tools" cannot be passed on'),
        ({"response_format": {"type": "json_object"}}, '"response_format" cannot be passed on'),
        ({"logprobs": True}, '"logprobs" cannot be passed on'),
        ({"stream": True}, '"stream" cannot be passed on'),
        ({"frequency_penalty": 0.5}, '"frequency_penalty" cannot be passed on'),
        ({"min_p": 0.1}, '"min_p" cannot be passed on'),
        ({"messages": []}, '"messages" must be a list of messages'),
        ({"messages": "hello"}, '"messages" must be a list of messages'),
        ({"messages": [{"role": "tool", "content": "7"}]}, "role 'tool' cannot be passed on"),
        ({"messages": [{"role": "assistant", "content": "", "tool_calls": [{}]}, USER]}, "tool calls cannot"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "no text cannot be passed on"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 7}]}]}, "no text cannot be passed on"),
        ({"n": 0}, '"n" must be'),
        ({"temperature": "hot"}, '"temperature" must be'),
        ({"temperature": float("nan")}, '"temperature" must be'),
        ({"stop": [7]}, '"stop" must be texts'),
        ({"seed": "x"}, '"seed" must be'),
        ({"max_tokens": -1}, '"max_tokens" must be'),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(more: dict[str, Any], words: str) -> None:
    with pytest.raises(UnfitBody, match=words):
        chat_body.read({"messages": [USER], **more}, 100)


def test_a_reply_is_written_as_openai_has_it() -> None:
    said = (Sample("Yes.", "Hm.", "stop"), Sample("It is", "", "length"))
    reply = SimpleNamespace(samples=said, spent=(5, 2, 4))
    page = chat_body.write(reply, "policy", 7)
    first, second = page["choices"]
    assert first["message"] == {"role": "assistant", "content": "Yes.", "reasoning_content": "Hm."}
    assert (second["message"]["content"], second["finish_reason"], second["index"]) == ("It is", "length", 1)
    assert page["usage"]["total_tokens"] == 9 and page["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}
    assert page["model"] == "policy" and page["id"].endswith("7")
