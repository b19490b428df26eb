"""Rows of the shapes that public sets and odd exports have: each is asked as it was meant, or left out with its reason."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from cai.data.account import Account
from cai.data.prompts import PromptSource, with_keys
from cai.errors import UserError
from cai.stages import pairs
from cai.stages.pairs import Pairs
from cai.store.rows import Drop, Message, Pair

MARVIN = [
    {"role": "system", "content": "Marvin sighs."},
    {"role": "user", "content": "How are you?"},
    {"role": "assistant", "content": "Don't ask."},
]
LLAMA = "<|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|><|start_header_id|>assistant<|end_header_id|>"
CALL = [{"from": "human", "value": "Rain?"}, {"from": "gpt", "value": "<tool_call>{}</tool_call>"}]
BEFORE = [{"role": "user", "content": "Bake?"}, {"role": "assistant", "content": "Yes."}]


def turns(*texts: str, system: str = "") -> tuple[Message, ...]:
    """A conversation, the person's turn first."""
    said = [{"role": "assistant" if n % 2 else "user", "content": text} for n, text in enumerate(texts)]
    return (*([{"role": "system", "content": system}] if system else []), *said)


def lines(path: Path, rows: Sequence[object]) -> Path:
    path.write_text("".join(json.dumps(each) + "\n" for each in rows))
    return path


def outcomes(path: Path, **more: Any) -> list[object]:
    """Of each row the messages, or the reason why not."""
    rows = with_keys({"redteam": [PromptSource(str(path), **more)]}, accounts=[])
    return [row.reason if isinstance(row, Drop) else row.messages for row, _ in rows]


def outcome(tmp_path: Path, row: dict[str, Any], column: str) -> object:
    """What becomes of one row."""
    source, accounts = PromptSource(str(lines(tmp_path / "p.jsonl", [row]))), list[Account]()
    source = replace(source, column=column) if column else source
    try:
        [(prompt, _)] = with_keys({"redteam": [source]}, accounts=accounts)
    except UserError:  # there is no other
        [reason] = accounts[0].drops
        return reason
    return "" if isinstance(prompt, Drop) else prompt.messages


@pytest.mark.parametrize(
    ("row", "column", "messages"),
    [
        ({"conversation": [{"input": "Rye?", "output": "Sour."}, {"input": "So?", "output": "So."}]}, "", 3),
        ({"conversation": [["human", "Rye?"], ["gpt", "Sour."], ["human", "So?"]]}, "", 3),
        (
            {"contents": [{"role": "user", "parts": [{"text": "Rye"}, {"text": "?"}]}, {"role": "model", "parts": []}]},
            "contents",
            1,
        ),
        ({"contents": [{"role": "user", "parts": [{"text": "Rye?"}]}], "system": ""}, "contents", 1),
        ({"q": "So?", "history": [["user", "Rye?"], ["assistant", "Sour."]]}, "q", 3),
        ({"q": "So?", "history": [*turns("Rye?", "Sour.", "So?")]}, "q", 3),
        ({"messages": [{"role": "system", "content": " "}, *turns("Rye?")]}, "", 1),
        ({"messages": "\n".join(map(json.dumps, turns("Rye?", "Sour.")))}, "", 1),
        ({"q": "Rye?", "image": {"bytes": None, "path": None}, "photo": "None"}, "q", 1),
        ({"q": "Rye?", "images": [None], "video": False}, "q", 1),
        ({"text": "Rye?", "role": "prompter", "parent_id": None}, "text", 1),
    ],
)
def test_forms_of_public_sets_are_read(tmp_path: Path, row: dict[str, Any], column: str, messages: int) -> None:
    assert outcome(tmp_path, row, column) == turns("Rye?", "Sour.", "So?")[:messages]


