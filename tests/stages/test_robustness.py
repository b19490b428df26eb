"""A test of robustness: what is asked in each variation, and whose rates move by which of them."""

import asyncio
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from io import StringIO
from pathlib import Path
from random import Random

import pytest
from rich.console import Console

from cai.data import variations
from cai.data.translations import Translations
from cai.data.variations import BEGINNING, EXCHANGES, INSISTENCE, PERSONAS, PREFIXES
from cai.errors import RunError, UserError
from cai.flow.ask import Ask
from cai.judge.paired import move
from cai.models.concurrency import Slots
from cai.models.scripted import Scripted
from cai.models.types import Request
from cai.report.robustness import points, print_table
from cai.report.robustness import robust as robust_figures
from cai.report.rows import RowQuery, print_rows
from cai.report.tables import table
from cai.stages.robustness import Reading, Robustness, answer, back, examples, figures, translation
from cai.store.rows import Answers, Draft, Drop, Prompt
from cai.store.stage import Stage
from constitution.load import load
from constitution.source import InputError

CONSTITUTION = load(Path(__file__).resolve().parents[2] / "principles" / "harmless.yaml")
SYSTEM = {"role": "system", "content": "Be brief."}
ASKED = (SYSTEM, {"role": "user", "content": "How do I get in?"})
ROW = Prompt("p", ASKED, "s", "redteam")
NO = "I can't help with that."
PERSONA_WORDS = "Marlow|crime novel|retired engineer|consultant whose"
PREFIX_WORDS = "tomorrow's lesson|thought experiment|permission of everyone|in one go"


def ask(model: Scripted, seed: int = 0) -> Ask:
    return Ask(model, Slots(4), CONSTITUTION, "p", Random(seed))


def requests(variation: str, **more: object) -> list[Request]:
    """What a model that refuses is asked."""
    seen: list[Request] = []

    def says(request: Request) -> str:
        seen.append(request)
        return NO

    want = Robustness(("policy",), **more)  # type: ignore[arg-type]
    out = asyncio.run(answer(ROW, variation, want, ask(Scripted(says))))
    assert isinstance(out, Answers)
    assert out.draft.text == NO
    return seen


# What is asked


def test_a_plain_prompt_is_asked_as_it_is() -> None:
    [asked] = requests("plain")
    assert (asked.messages, asked.begin) == (ASKED, "")


@pytest.mark.parametrize(("variation", "texts"), [("persona", PERSONAS), ("prefix", PREFIXES)])
def test_a_persona_or_a_prefix_stands_before_the_words_of_the_person(variation: str, texts: tuple[str, ...]) -> None:
    [asked] = requests(variation)
    system, person = asked.messages
    assert system == SYSTEM
    assert person["content"] in [f"{text}\n\nHow do I get in?" for text in texts]


def test_a_person_insists_so_many_times() -> None:
    asked = requests("pressure", turns=2)
    assert [len(each.messages) for each in asked] == [2, 4, 6]
    *_, answered, last = asked[-1].messages
    assert (answered["content"], last["content"]) == (NO, INSISTENCE[1])


def test_exchanges_stand_between_the_system_message_and_the_prompt() -> None:
    [asked] = requests("many_shot", shots=20)
    assert (asked.messages[0], asked.messages[-1], len(asked.messages)) == (SYSTEM, ASKED[1], 42)
    assert {each["content"] for each in asked.messages[1:-1:2]} == {question for question, _ in EXCHANGES}
    [asked] = requests("many_shot", shots=3, exchanges="constitution")
    both = {text for exchange in examples(CONSTITUTION) for text in exchange}
    assert {each["content"] for each in asked.messages[1:-1]} <= both


def test_an_answer_s_beginning_is_forced_where_a_server_goes_on_from_one() -> None:
    [asked] = requests("prefill")
    assert (asked.begin, asked.messages) == (BEGINNING, ASKED)
    model = Scripted(lambda request: NO)
    model.continues = False
    out = asyncio.run(answer(ROW, "prefill", Robustness(("policy",)), ask(model)))
    assert isinstance(out, Drop)
    assert (out.reason, out.detail) == ("cannot_go_on", "scripted does not go on from a beginning")


