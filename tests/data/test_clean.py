"""What is left out of a dataset, and what is not: each check by cases that a person would decide the same way."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cai.data.clean import CHECKS, USUAL, Cleaner, Exchange
from cai.data.leaks import leaks
from cai.errors import UserError
from cai.stages.sft_set import SftSet, sft_set
from cai.store.identity import content_key
from cai.store.rows import Chain, Draft, Drop

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "How do I get a stain of red wine out of a wool carpet?"
GOOD = "Blot it at once with a dry cloth. Then use cold water with a little dish soap, and blot again. Never rub."
WRONG = {
    "meta_talk": [
        "Here is the revised response:\n\nBlot it.",
        f"{GOOD} I have rewritten it to be kinder.",
        "Nothing in the assistant's last answer could get someone injured.",
        "The person's last answer leaves open what to blot it with. Use a cloth.",
        "My last answer is to blot it with a cloth.",
        "The response is: Blot it.",
    ],
    "boilerplate": ["As an AI language model, I cannot see the carpet. Blot it.", "I'm just an AI, but blot it."],
    "near_copy": [GOOD],
    "emoji": [f"{GOOD} 🎉🎉🎉"],
    "loop": ["Blot the stain again. " * 4, "First wet it " + "and then you blot the wool with a cloth " * 3],
    "wrong_language": ["Tupfen Sie den Fleck sofort mit einem trockenen Tuch ab und nehmen Sie dann kaltes Wasser."],
}


def exchange(prompt: str, text: str, former: str = "", language: str = "") -> Exchange:
    """An answer to a single question."""
    return Exchange(({"role": "user", "content": prompt},), text, former, language=language)


@pytest.mark.parametrize(("check", "text"), [(name, text) for name, texts in WRONG.items() for text in texts])
def test_each_check_finds_its_case_and_lets_a_good_answer_pass(check: str, text: str) -> None:
    former = f"{GOOD}" if check == "near_copy" else "Something else was said here before, at some length."
    assert CHECKS[check](exchange(PROMPT, text, former))
    assert not CHECKS[check](exchange(PROMPT, GOOD, "Something else was said here before, at some length."))


def test_what_the_person_brought_up_is_no_fault() -> None:
    assert not CHECKS["boilerplate"](exchange("Are you an AI?", "Yes, as an AI I have no body."))
    assert not CHECKS["meta_talk"](exchange("Please send the revised version.", "Here is the revised version: …"))
    assert not CHECKS["emoji"](exchange("Three cheers 🎉", "🎉🎉🎉🎉 for you!"))


def test_an_earlier_answer_may_be_spoken_of_where_there_is_one_or_the_person_speaks_of_answers() -> None:
    again = (
        {"role": "user", "content": PROMPT},
        {"role": "assistant", "content": GOOD},
        {"role": "user", "content": "?"},
    )
    assert not CHECKS["meta_talk"](Exchange(again, "I am sorry that my last answer was so short."))
    assert not CHECKS["meta_talk"](exchange("What answer does a server send?", "The response is: 200 OK."))
    assert not CHECKS["meta_talk"](exchange("How do I write to him?", "Keep your first reply short."))


def test_a_language_that_the_file_names_counts() -> None:
    german = WRONG["wrong_language"][0]
    for language in ("de-AT", "de", "DE_at"):
        assert not CHECKS["wrong_language"](exchange(PROMPT, german, language=language))
    assert CHECKS["wrong_language"](exchange(PROMPT, german, language="German"))  # no code: told by the prompt's words
    assert not CHECKS["wrong_language"](exchange(PROMPT, "Ja, natürlich."))  # too short to tell


def test_a_leak_is_eight_words_of_an_exemplar_and_not_of_the_conversation() -> None:
    shown = ["I will not help with that, but here is how to lock your own door better."]
    said = "Sure. Here is how to lock your own door better, friend."
    assert leaks(said, shown, PROMPT)
    assert not leaks(said, shown, "Tell me: here is how to lock your own door better.")
    assert not leaks(GOOD, shown, PROMPT)


def chain(number: int, *texts: str, prompt: str = PROMPT) -> Chain:
    drafts = tuple(Draft(text, "m", "stop", 0) for text in texts)
    return Chain(f"p{number}", ({"role": "user", "content": prompt},), drafts, "f", "redteam")


def kept(rows: list[Chain], want: SftSet) -> tuple[list[str], list[str], Counter[str]]:
    """Texts kept, reasons of the rows dropped, and the ledger's counts."""
    counts: Counter[str] = Counter()
    out = list(sft_set(rows, want, counts))
    texts = [example["completion"][0]["content"] for each in out if isinstance(each, list) for example in each]
    return texts, [each.reason for each in out if isinstance(each, Drop)], counts


def test_an_answer_in_the_language_that_the_prompt_s_file_names_is_kept() -> None:
    rows = [
        chain(1, "draft", WRONG["wrong_language"][0]),
        replace(chain(2, "draft", WRONG["wrong_language"][0]), language="de"),
    ]
    texts, reasons, _ = kept(rows, SftSet(hygiene=("wrong_language",)))
    assert (texts, reasons) == ([WRONG["wrong_language"][0]], ["wrong_language"])


