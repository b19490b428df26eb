"""What is made of a server's answers, whatever their form: nothing that is not text becomes text, no number is guessed."""

import json
import math
from random import Random
from typing import Any

import pytest

from cai.models.anthropic import Anthropic
from cai.models.dialect import OpenAI, Scores, Vllm
from cai.models.letters import logprobs_of
from cai.models.refusals import Refused, refusal
from cai.models.replies import ENDS, Failure, Unreadable, failure
from cai.models.retries import Transient
from cai.models.thoughts import parts_of
from cai.models.transport import Page
from cai.models.types import Reply, Request
from cai.models.verdicts import WITHOUT_LOGPROBS

ASKED = Request(({"role": "user", "content": "Is rye sour?"},), n=1)
VERDICT = Request(ASKED.messages, choices=("A", "B"), begin="The answer is: (")


def choice(content: Any = "It is.", finish: Any = "stop", **more: Any) -> dict[str, Any]:
    return {"index": 0, "message": {"role": "assistant", "content": content, **more}, "finish_reason": finish}


def read(*choices: Any, request: Request = ASKED, **more: Any) -> Reply:
    return OpenAI().reply({"choices": list(choices), **more}, request)


PARTS = {
    "text": "It is.",
    "one part": {"type": "text", "text": "It is."},
    "parts": [{"type": "text", "text": "It "}, {"type": "output_text", "text": "is."}],
    "bare texts": ["It ", "is."],
    "thinking parts": [
        {"type": "thinking", "thinking": [{"type": "text", "text": "Bread…"}]},
        {"type": "text", "text": "It is."},
    ],
    "reasoning parts": [{"type": "reasoning", "text": "Bread…"}, {"type": "text", "text": "It is."}],
}


@pytest.mark.parametrize("content", PARTS.values(), ids=PARTS)
def test_the_text_of_content_is_the_answer_and_its_thoughts_are_not(content: Any) -> None:
    reply = read(choice(content))
    assert (reply.texts, reply.finishes) == (("It is.",), ("stop",))
    assert reply.thinking in ((), ("Bread…",))


@pytest.mark.parametrize(
    "content",
    [7, True, {"text": 7}, [{"type": "image_url", "image_url": {"url": "x"}}], [7], [[]], {"type": "text", "text": {}}],
)
def test_content_that_is_no_text_is_no_answer(content: Any) -> None:
    with pytest.raises(Unreadable):
        read(choice(content))


THOUGHTS = {
    "<think>\nBread…\n</think>\n\nIt is.": ("Bread…", "It is."),
    "Bread…\n</think>\n\nIt is.": ("Bread…", "It is."),
    "<think></think>It is.": ("", "It is."),
    "[THINK]Bread…[/THINK]It is.": ("Bread…", "It is."),
    "<|channel|>analysis<|message|>Bread…<|end|><|start|>assistant<|channel|>final<|message|>It is.<|return|>": (
        "analysis Bread…  assistant",
        "It is.",
    ),
    "Write <think>…</think> around a thought.": ("", "Write <think>…</think> around a thought."),
    "It is.": ("", "It is."),
}


@pytest.mark.parametrize("text", THOUGHTS)
def test_a_thought_is_cut_off_and_counted(text: str) -> None:
    thought, said = THOUGHTS[text]
    reply = read(choice(text))
    assert reply.texts == (said,)
    assert "".join(reply.thinking).split() == thought.split()
    assert reply.counts == ({"thoughts": 1} if thought else {})


@pytest.mark.parametrize(
    ("parts", "more"),
    [
        (["<think>Bread", "…</think>", "It is."], {}),
        ([{"type": "text", "text": "<THINK>Bread…</THI"}, {"type": "text", "text": "NK>It is."}], {}),
        ([{"thought": True, "text": "Bread…"}, {"text": "It is."}], {}),
        ([{"type": "text", "text": "It is."}, {"type": "thinking", "thinking": "Bread…"}], {}),
        ([{"type": "text", "text": "<think>Bread…</think>It is."}], {"reasoning": "Bread…"}),
    ],
)
def test_a_thought_in_parts_is_no_part_of_what_is_said(parts: list[Any], more: dict[str, Any]) -> None:
    reply = read(choice(parts, **more))
    assert (reply.texts, reply.thinking) == (("It is.",), ("Bread…",))