@pytest.mark.parametrize(
    ("row", "column", "messages"),
    [
        ({"prompt": "How are you?", "messages": MARVIN}, "", turns("How are you?", system="Marvin sighs.")),
        ({"prompt": "Another?", "messages": MARVIN}, "", turns("Another?")),
        ({"prompt": "Rye?", "messages": MARVIN, "system": "Bake."}, "", turns("Rye?", system="Bake.")),
        ({"q": "Rye?", "system": [{"type": "text", "text": "Bake."}]}, "q", turns("Rye?", system="Bake.")),
        ({"q": "Rye?", "system": {"role": "system", "content": "Bake."}}, "q", turns("Rye?", system="Bake.")),
        ({"Instruction": "Sum up.", "Input": "A tale."}, "Instruction", turns("Sum up.\n\nA tale.")),
        ({"Q": "Rye?", "System": "Bake.", "Context": "Bread."}, "Q", turns("Bread.\n\nRye?", system="Bake.")),
        ({"instruction": "Go.", "input": "<noinput>", "system": "None"}, "instruction", turns("Go.")),
        ({"instruction": "Go.", "input": "N/A", "context": "nan", "history": "null"}, "instruction", turns("Go.")),
    ],
)
def test_what_belongs_to_a_question_is_asked_and_what_says_nothing_is_not(
    tmp_path: Path, row: dict[str, Any], column: str, messages: tuple[Message, ...]
) -> None:
    assert outcome(tmp_path, row, column) == messages


@pytest.mark.parametrize(
    ("row", "column", "reason"),
    [
        ({"text": "Because.", "role": "assistant"}, "text", "no_person_turn"),
        ({"turns": [{"from": "system", "value": "Bake."}]}, "turns.0.value", "no_person_turn"),
        ({"text": "And now?", "role": "prompter", "parent_id": "b7"}, "text", "no_thread"),
        ({"conversations": CALL}, "", "unreadable_tools"),
        ({"conversations": [["user", "Rain?"], ["tool", "7"]]}, "", "unreadable_tools"),
        (
            {
                "messages": [
                    *turns("Rain?"),
                    {"role": "assistant", "content": 'Yes: <tool_call>{"name": "w"'},
                    *turns("So?"),
                ]
            },
            "",
            "tool_call",
        ),
        ({"q": "What is it?", "image_path": "a.png"}, "q", "needs_image"),
        ({"q": "What is it?", "img": "a.png"}, "q", "needs_image"),
        ({"q": "What is it?", "image_id": 7}, "q", "needs_image"),
        ({"q": "What is it?", "video_file": "a.mp4"}, "q", "needs_video"),
        ({"q": "<image>\nWhat is it?"}, "q", "needs_image"),
        ({"q": "What is it?\n<audio>"}, "q", "needs_audio"),
        ({"q": "\u200b \ufeff"}, "q", "no_prompt"),
        ({"q": "nan"}, "q", "no_prompt"),
        ({"q": '["Rye?", "So?"]'}, "q", "no_roles"),
        ({"q": "['Rye?', 'So?']"}, "q", "no_roles"),
        ({"q": json.dumps({"model": "m", "messages": BEFORE})}, "q", "no_text"),
        ({"q": "Human: Rye?\n\nAssistant: Sour.\nHuman: So?"}, "q", "unclear_turns"),
        ({"q": "Human: Rye?\nAssistant: Sour.\n\nHuman: So?"}, "q", "unclear_turns"),
        ({"q": "Human: Rye?\n\nAI: Sour.\n\nHuman: So?"}, "q", "unclear_turns"),
        ({"q": "Human: Rye?\\n\\nAssistant: Sour."}, "q", "unclear_turns"),
        ({"q": "HUMAN: Rye?\n\nASSISTANT: Sour."}, "q", "unknown_transcript"),
        ({"q": "System: Bake.\nHuman: Rye?\nAssistant:"}, "q", "unknown_transcript"),
        ({"q": "### User:\nRye?\n\n### Assistant:\n"}, "q", "unknown_transcript"),
        ({"q": "<|system|>\nBake.</s>\n<|user|>\nRye?</s>\n<|assistant|>"}, "q", "unknown_transcript"),
        ({"q": "<|prompter|>Rye?<|endoftext|><|assistant|>"}, "q", "unknown_transcript"),
        ({"q": "<human>: Rye?\n<bot>: Sour."}, "q", "unknown_transcript"),
        ({"q": LLAMA}, "q", "unknown_transcript"),
        ({"q": "A chat between a baker and an assistant. USER: Rye? ASSISTANT:"}, "q", "unknown_transcript"),
        ({"q": "GPT4 Correct User: Rye?<|end_of_turn|>GPT4 Correct Assistant:"}, "q", "unknown_transcript"),
    ],
)
def test_what_would_be_asked_wrong_is_left_out(tmp_path: Path, row: dict[str, Any], column: str, reason: str) -> None:
    assert outcome(tmp_path, row, column) == reason