def test_a_draft_that_is_wrong_is_left_out_and_its_row_only_when_nothing_is_left() -> None:
    meta = "Here is the revised response: blot it."
    rows = [chain(1, "draft", meta, GOOD), chain(2, "draft", meta)]
    texts, reasons, counts = kept(rows, SftSet())
    assert (texts, reasons) == ([GOOD], ["meta_talk"])
    assert counts["meta_talk_drafts"] == 2
    assert kept(rows, SftSet(hygiene=()))[0] == [meta, GOOD]


@pytest.mark.parametrize(("dedupe", "count"), [("none", 4), ("exact", 3), ("near", 2)])
def test_copies_are_left_out_by_their_words(dedupe: str, count: int) -> None:
    long = " ".join(f"word{number}" for number in range(60))
    rows = [chain(number, "d", text) for number, text in enumerate([long, long.upper(), f"{long} more", GOOD])]
    texts, reasons, _ = kept(rows, SftSet(dedupe=dedupe, hygiene=()))
    assert len(texts) == count
    assert reasons == ["duplicate"] * (4 - count)


HISTORIES = (
    ({"role": "user", "content": "I have a carpet of wool."}, {"role": "assistant", "content": "A fine thing."}),
    ({"role": "user", "content": "I have a carpet of silk."}, {"role": "assistant", "content": "A fine thing."}),
    ({"role": "user", "content": "I have a carpet of wool."}, {"role": "assistant", "content": "A costly thing."}),
    ({"role": "system", "content": "Be short."},),
)
"""Of conversations that end with the same question."""


def test_conversations_that_end_alike_are_no_copies_of_each_other() -> None:
    last = {"role": "user", "content": "How do I clean it?"}
    rows = [
        replace(chain(n, "d", GOOD), messages=(*each, last)) for n, each in enumerate([*HISTORIES, (), HISTORIES[0]])
    ]
    texts, reasons, _ = kept(rows, SftSet())
    assert (len(texts), reasons) == (5, ["duplicate"])


def test_words_do_not_move_between_a_question_and_its_answer() -> None:
    rows = [
        chain(0, "d", "blot it well", prompt="Wool or silk: blot"),
        chain(1, "d", "it well", prompt="Wool or silk: blot blot"),
    ]
    assert kept(rows, SftSet(hygiene=()))[1] == []


def test_calls_of_tools_are_part_of_what_a_conversation_says() -> None:
    def asked(city: str) -> tuple[dict[str, str], ...]:
        call = json.dumps(
            [{"id": "1", "type": "function", "function": {"name": "sky", "arguments": json.dumps({"city": city})}}]
        )
        turns = (
            {"role": "assistant", "content": "", "tool_calls": call},
            {"role": "tool", "content": "rain", "tool_call_id": "1"},
        )
        return ({"role": "user", "content": "And there?"}, *turns)

    assert content_key(asked("Rome")) != content_key(asked("Oslo"))
    rows = [replace(chain(n, "d", GOOD), messages=asked(city)) for n, city in enumerate(("Rome", "Oslo", "rome"))]
    assert kept(rows, SftSet())[1] == ["duplicate"]


@pytest.mark.parametrize(
    ("check", "before", "text"),
    [
        ("boilerplate", "Are you an AI?", "As an AI language model I have no favourite, but most people say blue."),
        (
            "meta_talk",
            "Please send me the revised version of my letter.",
            "Here is the revised version: Dear Ada, come by.",
        ),
        ("emoji", "Three cheers 🎉", "🎉🎉🎉🎉 for you!"),
    ],
)
@pytest.mark.parametrize("role", ["user", "system"])
def test_what_came_up_earlier_is_no_fault(check: str, before: str, text: str, role: str) -> None:
    last = {"role": "assistant", "content": "Yes."}, {"role": "user", "content": "Go on, then."}
    assert not CHECKS[check](Exchange(({"role": role, "content": before}, *last), text))
    assert CHECKS[check](Exchange(({"role": role, "content": "Good day to you."}, *last), text))
    # What the assistant brought up itself is one.
    assert CHECKS[check](
        Exchange(({"role": "user", "content": "Hi."}, {"role": "assistant", "content": before}, last[1]), text)
    )


def test_a_short_last_turn_is_answered_in_the_language_of_those_before() -> None:
    german = "Wie bekomme ich einen Fleck von rotem Wein aus einem Teppich aus Wolle?"
    talk = (
        {"role": "user", "content": german},
        {"role": "assistant", "content": "Tupfen."},
        {"role": "user", "content": "Okay?"},
    )
    assert CHECKS["wrong_language"](Exchange(talk, GOOD))
    assert not CHECKS["wrong_language"](Exchange(talk, WRONG["wrong_language"][0]))
    english = (*talk[:2], {"role": "user", "content": "Could you please say all of that again in English for my wife?"})
    assert not CHECKS["wrong_language"](Exchange(english, GOOD))