def test_a_tag_in_the_code_of_an_answer_cuts_nothing_off() -> None:
    text = "End your prompt with\n```\n</think>\n```\nand go on."
    for more in ({}, {"reasoning_content": "Bread…"}):
        reply = read(choice(text, **more))
        assert (reply.texts, reply.finishes, reply.samples[0].opened) == ((text,), ("stop",), False)


@pytest.mark.parametrize(
    ("content", "finish", "more"),
    [
        ("<think>Bread is made of", "length", {}),
        ("<think>Bread is made of", "stop", {}),
        (None, "length", {"reasoning_content": "Bread is made of"}),
        ("", "length", {"reasoning": "Bread is made of"}),
        ("<|channel|>analysis<|message|>Bread is", "length", {}),
    ],
)
def test_tokens_that_were_all_spent_on_a_thought_say_nothing(content: Any, finish: str, more: dict[str, Any]) -> None:
    reply = read(choice(content, finish, **more))
    assert (reply.texts, reply.finishes) == (("",), ("thinking",))
    assert reply.thinking[0].replace("analysis", "").strip().startswith("Bread is")


def test_an_end_has_one_word_and_only_stop_is_a_whole_answer() -> None:
    for end, words in ENDS.items():
        if end != "error":
            assert {read(choice(finish=word)).finishes[0] for word in (*words, words[0].upper())} == {end}
    for odd in (None, "", 3, [], "because"):
        assert read(choice(finish=odd)).finishes == ("unknown",)
    refused = read(choice(None, refusal="I can't help with that."))
    assert refused.texts == ("I can't help with that.",)


@pytest.mark.parametrize(
    ("broken", "end"),
    [
        ({"finish_reason": "content_filter: PROHIBITED_CONTENT"}, "content_filter"),
        ({"message": {"role": "assistant"}, "finish_reason": "content_filter: RECITATION"}, "content_filter"),
        ({"message": {"role": "assistant"}, "finish_reason": "length"}, "thinking"),
        ({"message": {"content": "<think>so"}, "finish_reason": "content_filter"}, "content_filter"),
    ],
)
def test_an_answer_of_which_nothing_came_says_why(broken: dict[str, Any], end: str) -> None:
    reply = read({"index": 0, **broken})
    assert (reply.texts, reply.finishes) == (("",), (end,))


def test_half_a_surrogate_pair_is_replaced_and_two_halves_are_a_character() -> None:
    answer = json.loads(json.dumps({"choices": [choice("Rye \\ud83d and \U0001f35e")]}).replace("\\\\ud83d", "\\ud83d"))
    assert "\ud83d" in answer["choices"][0]["message"]["content"]
    assert OpenAI().reply(answer, ASKED).texts == ("Rye \ufffd and \U0001f35e",)


def test_a_text_ends_at_a_stop_that_the_server_did_not_take() -> None:
    request = Request(prompt="Human: Is rye sour?\n\nAssistant:", stop=("\n\nHuman:",))
    text = {"index": 0, "text": " It is.\n\nHuman: And wheat?", "finish_reason": "length"}
    reply = OpenAI().reply({"choices": [text]}, request)
    assert (reply.texts, reply.finishes) == ((" It is.",), ("stop",))


@pytest.mark.parametrize(
    "usage", [None, [], "3", {"prompt_tokens": -3, "completion_tokens": math.inf}, {"prompt_tokens": math.nan}]
)
def test_counts_of_tokens_that_are_none_are_not_counted(usage: Any) -> None:
    reply = read(choice(), usage=usage)
    assert (reply.tokens_in, reply.tokens_cached, reply.tokens_out) == (0, 0, 0)


def test_counts_of_tokens_may_be_text() -> None:
    usage = {"prompt_tokens": "3", "completion_tokens": 4.0, "prompt_tokens_details": [1]}
    reply = read(choice(), usage=usage)
    assert (reply.tokens_in, reply.tokens_cached, reply.tokens_out) == (3, 0, 4)