@pytest.mark.parametrize(
    "text",
    [
        "User: what does this column mean?",
        "AI: is it safe?",
        "Q: 2+2?\nA:",
        "### Input\nRye.\n\n### Output format\nJSON",
        "<|endoftext|> means what?",
        "User: ann\nModel: T14\nMend my laptop.",
        "['Rye', 'oats'] + ['malt'] in Python?",
        "Explain [INST] in a template.",
        "Why <image> in HTML?\nAnd <img>?",
        "Write a scene.\n\nHuman: Rye?\n\nAssistant: Sour.",
        "[1, 2]",
        '{"kind": "button", "label": "OK"}',
        "N/A is what my table says. Why?",
    ],
)
def test_plain_questions_stay_as_they_are(tmp_path: Path, text: str) -> None:
    assert outcome(tmp_path, {"q": text}, "q") == turns(text)


def test_a_context_can_be_named_or_left_out(tmp_path: Path) -> None:
    row = {"prompt": "Rye?", "context": "standard", "passage": "Bread is sour."}
    path = lines(tmp_path / "p.jsonl", [row])
    assert outcomes(path) == [turns("standard\n\nRye?")]
    assert outcomes(path, context="") == [turns("Rye?")]
    assert outcomes(path, context="passage") == [turns("Bread is sour.\n\nRye?")]
    path = lines(tmp_path / "pairs.jsonl", [{**row, "chosen": "Yes.", "rejected": "No."}])
    for context, messages in (("", turns("Rye?")), ("passage", turns("Bread is sour.\n\nRye?"))):
        [pair] = pairs.read(Pairs(str(path), columns={"context": context}))
        assert isinstance(pair, Pair) and pair.messages == messages


def test_tools_can_be_named_or_left_out(tmp_path: Path) -> None:
    path = lines(
        tmp_path / "p.jsonl", [{"prompt": "Saw?", "tools": "hammer", "can": '[{"name": "saw"}]'}, {"prompt": "Rye?"}]
    )
    assert outcomes(path) == ["unreadable_tools", turns("Rye?")]
    assert outcomes(path, tools="") == [turns("Saw?"), turns("Rye?")]
    first, _ = outcomes(path, tools="can")
    assert isinstance(first, tuple) and [each["role"] for each in first] == ["tools", "user"]


def test_arrow_s_own_types_are_read(tmp_path: Path) -> None:
    turn = pa.struct([("role", pa.large_string()), ("content", pa.string()), ("images", pa.list_(pa.binary()))])
    said = [{"role": "user", "content": "Rye?", "images": None}, {"role": "assistant", "content": "Sour."}]
    table = pa.table(
        {
            "prompt": pa.array([None, "So?", None]).dictionary_encode(),
            "messages": pa.array([said, None, None], pa.large_list(turn)),
            "system": pa.array(["Bake.", "nan", None], pa.large_string()),
            "time": pa.array([1, 2, 3], pa.timestamp("ns")),
            "nothing": pa.nulls(3),
        }
    )
    parquet.write_table(table, tmp_path / "p.parquet")
    assert outcomes(tmp_path / "p.parquet") == [turns("Rye?", system="Bake."), turns("So?"), "no_prompt"]


@pytest.mark.parametrize(
    ("row", "messages"),
    [
        ({"context": "It rains.", "query": "Why?"}, turns("It rains.\n\nWhy?")),
        ({"input": "It rains.", "query": "Why?"}, turns("Why?")),
        ({"instruction": "Why?", "input": "<noinput>"}, turns("Why?")),
        ({"prompt": "Why?", "system": "nan"}, turns("Why?")),
        ({"prompt": "How are you?", "messages": MARVIN[:2]}, turns("How are you?", system="Marvin sighs.")),
    ],
)
def test_the_question_of_a_pair_is_the_question(
    tmp_path: Path, row: dict[str, Any], messages: tuple[Message, ...]
) -> None:
    [pair] = pairs.read(Pairs(str(lines(tmp_path / "p.jsonl", [{**row, "chosen": "So.", "rejected": "No."}]))))
    assert isinstance(pair, Pair) and pair.messages == messages


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"chosen": "So.", "rejected": "nan"}, "empty_answer"),
        ({"chosen": "So.", "rejected": "No.", "image_url": "a.png"}, "needs_image"),
        ({"chosen": [["user", "Why?"], ["gpt", "So."]], "rejected": "No."}, "other_conversations"),
    ],
)
def test_a_pair_that_would_be_half_is_left_out(tmp_path: Path, row: dict[str, Any], reason: str) -> None:
    good = {"prompt": "Why?", "chosen": "Yes.", "rejected": "No."}
    _, drop = pairs.read(Pairs(str(lines(tmp_path / "p.jsonl", [good, {"prompt": "Why?", **row}]))))
    assert isinstance(drop, Drop) and drop.reason == reason


