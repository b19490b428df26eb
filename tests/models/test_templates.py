"""Chat templates of many families: what is asked, which tokens are learnt, what is scored, and what is told of them."""

from typing import Any

import pytest
from families import CHATML_ASKED, FAMILIES, Family, generation, tokenizer

from cai.errors import RowError
from cai.models.harmless import TOOL
from cai.models.lessons import Lesson, lesson, thought_tokens
from cai.models.template_faults import CALL, faults
from cai.models.templates import ChatTemplate
from cai.models.thoughts import parts_of

PROMPT = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Yo"},
    {"role": "user", "content": "Late?"},
]
YES = {"role": "assistant", "content": "Yes."}


def template(name: str, **options: Any) -> ChatTemplate:
    family = FAMILIES[name]
    reads = tokenizer(family)
    return ChatTemplate(reads, generation(family, reads), {**family.options, **options})


def marked(of: ChatTemplate, found: Lesson) -> str:
    """The trained tokens, each in brackets."""
    return "".join(f"[{of.tokenizer.decode([token])}]" for token in found.answer)


def agrees(text: str, wanted: str) -> bool:
    return text.endswith(wanted[1:]) if wanted.startswith("…") else text == wanted


def plain(family: Family) -> str:
    return family.learnt.removeprefix("[").removesuffix("]").replace("][", "")


@pytest.mark.parametrize("name", FAMILIES)
def test_a_template_asks_teaches_and_scores(name: str) -> None:
    """Trained on is what a model has to write after the very tokens with which it is asked, to the end of its turn."""
    of, family = template(name), FAMILIES[name]
    found = lesson(of, PROMPT, YES)
    assert found.has_end
    assert agrees(found.prompt_text, family.asked)
    assert found.prompt == of.ids(of.prompt(PROMPT))
    assert marked(of, found) == family.learnt
    assert of.tokenizer.decode(found.prompt + found.answer) == found.prompt_text + found.answer_text
    assert agrees(of.whole([*PROMPT, YES]), family.scored or family.asked + plain(family) + family.behind)
    assert of.score_ids([*PROMPT, YES]) == of.ids(of.whole([*PROMPT, YES]).removesuffix(family.pad))


@pytest.mark.parametrize("name", FAMILIES)
def test_what_is_peculiar_about_a_template_is_told(name: str) -> None:
    found = faults(template(name))
    assert {each.kind for each in found} == FAMILIES[name].faults
    assert all("\n" not in each.text and len(each.text) < 300 for each in found)


def test_the_text_begins_once() -> None:
    """Tokenized as plain text it would begin twice, where template and tokenizer both begin it."""
    of = template("llama-3")
    bos = of.tokenizer.bos_token_id
    asked = of.prompt(PROMPT)
    assert of.tokenizer(asked)["input_ids"][:2] == [bos, bos]
    assert of.ids(asked).count(bos) == 1


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("qwen3", "<think>\nSo.\n</think>\n\nYes.<|im_end|>"),
        ("qwen3.5", "So.\n</think>\n\nYes.<|im_end|>"),
        ("deepseek-r1, distilled", "So.\n</think>\n\nYes.<｜end▁of▁sentence｜>"),
        ("deepseek-v3.1-thinking", "So.</think>Yes.</s>"),
        ("nemotron-3", "So.\n</think>\nYes.<|im_end|>"),
        ("glm-4.5", "\n<think>So.</think>\nYes.<|user|>"),
        (
            "gpt-oss",
            "<|channel|>analysis<|message|>So.<|end|><|start|>assistant<|channel|>final<|message|>Yes.<|return|>",
        ),
        ("lfm2.5", "<think>So.</think>Yes.<|im_end|>"),
    ],
)
@pytest.mark.parametrize("key", ["reasoning_content", "thinking"])
def test_a_thought_is_learnt_where_the_model_would_write_it(name: str, written: str, key: str) -> None:
    of = template(name)
    found = lesson(of, PROMPT, {**YES, key: "So."})
    assert found.answer_text == written
    place = thought_tokens(of, found, {**YES, key: "So."})
    assert of.tokenizer.decode(found.answer[place:]) == written[written.index("Yes.") :]
    silent = lesson(of, PROMPT, {**YES, key: None})
    assert silent.answer_text == plain(FAMILIES[name])
    assert thought_tokens(of, silent, YES) == 0


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("qwen2.5", '<tool_call>\n{"name": "name_of_the_tool", "arguments": {"zone": "UTC"}}\n</tool_call><|im_end|>'),
        ("llama-3.1", '{"name": "name_of_the_tool", "parameters": {"zone": "UTC"}}<|eot_id|>'),
        ("mistral-v3", '[TOOL_CALLS] [{"name": "name_of_the_tool", "arguments": {"zone": "UTC"}}]</s>'),
        ("gpt-oss", ' to=functions.name_of_the_tool<|channel|>commentary json<|message|>{"zone": "UTC"}<|call|>'),
        (
            "glm-4.5",
            "\n<think></think>\n<tool_call>name_of_the_tool\n<arg_key>zone</arg_key>\n<arg_value>UTC</arg_value>\n</tool_call>"
            "<|observation|>",
        ),
    ],
)
@pytest.mark.parametrize("arguments", [{"zone": "UTC"}, '{"zone": "UTC"}'])
def test_a_tool_call_is_learnt_with_its_end(name: str, written: str, arguments: object) -> None:
    call = {"type": "function", "function": {**CALL["function"], "arguments": arguments}}
    found = lesson(
        template(name).with_options([TOOL]), PROMPT, {"role": "assistant", "content": "", "tool_calls": [call]}
    )
    assert found.answer_text == written
    assert found.has_end