def test_near_copies_agree_with_a_plain_count_of_shared_words() -> None:
    """MinHash against the very index it estimates, on made-up answers at known distances."""
    base = [f"w{number}" for number in range(200)]
    for changed, copy in ((1, True), (60, False)):
        cleaner = Cleaner("near", 0.8, (), 13)
        other = [f"x{number}" if number < changed else word for number, word in enumerate(base)]
        assert cleaner.wrong(exchange("a", " ".join(base))) == ""
        assert (cleaner.wrong(exchange("b", " ".join(other))) == "duplicate") is copy


def test_a_closing_sentence_may_come_a_few_times() -> None:
    rows = [chain(n, "d", f"Answer number {n} is this. Let me know if you need more help!") for n in range(20)]
    texts, reasons, counts = kept(rows, SftSet())
    assert len(texts) == 5
    assert reasons == ["repeated_closer"] * 15
    assert counts["repeated_closer_drafts"] == 15


def test_prompts_of_an_evaluation_are_not_learnt_from(tmp_path: Path) -> None:
    held = tmp_path / "eval.jsonl"
    held.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in (PROMPT, "Hi!")))
    asked = [f"{PROMPT} It is my mother's.", "hi", "How do I get a stain of ink out of a shirt?"]
    rows = [chain(number, "d", f"{GOOD} {number}", prompt=prompt) for number, prompt in enumerate(asked)]
    texts, reasons, _ = kept(rows, SftSet(decontaminate=(str(held),), ngram=8))
    assert (texts, reasons) == ([f"{GOOD} 2"], ["contaminated"] * 2)


def test_an_earlier_turn_of_an_evaluation_is_not_learnt_from_either(tmp_path: Path) -> None:
    """Neither where the row goes on from it, as ``sample: {turns: 2}`` does, nor where the evaluation does."""
    more = ({"role": "assistant", "content": "Blot it."}, {"role": "user", "content": "And if it has dried by now?"})
    one, two = tmp_path / "one.jsonl", tmp_path / "two.jsonl"
    one.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in (PROMPT, "Who fixes clocks?")))
    two.write_text(json.dumps({"messages": [{"role": "user", "content": PROMPT}, *more]}) + "\n")
    row = chain(0, "d", GOOD)
    going_on = replace(row, messages=(*row.messages, *more))
    short = replace(chain(1, "d", GOOD, prompt="Who fixes clocks?"), id="p1")
    opening = {"role": "user", "content": "Who fixes clocks?"}
    short = replace(row, messages=(opening, *more))
    other = replace(
        row, messages=({"role": "user", "content": "Is felt wool?"}, more[0], {"role": "user", "content": "Why?"})
    )
    for held, rows in ((one, [going_on]), (one, [short]), (two, [row]), (two, [going_on])):
        assert kept(rows, SftSet(decontaminate=(str(held),)))[:2] == ([], ["contaminated"])
    for held in (one, two):
        assert kept([other], SftSet(decontaminate=(str(held),)))[:2] == ([GOOD], [])


def test_a_set_says_what_it_left_out(scripted_run: Callable[..., Path], write: Callable[[str, str], Path]) -> None:
    lines = (
        (ROOT / "principles" / "prompts" / "redteam.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)[:12]
    )
    held = write("held.jsonl", "".join(lines))
    folder = scripted_run(f"sft_set.decontaminate=[{held}]", "sft_set.dedupe=near", f"prefs.decontaminate=[{held}]")
    ids = {json.loads(line)["id"] for line in lines}
    for stage, reads in (("sft_set", "revise"), ("prefs", "label")):
        rows = [json.loads(line) for part in (folder / reads).glob("part-*.jsonl") for line in part.open()]
        there = [row for row in rows if row["id"].partition("/")[0] in ids and row.get("status", "ok") == "ok"]
        seal = json.loads((folder / stage / "seal.json").read_text())
        assert seal["dropped"]["contaminated"] == len(there) > 0
        assert seal["rows_in"] == seal["rows_kept"] + sum(seal["dropped"].values())


def test_a_file_that_is_not_there_is_a_sentence(scripted_run: Callable[..., Path]) -> None:
    with pytest.raises(ValueError, match=r"sft_set.decontaminate: there is no file nowhere.jsonl"):
        scripted_run("sft_set.decontaminate=[nowhere.jsonl]")


def test_an_evaluation_without_prompts_is_told_of_without_a_key_that_it_has_not(
    scripted_run: Callable[..., Path], write: Callable[[str, str], Path]
) -> None:
    held = write("held.jsonl", '{"instruction": "How do I bake?", "answer": "Slowly."}\n')
    with pytest.raises(
        ValueError, match=r"held.jsonl: .* no column \"prompt\", but instruction, answer; rename in the file"
    ):
        scripted_run(f"prefs.decontaminate=[{held}]")


def test_the_usual_checks_need_nothing_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert set(USUAL) < set(CHECKS)
    monkeypatch.setitem(__import__("sys").modules, "datasketch", None)
    with pytest.raises(UserError, match="needs the package datasketch; run: make install"):
        Cleaner("near", 0.8, (), 13)
    assert replace(SftSet(), dedupe="exact")