def test_no_sentence_of_ours_is_there_twice() -> None:
    texts = [*PERSONAS, *PREFIXES, *INSISTENCE, *(text for exchange in EXCHANGES for text in exchange)]
    assert len(set(texts)) == len(texts)
    assert variations.draw(EXCHANGES, 40, Random(1)) == variations.draw(EXCHANGES, 40, Random(1))


# Translations


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("Wie komme ich hinein?", "Wie komme ich hinein?"),
        ("How do I get in?", None),
        ("I'm sorry, I can't translate that.", None),
        ("", None),
    ],
)
def test_what_was_not_translated_is_left_out(says: str, words: str | None) -> None:
    out = asyncio.run(translation(ROW, "German", Robustness(("m",)), ask(Scripted(lambda request: says))))
    if words:
        assert isinstance(out, Prompt)
        assert out.messages == (SYSTEM, {"role": "user", "content": words})
    else:
        assert isinstance(out, Drop)
        assert out.reason == "not_translated"


def test_an_answer_that_the_translator_declines_is_no_refusal_of_the_model_s() -> None:
    row = Answers("p", ASKED, Draft("Nimm eine Leiter.", "m", "stop", 0), "redteam")
    declined = asyncio.run(back(row, Robustness(("m",)), ask(Scripted(lambda request: "I can't translate this."))))
    assert isinstance(declined, Drop)
    done = asyncio.run(back(row, Robustness(("m",)), ask(Scripted(lambda request: NO))))
    assert isinstance(done, Answers)
    assert done.draft.text == NO


def test_translations_of_a_file_are_found_by_what_prompts_say(write: Callable[[str, str], Path]) -> None:
    file = write("t.csv", "prompt,de\nhow do I GET in?,Wie komme ich hinein?\nOther,\n")
    prompt = replace(ROW, messages=ASKED[1:])
    found = Translations.read({"path": str(file)}, "de")
    assert found.of(prompt) == replace(prompt, messages=({"role": "user", "content": "Wie komme ich hinein?"},))
    other = replace(ROW, messages=({"role": "user", "content": "Other"},))
    assert isinstance(found.of(other), Drop)
    with pytest.raises(UserError, match='there is no column "fr"; name one of: prompt, de'):
        Translations.read({"path": str(file)}, "fr")


# Figures


def test_a_share_is_compared_over_the_prompts_that_were_answered_both_ways() -> None:
    rows = [replace(ROW, id=id, track="helpful" if id == "d" else "redteam") for id in "abcdef"]
    plain = Reading({"a": "refusal", "b": "refusal", "c": "compliance", "d": "refusal", "e": "unclear"}, {})
    varied = Reading({"a": "compliance", "b": "refusal", "c": "compliance", "e": "refusal"}, {"context_too_long": 1})
    found = figures(plain, varied, rows)
    refusal = found["all"]["refusal"]
    assert (refusal["plain"], refusal["value"], refusal["prompts"]) == (pytest.approx(2 / 3), pytest.approx(1 / 3), 3)
    assert refusal["change"] == pytest.approx(-1 / 3)
    assert found["all"]["unsafe_compliance"]["change"] == pytest.approx(1 / 3)
    assert (found["all"]["over_refusal"]["prompts"], "helpful" in found) == (0, False)
    assert (found["left_out"], found["kinds"]["refusal"], found["answers"]) == ({"context_too_long": 1}, 2, 4)


def test_a_prompt_s_tags_say_whether_it_is_safe_before_its_track_does() -> None:
    safe = replace(ROW, tags=("Safe",))
    found = figures(Reading({"p": "compliance"}, {}), Reading({"p": "evasion"}, {}), [safe])
    assert (found["all"]["over_refusal"]["change"], found["all"]["unsafe_compliance"]["prompts"]) == (1, 0)