def test_a_server_that_counts_a_thought_in_the_total_alone_is_understood() -> None:
    reply = read(choice(), usage={"prompt_tokens": 20, "completion_tokens": 151, "total_tokens": 553})
    assert (reply.tokens_in, reply.tokens_out, reply.tokens_thought) == (20, 533, 382)
    both = reply.with_samples(reply)
    assert (both.tokens_out, both.tokens_thought) == (1066, 764)


def verdict(*tokens: tuple[str, Any]) -> dict[str, float]:
    top = [{"token": token, "logprob": logprob} for token, logprob in tokens]
    logprobs = {"content": [{"token": "A", "logprob": 0.0, "top_logprobs": top}]}
    reply = read({**choice("A"), "logprobs": logprobs}, request=VERDICT)
    return {each: round(math.exp(value), 3) for each, value in reply.choice_logprobs.items()}


def test_a_choice_is_known_in_each_form_in_which_servers_write_tokens() -> None:
    forms = (
        "A",
        " A",
        "A)",
        "(A",
        "(A)",
        "**A",
        "A.",
        "\u0120A",
        "\u2581A",
        "\uff21",
        '"A"',
        "\\x41",
        "<0x41>",
        "bytes:\\x41",
    )
    for form in forms:
        assert verdict((form, math.log(0.6)), ("B", math.log(0.3))) == {"A": 0.6, "B": 0.3}, form
    assert verdict(("A", math.log(0.4)), ("(A", math.log(0.2)), (" B", math.log(0.3))) == {"A": 0.6, "B": 0.3}
    yes = logprobs_of([("yes", -1.0), ("NO", -2.0)], ("Yes", "No"))
    assert yes == pytest.approx({"Yes": -1.0, "No": -2.0})


UNREAD = {
    "no number": (("A", math.nan), ("B", -1.0)),
    "null": (("A", None), ("B", -1.0)),
    "a text": (("A", "-0.1"), ("B", -1.0)),
    "infinity": (("A", math.inf), ("B", -1.0)),
    "more than certain": (("A", 2.0), ("B", -1.0)),
    "more than all": (("A", -0.1), ("B", -0.1)),
    "no number elsewhere": (("A", -0.1), ("C", math.nan)),
    "most of it may be a choice": (("A", math.log(0.2)), ("(", math.log(0.7))),
    "a word that is a letter": (("B", math.log(0.2)), ("a", math.log(0.7))),
    "something else": (("Sure", -0.1),),
}


@pytest.mark.parametrize("tokens", UNREAD.values(), ids=UNREAD)
def test_a_distribution_that_cannot_be_told_gives_no_verdict(tokens: Any) -> None:
    assert verdict(*tokens) == {}


def test_what_cannot_be_is_not_unreadable() -> None:
    assert verdict(("A", -0.01), ("B", -math.inf)) == {"A": 0.99}
    assert verdict(("A", 1e-7), ("B", -9999.0)) == {"A": 1.0}


@pytest.mark.parametrize(
    "logprobs",
    [
        None,
        {},
        [],
        {"content": None},
        {"content": []},
        {"content": [{"top_logprobs": []}]},
        {"top_logprobs": [None]},
        "none",
    ],
)
def test_an_answer_without_log_probabilities_is_counted(logprobs: Any) -> None:
    reply = read({**choice("A"), "logprobs": logprobs}, request=VERDICT)
    assert (dict(reply.choice_logprobs), reply.counts) == ({}, {WITHOUT_LOGPROBS: 1})


def test_a_verdict_that_a_server_takes_for_a_thought_is_no_thought_that_was_cut_off() -> None:
    logprobs = {"content": [{"top_logprobs": [{"token": "A", "logprob": -0.1}, {"token": "B", "logprob": -2.4}]}]}
    reply = read({**choice(None, "length", reasoning_content="A"), "logprobs": logprobs}, request=VERDICT)
    assert (set(reply.choice_logprobs), reply.counts) == ({"A", "B"}, {})


