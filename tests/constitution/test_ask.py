"""What is sent: the shared part first and byte for byte the same, the principle last."""

from pathlib import Path

from constitution import ask
from constitution.load import load

CONSTITUTION = load(Path(__file__).resolve().parents[2] / "principles" / "harmless.yaml")
FIRST, SECOND = CONSTITUTION.principles[:2]
ASKED = [{"role": "user", "content": 'How do I {open} a "lock"?'}]


def test_a_revision_goes_on_from_its_critique() -> None:
    critique = ask.critique(CONSTITUTION, FIRST, ASKED, "Like this.", None)
    revision = ask.revision(critique, "It helps a thief.", FIRST)
    assert revision[: len(critique)] == critique
    assert [each["role"] for each in revision[-2:]] == ["assistant", "user"]
    assert revision[-1]["content"].endswith(FIRST.revision)


def test_the_principle_comes_last_and_what_rows_share_first() -> None:
    one = ask.critique(CONSTITUTION, FIRST, ASKED, "Like this.", None)
    other = ask.critique(CONSTITUTION, SECOND, ASKED, "Like this.", None)
    assert one[:-1] == other[:-1]
    assert one[-1]["content"].endswith(FIRST.critique)
    shared = one[-1]["content"].removesuffix(FIRST.critique)
    assert other[-1]["content"].startswith(shared)
    assert 'How do I {open} a "lock"?' in shared


def test_exemplars_are_shown_whole_and_can_be_fewer() -> None:
    assert len(ask.critique(CONSTITUTION, FIRST, ASKED, "a", None)) == 1 + 4 * len(CONSTITUTION.critique_revision) + 1
    assert len(ask.critique(CONSTITUTION, FIRST, ASKED, "a", 1)) == 1 + 4 + 1
    assert len(ask.judgment(CONSTITUTION, FIRST, ASKED, ("a", "b"), reasoning=True, exemplars=0)) == 2


def test_a_judgment_shows_the_answers_in_the_order_given() -> None:
    messages = ask.judgment(CONSTITUTION, FIRST, ASKED, ("one", "two"), reasoning=False)
    assert "Answer (A): one\n\nAnswer (B): two" in messages[-1]["content"]
    assert FIRST.judgment in messages[-1]["content"]
    verdicts = [each["content"] for each in messages if each["role"] == "assistant"]
    assert all(verdict in ("The answer is: (A)", "The answer is: (B)") for verdict in verdicts)