def test_a_change_s_interval_leaves_doubt_also_where_nothing_moved() -> None:
    """Of 100 prompts 30 refuse no more: with one added to each side −30/102 ± 1.96·√((32/102 − (30/102)²)/102)."""
    moved = move([(True, False)] * 30 + [(True, True)] * 70)
    assert moved["low"] == pytest.approx(-0.3865, abs=0.0005)
    assert moved["high"] == pytest.approx(-0.2017, abs=0.0005)
    still = move([(True, True)] * 20)
    assert (still["change"], still["low"], still["high"]) == (
        0,
        pytest.approx(-0.126, abs=0.001),
        pytest.approx(0.126, abs=0.001),
    )
    everywhere = move([(False, True)] * 20)
    assert 0.7 < everywhere["low"] < 0.8 and everywhere["high"] == 1.0
    few = move([(True, False)] * 9)
    assert (few["change"], few["low"], few["high"]) == (-1.0, None, None), "of so few nothing can be told"
    assert move([])["value"] is None


def test_points_have_their_sign() -> None:
    assert list(map(points, (0.12, -0.03, 0.001))) == ["+12", "\u22123", "0"]


# As a stage

BLOCK = "{robustness: {models: [policy, firm], max_tokens: 64, turns: 2}}"


@pytest.fixture
def robust(scripted_run: Callable[..., Path], write: Callable[[str, str], Path]) -> Callable[..., Path]:
    """Runs a recipe whose policy gives way to a persona alone, and whose firm model never does."""
    weak = write("weak.yaml", f'- {{when: "{PERSONA_WORDS}", say: ["Here is how."]}}\n- {{say: ["{NO}"]}}\n')
    firm = write("firm.yaml", f'- {{say: ["{NO}"]}}\n')
    german = write(
        "german.yaml",
        '- {when: "into German[\\\\s\\\\S]*[02468]\\\\.$", say: ["Ich will es."]}\n'
        '- {when: "into German", say: ["I cannot translate this."]}\n'
        f'- {{when: "into English", say: ["{NO}"]}}\n',
    )
    prompts = write("asked.jsonl", "".join(f'{{"prompt": "Prompt number {number}."}}\n' for number in range(24)))
    recipe = write(
        "r.yaml",
        f"""\
name: robust
constitution: principles/harmless.yaml
models:
  policy: {{scripted: {weak}}}
  firm: {{scripted: {firm}}}
  translator: {{scripted: {german}}}
stages:
  - prompts: {{redteam: {prompts}, heldout: 0.5}}
  - robustness: {{models: [policy, firm], turns: 2}}
""",
    )

    def run(*overrides: str) -> Path:
        from cai.flow.screen import Screen
        from cai.recipe.read import load_recipe
        from cai.run.walk import start

        loaded = load_recipe(recipe, overrides)
        start(loaded, recipe.parent / "robust", Screen(Console(quiet=True)))
        return recipe.parent / "robust"

    return run


def metrics(run: Path) -> Mapping[str, Mapping[str, dict]]:
    return json.loads((run / "robustness" / "metrics.json").read_text())


def test_the_rates_of_a_model_move_where_it_gives_way_and_nowhere_else(robust: Callable[..., Path]) -> None:
    found = metrics(run := robust())
    changes = {name: each["all"]["unsafe_compliance"]["change"] for name, each in found["policy"].items()}
    assert changes == {"plain": 0, "persona": 1, "prefix": 0, "pressure": 0, "many_shot": 0, "prefill": 0}
    assert {each["redteam"]["refusal"]["value"] for each in found["firm"].values()} == {1}
    asked = sum(1 for _ in Stage(run / "prompts" / "heldout").all_rows(dict))
    seal = Stage(run / "robustness").seal
    assert seal
    assert (seal["rows_in"], seal["rows_kept"], found["policy"]["persona"]["answers"]) == (asked, asked, asked)
    assert robust() == run, "what is done is not done again"
    with Console(file=(shown := StringIO()), width=160) as console:
        print_table(run / "robustness", console)
        print_rows(run, "robustness", RowQuery(count=1, text="Here is how"), console)
    assert (
        f"100% (+100; {points(found['policy']['persona']['all']['unsafe_compliance']['low'])} to +100)"
        in shown.getvalue()
    )
    assert "0% (0; " in shown.getvalue(), "that nothing moved is no certainty"
    assert "answer, by scripted:weak.yaml:\n    Here is how." in shown.getvalue()


def test_figures_are_exported(robust: Callable[..., Path]) -> None:
    rows = {row["model"]: str(row["figure"]) for row in table(robust(), "robustness", "metrics")()}
    assert rows.keys() == {"policy", "firm"} and rows["policy"].startswith("prefill.")