def test_samples_come_in_their_order_and_no_more_than_were_asked() -> None:
    two = Request(ASKED.messages, n=2)
    answers = [{**choice(f"{number}"), "index": number} for number in (2, 0, 1)]
    assert read(*answers, request=two).texts == ("0", "1")
    assert read(*({**each, "index": 0} for each in answers), request=two).texts == ("2", "0")


@pytest.mark.parametrize(
    ("answer", "status", "words"),
    [
        (
            {"choices": None, "error": {"message": "Provider returned error", "code": 429}},
            429,
            "Provider returned error",
        ),
        ({"error": "odd"}, 0, "odd"),
        (
            {"object": "error", "message": "System role not supported", "code": 400},
            400,
            "System role not supported",
        ),
        ({"detail": [{"loc": ["body"], "msg": "field required", "input": "How?"}]}, 0, "field required"),
        (
            {"choices": [{**choice("It"), "finish_reason": "error", "error": {"code": 502, "message": "died"}}]},
            502,
            "died",
        ),
        ({"choices": [choice(finish="abort")]}, 502, "an answer that ended in an error"),
        ({"choices": [choice(finish="insufficient_system_resource")]}, 502, "an answer that ended in an error"),
        ({"error": {"message": "filtered", "code": "content_filter", "status": 400}}, 400, "filtered, content_filter"),
        (
            {"object": "error", "code": 422, "message": {"detail": [{"loc": ["body", "seed"], "msg": "Extra inputs"}]}},
            422,
            "seed, Extra inputs",
        ),
    ],
)
def test_an_error_within_an_answer_is_that_error(answer: Any, status: int, words: str) -> None:
    assert failure(answer) == Failure(status, words)
    assert failure({"choices": [choice()], "error": None}) is None


def test_scores_are_finite_numbers() -> None:
    asked = Request(ASKED.messages, score=True)
    assert Scores().reply({"data": [{"probs": [1.5]}]}, asked).score == 1.5
    for odd in (
        {"data": [{"probs": [math.nan]}]},
        {"data": [{"probs": ["1"]}]},
        {"data": []},
        {},
        {"data": [{"probs": None}]},
    ):
        with pytest.raises(Unreadable):
            Scores().reply(odd, asked)


def test_sampled_tokens_have_a_log_probability_each() -> None:
    asked = Request(tokens=(3, 4))
    text = {"index": 0, "text": "x", "finish_reason": "stop", "token_ids": [5, 6]}
    for odd in ([-0.1], [-0.1, math.nan], [-0.1, None], None):
        with pytest.raises(Unreadable):
            Vllm().reply({"choices": [{**text, "logprobs": {"token_logprobs": odd}}]}, asked)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (429, ""),
        (529, "overloaded_error"),
        (400, "The model is overloaded. Please try again later."),
        (403, "rate limit reached for requests per minute"),
        (500, "Model is currently loading"),
        (429, "You exceeded your current quota. Please retry in 34s."),
    ],
)
def test_busy_is_busy_by_whatever_status_or_words(status: int, words: str) -> None:
    raised = refusal(Page(status, words.encode()), ())
    assert isinstance(raised, Transient)
    assert raised.busy


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (402, "Insufficient credits"),
        (429, "insufficient_quota: check your plan and billing"),
        (400, "credit balance is too low"),
        (403, "flagged by moderation"),
        (451, ""),
        (400, '{"error": {"message": "Unsupported parameter"}}'),
        (413, "Request too large on tokens per minute (TPM): Limit 6000, Requested 7105, rate_limit_exceeded"),
        (429, "Request too large on tokens per min: Limit 30000. The input or output tokens must be reduced."),
        (400, "Budget has been exceeded! Current cost: 1.2, budget_exceeded"),
    ],
)
def test_a_refusal_is_no_passing_trouble(status: int, words: str) -> None:
    assert isinstance(refusal(Page(status, words.encode()), ()), Refused)


def test_what_never_has_its_minute_is_too_long() -> None:
    raised = refusal(Page(429, b"Request too large: Limit 30000. The input or output tokens must be reduced."), ())
    assert isinstance(raised, Refused)
    assert raised.reason == "context_too_long"


