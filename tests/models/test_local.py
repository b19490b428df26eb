"""transformers in the process: the bundled model answers, stops, and is the same to the same seed."""

import asyncio
import math
import threading
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError

import pytest
from safetensors import SafetensorError

from cai.errors import RowError, UserError
from cai.models.local import Local
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request
from cai.models.weights import load
from constitution.ask import answer
from constitution.turns import TRANSCRIPT

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def model() -> Local:
    return Local(ModelSpec("policy", local="bundled/smollm2-135m", max_len=512))


def ask(model: Local, *requests: Request) -> list[Reply]:
    async def scene() -> list[Reply]:
        return await asyncio.gather(*(model.ask(request, "row") for request in requests))

    return asyncio.run(scene())


def user(text: str, **more: object) -> Request:
    return Request(({"role": "user", "content": text},), **more)  # type: ignore[arg-type]


def test_it_answers_a_simple_question_and_stops(model: Local) -> None:
    [reply] = ask(model, user("What is the capital of France?", max_tokens=24, temperature=0.0))
    assert "Paris" in reply.texts[0]
    assert reply.finishes == ("stop",)
    assert reply.tokens_in > 10
    assert 0 < reply.tokens_out < 24


def test_a_sample_does_not_depend_on_its_batch(model: Local) -> None:
    one = user("Name a colour.", max_tokens=8, temperature=0.7, seed=1)
    [alone] = ask(model, one)
    together = ask(model, one, user("Tell me about the sea.", max_tokens=8, temperature=0.7, seed=2))
    assert together[0].texts == alone.texts


def test_samples_of_one_request_differ(model: Local) -> None:
    [reply] = ask(model, user("Write a sentence.", max_tokens=12, seed=3, n=2))
    assert len(set(reply.texts)) == 2


def test_choices_have_probabilities_after_the_forced_beginning(model: Local) -> None:
    question, begin = "Which letter comes first? (A) or (B)", "The answer is: ("
    [reply] = ask(model, user(question, choices=("A", "B"), begin=begin))
    mass = sum(map(math.exp, reply.choice_logprobs.values()))
    assert 0.5 < mass <= 1.0
    [said] = ask(model, user(question, begin=begin, max_tokens=1, temperature=0.0))
    assert said.texts[0] == max(reply.choice_logprobs, key=lambda choice: reply.choice_logprobs[choice])


def test_too_long_a_prompt_is_the_row_s_error_and_no_one_else_s(model: Local) -> None:
    async def scene() -> list[Reply | BaseException]:
        long, short = user("word " * 600, max_tokens=4, temperature=0.0), user("Hi", max_tokens=4, temperature=0.0)
        return await asyncio.gather(*(model.ask(each, "row") for each in (long, short)), return_exceptions=True)

    first, second = asyncio.run(scene())
    assert isinstance(first, RowError)
    assert first.reason == "context_too_long"
    assert isinstance(second, Reply)


def test_a_base_model_s_transcript_goes_on_and_stops_before_the_next_turn(model: Local) -> None:
    asked = answer(({"role": "user", "content": "What is the capital of France?"},), TRANSCRIPT)
    [reply] = ask(model, Request((), asked.prompt, max_tokens=48, temperature=0.0, stop=asked.stop))
    assert "Paris" in reply.texts[0]
    assert "Human:" not in reply.texts[0]


def test_a_choice_of_several_tokens_is_left_out(model: Local) -> None:
    said, choices = "Rate this from 1 to 10. Reply in the form: The rating is: (5)", tuple(map(str, range(1, 11)))
    [rated] = ask(model, user(said, choices=choices, begin="The rating is: ("))
    assert set(rated.choice_logprobs) == set(choices[:-1])
    [ten] = ask(model, user(said, choices=("0",), begin="The rating is: (1"))
    assert 0 < math.exp(ten.choice_logprobs["0"]) < 1


def test_an_answer_ends_with_any_token_that_the_model_s_settings_name(tmp_path: Path) -> None:
    """Of chat models whose turns end with another token than their tokenizer's own end."""
    import json

    from cai.models.bundled import ensure

    for each in Path(ensure("smollm2-135m")).iterdir():
        (tmp_path / each.name).symlink_to(each)
    (tmp_path / "generation_config.json").unlink(missing_ok=True)
    made = Local(ModelSpec("policy", local=str(tmp_path), max_len=64))
    ends = [made.tokenizer.eos_token_id, made.tokenizer.encode(" Paris")[0]]
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": ends}))
    model = Local(ModelSpec("policy", local=str(tmp_path), max_len=64))
    [reply] = ask(model, user("What is the capital of France?", max_tokens=24, temperature=0.0))
    assert reply.finishes == ("stop",)
    assert reply.texts[0].endswith(" is")