@pytest.mark.parametrize("bad", [{"response": ""}, {"response": "half \ud83d"}, {"response": "Hm.", "score": None}])
def test_one_bad_completion_leaves_the_pairs_of_the_others(tmp_path: Path, bad: dict[str, Any]) -> None:
    completions = [{"response": f"Answer {n}.", "fine-grained_score": n} for n in range(3)]
    completions.insert(1, {"fine-grained_score": bad.get("score", 2.5), **bad})
    rows = list(
        pairs.read(Pairs(str(lines(tmp_path / "p.jsonl", [{"instruction": "Go.", "completions": completions}]))))
    )
    kept = [row for row in rows if isinstance(row, Pair)]
    assert {(row.a.text, row.b.text) for row in kept} | {(row.b.text, row.a.text) for row in kept} == {
        (f"Answer {m}.", f"Answer {n}.") for m in range(3) for n in range(3) if m != n
    }
    assert len(rows) - len(kept) == 1


def test_a_named_context_belongs_to_each_pair_of_a_known_set(tmp_path: Path) -> None:
    completions = [{"response": f"Answer {n}.", "fine-grained_score": n} for n in range(2)]
    path = lines(tmp_path / "p.jsonl", [{"instruction": "Go.", "completions": completions, "passage": "Bread."}])
    [pair] = pairs.read(Pairs(str(path), columns={"context": "passage"}))
    assert isinstance(pair, Pair) and pair.messages == turns("Bread.\n\nGo.")


def test_one_bad_answer_of_a_choice_leaves_the_others(tmp_path: Path) -> None:
    row = {"prompt": "2+2?", "corrects": ["4", ""], "incorrects": ["5", "6"]}
    rows = list(pairs.read(Pairs(str(lines(tmp_path / "p.jsonl", [row])))))
    assert [row.reason if isinstance(row, Drop) else "" for row in rows] == ["", "", "empty_answer"]


def test_thinking_and_a_question_said_again_are_told(tmp_path: Path) -> None:
    question = "Why is bread from rye flour sour, and not sweet?"
    row = {"prompt": question, "chosen": f"{question} <think>Hm.</think>Acid.", "rejected": f"{question} Who knows."}
    account = Account("p", "pairs")
    list(pairs.read(Pairs(str(lines(tmp_path / "p.jsonl", [row]))), account))
    assert "  1 row with thinking (<think>), which stays as text" in account.lines()
    assert "  1 row with the question again at the beginning of both answers" in account.lines()


def test_an_id_may_be_nought(tmp_path: Path) -> None:
    path = lines(tmp_path / "p.jsonl", [{"id": n, "prompt": f"{n}?"} for n in (0, 1, "", None)])
    rows = [row for row, _ in with_keys({"redteam": [PromptSource(str(path))]})]
    assert [row.id for row in rows][:2] == ["0", "1"]
    assert len({row.id for row in rows}) == 4


@pytest.mark.parametrize("key", ["id", "track", "system", "context", "tools"])
def test_a_column_that_is_named_and_in_no_row_is_said(tmp_path: Path, key: str) -> None:
    path = lines(tmp_path / "p.jsonl", [{"prompt": f"{n}?", "be": {"kind": None}} for n in range(2)])
    with pytest.raises(UserError, match=rf'no row has the column "sytem"; name one of: prompt, be \(key `{key}`\)'):
        outcomes(path, **{key: "sytem"})
    assert len(outcomes(path, **{key: "be.kind"})) == 2
    path = lines(tmp_path / "pairs.jsonl", [{"prompt": "Rye?", "chosen": "Yes.", "rejected": "No."}])
    if key not in ("id", "track"):
        with pytest.raises(UserError, match=r'no row has the column "sytem"; name one of: prompt, chosen, rejected'):
            list(pairs.read(Pairs(str(path), columns={key: "sytem"})))