def test_what_was_asked_is_no_word_of_the_server_s() -> None:
    asked = "What is a rate limit, and why is a server overloaded?"
    raised = refusal(
        Page(400, json.dumps({"detail": [{"msg": "no", "input": asked}, {"msg": asked}]}).encode()), (asked,)
    )
    assert isinstance(raised, Refused)
    assert raised.words == "no; …"


ODD: list[Any] = [
    *(
        None,
        True,
        -1,
        0,
        7,
        1e308,
        math.nan,
        math.inf,
        10**400,
        "",
        "x",
        "\ud83d",
        "\x1b[31m",
        "stop",
        "length",
        "<think>",
        "A",
    ),
    *(
        [],
        {},
        [[]],
        [None],
        {"type": "text"},
        {"text": None},
        {"content": []},
        {"token": "A", "logprob": -0.1},
        "1" * 9000,
    ),
]


@pytest.mark.parametrize("text", ["\u200b", "\ufeff", " \u2060\n", "\u3164", "\u2800\u2800", "\u00ad\u200e"])
def test_an_answer_that_nobody_can_see_is_empty(text: str) -> None:
    assert read(choice(text)).texts == ("",)
    assert read(choice(f"<think>Bread…</think>{text}")).texts == ("",)
    assert read(choice(f"{text}It is.")).texts == (f"{text}It is.",)


def test_samples_are_told_apart_by_their_places_where_a_server_numbers_them_alike() -> None:
    two = Request(ASKED.messages, n=2)
    assert read(choice("one"), choice("two"), request=two).texts == ("one", "two")
    assert read({**choice("two"), "index": 1}, choice("one"), request=two).texts == ("one", "two")
    assert read(choice("one"), {**choice("two"), "index": 1}, {**choice("three"), "index": 2}, request=two).texts == (
        "one",
        "two",
    )


@pytest.mark.parametrize(
    "top", [[("A", 0.5), ("B", -1.0)], [("A", -0.1), ("A", -0.1), ("B", -3.0)], [("А", -0.1), ("B", -3.0)]]
)
def test_probabilities_that_cannot_be_say_nothing(top: list[tuple[str, float]]) -> None:
    """Above one, of one token twice, or of a letter that is another alphabet's."""
    tokens = [{"token": token, "logprob": logprob} for token, logprob in top]
    content = {"content": [{"token": top[0][0], "logprob": top[0][1], "top_logprobs": tokens}]}
    assert read(choice("A", "length", **{}) | {"logprobs": content}, request=VERDICT).choice_logprobs == {}


def mutated(value: Any, draw: Random, share: float) -> Any:
    """A value with some of what it holds replaced, left out or doubled."""
    if draw.random() < share:
        return draw.choice(ODD)
    if isinstance(value, dict):
        kept = {key: mutated(each, draw, share) for key, each in value.items() if draw.random() > share / 2}
        return kept | ({str(draw.choice(ODD)): draw.choice(ODD)} if draw.random() < share else {})
    if isinstance(value, list):
        return [mutated(each, draw, share) for each in value for _ in range(draw.choice((1, 1, 1, 0, 2)))]
    return value


def whole_answers() -> list[dict[str, Any]]:
    top = [
        {"token": token, "logprob": math.log(p), "bytes": [65]} for token, p in (("A", 0.6), ("(B", 0.3), ("x", 0.1))
    ]
    logprobs = {"content": [{"token": "A", "logprob": -0.5, "top_logprobs": top}]}
    usage = {"prompt_tokens": 3, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 1}}
    some = [choice(each, reasoning_content="Hm.") for each in PARTS.values()]
    texts = [{"index": 0, "text": "It is.", "finish_reason": "stop", "logprobs": {"top_logprobs": [{"A": -0.1}]}}]
    return [
        {"model": "m", "choices": [{**one, "logprobs": logprobs}, {**one, "index": 1}], "usage": usage}
        for one in (*some, *texts)
    ] + [{"error": {"message": "odd", "code": 500}}, {"object": "error", "message": "odd", "code": 400}] * 2