def test_a_nucleus_is_that_of_the_tempered_probabilities(model: Local) -> None:
    """As other servers have it: at a high temperature many tokens share the half that at 1 one token has alone."""
    asked = {"begin": "The capital of", "max_tokens": 1, "top_p": 0.5, "n": 8, "seed": 1}
    flat, sharp = (
        ask(model, user("What is the capital of France?", temperature=heat, **asked))[0] for heat in (5.0, 1.0)
    )
    assert len(set(sharp.texts)) == 1
    assert len(set(flat.texts)) > 4


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            UnpicklingError("Weights only load failed, see weights_only\nmore"),
            "holds pickled weights with code in them",
        ),
        (SafetensorError("header too large"), "cannot be loaded: header too large$"),
        (KeyError("num_heads"), "cannot be loaded: 'num_heads'$"),
        (RuntimeError("sizes\nof many layers"), "cannot be loaded: sizes$"),
    ],
)
def test_a_damaged_model_is_one_sentence(tmp_path: Path, error: Exception, words: str) -> None:
    class Auto:
        @staticmethod
        def from_pretrained(*_: object, **more: object) -> None:
            assert more["trust_remote_code"] is False
            raise error

    with pytest.raises(UserError, match=rf"models\.policy\.local: {tmp_path} {words}"):
        load(ModelSpec("policy", local=str(tmp_path)), Auto, "left")


THINKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{% if m.reasoning_content %}<think>\n{{ m.reasoning_content }}\n</think>\n\n"
    "{% endif %}{{ m.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
)


def test_a_verdict_is_forced_after_the_thought_that_the_template_closes(
    model: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    real = model.batches.ask

    async def seeing(request: Request) -> Reply:
        seen.append(request.prompt + request.begin)
        return await real(request)

    monkeypatch.setattr(model.batches, "ask", seeing)
    monkeypatch.setattr(model.tokenizer, "chat_template", THINKS)
    [reply] = ask(model, user("Is it (A)?", choices=("A", "B"), begin="The answer is: (", thought="It may be."))
    assert seen == [
        "<|im_start|>user\nIs it (A)?<|im_end|>\n<|im_start|>assistant\n<think>\nIt may be.\n</think>\n\nThe answer is: ("
    ]
    assert set(reply.choice_logprobs) == {"A", "B"}


def test_a_thought_has_tokens_of_its_own_and_one_that_takes_them_all_is_closed(
    model: Local, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.tokenizer, "chat_template", THINKS)
    monkeypatch.setattr(model, "limit", 80)
    [reply] = ask(model, user("Which bread rises fastest?", max_tokens=8, temperature=0.0, stop=("e",)))
    assert model.thinks
    assert "e" in reply.thinking[0]  # a stop ends no thought
    assert reply.texts[0] and "e" not in reply.texts[0]
    assert (reply.counts, reply.finishes) == ({"thoughts": 1, "thoughts_closed": 1}, ("stop",))
    prompt = len(
        model.template.ids(model.template.prompt(({"role": "user", "content": "Which bread rises fastest?"},)))
    )
    room = 80 - prompt - 2 * 8 - 16
    assert room > 0 and reply.tokens_out <= room + 2 * 8


def test_an_answer_after_a_thought_is_as_long_as_it_may_be(model: Local) -> None:
    output = "So.\n</think>\n\nRye rises slowly, as it has little gluten."
    request = Request(prompt="<|im_start|>assistant\n<think>\n", max_tokens=4, budget=40)
    cut, _ = model._sample([*model.template.ids(output), model.tokenizer.eos_token_id], request)
    assert (cut.thinking, cut.finish) == ("So.", "length")
    assert output.partition("\n\n")[2].startswith(cut.text)
    assert len(model.template.ids(cut.text)) == 4
    whole, _ = model._sample(
        [*model.template.ids(output), model.tokenizer.eos_token_id], replace(request, max_tokens=40)
    )
    assert (whole.text, whole.finish) == ("Rye rises slowly, as it has little gluten.", "stop")
    open, _ = model._sample(model.template.ids("Rye is a cereal, so"), request)
    assert (open.text, open.finish) == ("", "thinking")


def test_an_answer_that_nobody_waits_for_ends_after_the_token_it_is_at(model: Local) -> None:
    begun, tokens = threading.Event(), 0

    def count(*_: object) -> None:
        nonlocal tokens
        tokens += 1
        begun.set()

    async def scene() -> Reply:
        stopped = asyncio.create_task(model.ask(user("Count to a thousand.", max_tokens=450), "row"))
        await asyncio.to_thread(begun.wait)
        stopped.cancel()
        return await model.ask(user("Hi.", max_tokens=1), "row")

    hook = model.model.register_forward_hook(count)
    try:
        assert asyncio.run(scene()).tokens_out == 1
    finally:
        hook.remove()
    assert tokens < 100
