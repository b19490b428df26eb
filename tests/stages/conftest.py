"""Scored groups to make sets of."""

from collections.abc import Callable

import pytest

from cai.store.rows import Draft, Scored


@pytest.fixture
def group() -> Callable[..., Scored]:
    """Makes a group of the answers a0, a1 … with these scores.

    ``finish`` is one letter an answer, "l" where it was cut off at the token limit; all stopped unless given.
    """

    def make(*scores: float | None, id: str = "p/0", finish: str = "") -> Scored:
        ends = {"l": "length", "s": "stop"}
        answers = tuple(
            Draft(f"a{number}", "m", ends[finish[number : number + 1] or "s"], 1) for number in range(len(scores))
        )
        asked = ({"role": "user", "content": f"How, {id}?"},)
        return Scored(id, id.split("/")[0], asked, answers, scores, "kind", "score", "judge", "redteam")

    return make