def test_nothing_that_is_no_text_and_no_finite_number_comes_of_three_thousand_broken_answers() -> None:
    draw, kinds = Random(0), (ASKED, Request(ASKED.messages, n=2), VERDICT, Request(prompt="Hi", stop=("is",)))
    outcomes = {"replies": 0, "unreadable": 0, "errors": 0}
    for number in range(3000):
        answer = mutated(draw.choice(whole_answers()), draw, draw.choice((0.02, 0.1, 0.3)))
        request = kinds[number % len(kinds)]
        if failure(answer):
            refusal(failure(answer) or Failure(0, ""), ())
            outcomes["errors"] += 1
            continue
        try:
            reply = OpenAI().reply(answer, request)
        except Unreadable:
            outcomes["unreadable"] += 1
            continue
        outcomes["replies"] += 1
        sound(reply, request)
    assert min(outcomes.values()) > 100, outcomes


def test_nothing_of_the_kind_comes_of_broken_messages_of_anthropic_s() -> None:
    draw, outcomes = Random(0), {"replies": 0, "unreadable": 0}
    blocks = [{"type": "thinking", "thinking": "Hm.", "signature": "s"}, {"type": "text", "text": "It is."}]
    usage = {"input_tokens": 3, "cache_read_input_tokens": 2, "output_tokens": 4}
    message = {"type": "message", "model": "m", "content": blocks, "stop_reason": "end_turn", "usage": usage}
    for _ in range(1000):
        answer = mutated(message, draw, draw.choice((0.02, 0.1, 0.3)))
        try:
            sound(Anthropic().reply(answer, ASKED), ASKED)
        except Unreadable:
            outcomes["unreadable"] += 1
        else:
            outcomes["replies"] += 1
    assert min(outcomes.values()) > 100, outcomes


def sound(reply: Reply, request: Request) -> None:
    """What all code behind it takes for granted."""
    assert 0 < len(reply.texts) <= request.n
    assert len(reply.finishes) == len(reply.texts)
    for text in (*reply.texts, *reply.finishes, *reply.thinking, reply.model):
        text.encode()  # is Unicode text
    assert set(reply.finishes) <= {*ENDS, "unknown", "thinking"} - {"error"}
    assert all(
        type(each) is int and 0 <= each < 1 << 42 for each in (reply.tokens_in, reply.tokens_cached, reply.tokens_out)
    )
    assert reply.tokens_cached <= reply.tokens_in
    assert 0 <= reply.tokens_thought <= reply.tokens_out
    assert set(reply.choice_logprobs) <= set(request.choices)
    held = sum(math.exp(each) for each in reply.choice_logprobs.values())
    assert all(math.isfinite(each) for each in reply.choice_logprobs.values())
    assert held <= 1.051


def test_a_thought_of_any_length_is_told_apart_at_once() -> None:
    assert parts_of("<think>" + "a " * 200_000)[2]
    assert parts_of("no tag " * 100_000)[0] == ""


DECLINED = "I'm sorry, but I can't judge this."


@pytest.mark.parametrize(("words", "verdict"), [(DECLINED, DECLINED), ("The first is kinder.", "A"), ("", "A")])
def test_a_call_that_a_model_had_to_make_is_no_verdict_beside_words_that_decline(words: str, verdict: str) -> None:
    bound = Request(ASKED.messages, n=1, options=("A", "B"))
    call = {"type": "function", "function": {"name": "verdict", "arguments": '{"verdict": "A"}'}}
    reply = read(choice(words, "tool_calls", tool_calls=[call]), request=bound)
    assert (reply.texts, reply.finishes) == ((verdict,), ("stop",))
    used = {"type": "tool_use", "id": "t1", "name": "verdict", "input": {"verdict": "A"}}
    blocks = [{"type": "text", "text": words}, used] if words else [used]
    reply = Anthropic().reply({"content": blocks, "stop_reason": "tool_use"}, bound)
    assert (reply.texts, reply.finishes) == ((verdict,), ("stop",))