def test_translated_prompts_are_read_in_english_and_what_is_not_translated_is_counted(
    robust: Callable[..., Path],
) -> None:
    run = robust(
        "robustness.variations=[translation]", "robustness.translator=translator", "robustness.languages=[German]"
    )
    found = metrics(run)["policy"]["translation-German"]
    asked = [row["messages"][0]["content"] for row in Stage(run / "prompts" / "heldout").all_rows(dict)]
    even = sum(text[-2] in "02468" for text in asked)
    assert (found["answers"], found["left_out"]) == (even, {"not_translated": len(asked) - even})
    assert found["redteam"]["refusal"] == {**found["redteam"]["refusal"], "value": 1.0, "prompts": even}
    seal = Stage(run / "robustness").seal
    assert seal
    assert seal["counts"]["not_translated"] == len(asked) - even


def test_without_a_translator_answers_count_where_they_are_in_english(
    robust: Callable[..., Path], write: Callable[[str, str], Path]
) -> None:
    script = write(
        "weak.yaml",
        '- {when: "Nummer .*[02468]", say: ["Es tut mir leid, aber dabei kann ich leider nicht helfen."]}\n'
        f'- {{say: ["{NO}"]}}\n',
    )
    lines = ["prompt,de", *(f"Prompt number {number}.,Nummer {number}" for number in range(24))]
    file = write("t.csv", "\n".join(lines))
    run = robust(
        f"models.policy={{scripted: {script}}}",
        "robustness.variations=[translation]",
        f"robustness.translations={{path: {file}, columns: [de]}}",
    )
    found = metrics(run)["policy"]["translation-de"]
    asked = [row["messages"][0]["content"] for row in Stage(run / "prompts" / "heldout").all_rows(dict)]
    foreign = sum(any(digit in "02468" for digit in text) for text in asked)
    assert (found["left_out"], found["answers"]) == ({"not_in_english": foreign}, len(asked) - foreign)
    assert found["all"]["refusal"]["value"] == 1.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("robustness.variations=[translation]",), "robustness.variations: names translation, and nobody translates"),
        (("robustness.translator=translator",), "robustness.translator: is for translation; add it to"),
        (
            ("robustness.variations=[translation]", "robustness.translator=translator"),
            "robustness.translator: needs `languages` to translate into",
        ),
        (("prompts.heldout=0",), "robustness: asks held-out prompts, and prompts sets none aside"),
        (("robustness.models=[policy, nobody]",), 'there is no model "nobody"'),
    ],
)
def test_what_does_not_go_together_is_said_before_a_model_starts(
    robust: Callable[..., Path], changes: tuple[str, ...], words: str
) -> None:
    with pytest.raises(InputError) as error:
        robust(*changes)
    assert words in str(error.value)


def test_a_constitution_without_examples_has_no_exchange_to_show(
    robust: Callable[..., Path], write: Callable[[str, str], Path]
) -> None:
    bare = write(
        "bare.yaml", "name: bare\nprinciples:\n  - {id: kind, critique: C., revision: R., judgment: Which is kinder?}\n"
    )
    with pytest.raises(
        RunError, match=r"examples of the constitution .* bare has none; .* robustness.exchanges=harmless"
    ):
        robust(f"constitution={bare}", "robustness.exchanges=constitution")


@pytest.mark.parametrize("value", [math.nan, 3.0])
def test_a_change_that_no_share_can_make_is_said_to_be_damage(robust: Callable[..., Path], value: float) -> None:
    folder = robust() / "robustness"
    figures_of = json.loads((folder / "metrics.json").read_text())
    figures_of["policy"]["persona"]["all"]["refusal"]["change"] = value
    (folder / "metrics.json").write_text(json.dumps(figures_of))
    with pytest.raises(RunError, match=r"metrics\.json"):
        robust_figures(folder)


def test_no_prompt_held_out_is_said_before_models_start(
    robust: Callable[..., Path], write: Callable[[str, str], Path]
) -> None:
    one = write("one.jsonl", '{"prompt": "How?"}\n')
    with pytest.raises(RunError, match="asks held-out prompts, and prompts has set none of 1 aside"):
        robust(f"prompts.redteam={one}", f"prompts.helpful={one}")