@pytest.mark.parametrize(
    ("name", "prompt", "answer", "reason"),
    [
        ("gemma-2", [*PROMPT, PROMPT[1]], YES, "refused_by_template"),
        ("gemma-2", PROMPT, {**YES, "reasoning_content": "So."}, "thought_left_out"),
        ("qwen3 without thinking", PROMPT, {**YES, "reasoning_content": "So."}, "thought_left_out"),
        ("gemma-2", PROMPT, {"role": "assistant", "content": "", "tool_calls": [CALL]}, "tool_calls_left_out"),
        ("deepseek-r1, distilled", PROMPT, {**YES, "content": "It ends </think> so."}, "changed_by_template"),
    ],
)
def test_what_a_template_would_lose_is_not_learnt(
    name: str, prompt: list[dict[str, str]], answer: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RowError) as caught:
        lesson(template(name), prompt, answer)
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("chatml", "<think>So.</think>Yes.<|im_end|>"),
        ("qwen3", "<think>\nSo.\n</think>\n\nYes.<|im_end|>"),
        ("deepseek-r1, distilled", "So.\n</think>\n\nYes.<｜end▁of▁sentence｜>"),
    ],
)
def test_a_thought_within_the_words_is_not_lost(name: str, written: str) -> None:
    assert lesson(template(name), PROMPT, {**YES, "content": "<think>So.</think>Yes."}).answer_text == written


def test_a_system_message_is_asked_wherever_a_template_has_room_for_it() -> None:
    """Gemma refuses one, and this one shows it only while the person has the last word: an answer would be learnt without."""
    assert template("gemma-2").prompt(PROMPT[:2]).startswith("<bos><start_of_turn>user\nBe brief.\n\nHi<end_of_turn>")
    found = lesson(template("mistral-v3"), PROMPT, YES)
    assert "Be brief.\n\nLate?" in found.prompt_text
    assert template("chatml").prompt(PROMPT) == CHATML_ASKED


def test_switching_thinking_changes_what_is_asked_and_learnt_alike() -> None:
    on, off = template("qwen3.5"), template("qwen3.5", enable_thinking=False)
    assert lesson(on, PROMPT, YES).prompt_text.endswith("<think>\n")
    found = lesson(off, PROMPT, YES)
    assert found.prompt_text.endswith("<think>\n\n</think>\n\n")
    assert found.answer_text == "Yes.<|im_end|>"


@pytest.mark.parametrize(
    "text", ["{{ 1 / 0 }}", "{{ messages[0].content + 1 }}", "{% for m in messages %}", "{{ messages | none }}"]
)
def test_a_broken_template_is_one_sentence(text: str) -> None:
    [found] = faults(ChatTemplate(tokenizer(Family(text, "", "", set()))))
    assert found.kind == "unusable"


def test_a_template_without_an_end_says_so() -> None:
    family = Family("{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}", "", "", set())
    of = ChatTemplate(tokenizer(family))
    found = lesson(of, PROMPT[1:], YES)
    assert not found.has_end
    assert of.end == ""
    assert "no_end" in {each.kind for each in faults(of)}


THOUGHTS = {
    "gpt-oss": "<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>final<|message|>Yes.",
    "mistral-v3": "[THINK]Hm.[/THINK]Yes.",
    "chatml": "<think>Hm.</think>Yes.",
}


@pytest.mark.parametrize("name", THOUGHTS)
def test_special_tokens_around_a_thought_are_no_less_there_than_others(name: str) -> None:
    """Left out like the others, they would leave the thought in the answer."""
    of = template(name)
    marks = [mark for mark in ("[THINK]", "[/THINK]", "<think>", "</think>") if mark in THOUGHTS[name]]
    of.tokenizer.add_special_tokens({"extra_special_tokens": marks}, replace_extra_special_tokens=False)
    ids = [*of.ids(THOUGHTS[name]), of.tokenizer.eos_token_id]
    assert parts_of(of.text(ids))[1:] == ("Yes.", False)
    assert not of.text(ids).endswith(of.tokenizer.eos_token)
