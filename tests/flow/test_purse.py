"""Money: what is set aside for requests in flight, who goes first when it runs low, and that no budget is ever passed."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from cai.errors import RunError
from cai.flow.purse import Purse, money
from cai.models.prices import SINGLY, Price, cost, most, priced
from cai.models.scripted import Scripted
from cai.models.types import Reply, Request, Sample
from cai.store.spending import Spending

PRICE = {"in": 2.0, "cached": 0.5, "out": 10.0}
MODEL = Scripted(lambda request: "Rye.")
ASKED = Request(({"role": "user", "content": "Why is rye bread dark?"},), max_tokens=100)


def test_cached_tokens_have_a_price_of_their_own_or_that_of_the_others() -> None:
    used = (1_000_000, 400_000, 100_000)
    assert cost(PRICE, used) == pytest.approx(0.6 * 2 + 0.4 * 0.5 + 0.1 * 10)
    assert cost({"in": 2.0, "out": 10.0}, used) == pytest.approx(2 + 1)
    assert cost({}, used) == 0
    assert cost(PRICE, (10, 40, 0)) > 0  # more from the cache than were asked, as some servers count


@pytest.mark.parametrize(
    "text", ["short", "Warum ist Roggenbrot dunkel? " * 40, "黑麦面包为什么是黑的？" * 40, "ရိုင်" * 40]
)
def test_no_request_costs_more_than_was_set_aside(text: str) -> None:
    """A token is one byte at the least, whatever the language."""
    asked = Request(({"role": "user", "content": text},), n=3, max_tokens=50)
    assert most(PRICE, asked, MODEL) >= cost(PRICE, (3 * len(text.encode()), 0, 3 * 50))
    bound = replace(
        ASKED, options=("A", "B", "None"), max_tokens=10
    )  # by a tool, of which a server tells in its own words
    assert most(PRICE, bound, MODEL) >= cost(PRICE, (800, 0, 10))
    verdict = replace(ASKED, choices=("A", "B"), begin="(", thought=text)
    assert most(PRICE, verdict, MODEL) >= cost(PRICE, (len(text.encode()), 0, 1))


def purse(budget: float) -> Purse:
    return Purse(Spending(None), {"judge": PRICE}, budget)


async def asked(money: Purse, finished: list[int], steps: int, tokens: int = 10, stage: str = "label") -> None:
    held = await money.hold("judge", ASKED, MODEL, steps)
    await asyncio.sleep(0)
    money.spend(stage, "judge", (tokens, 0, tokens))
    money.release(held)
    finished.append(steps)


def test_what_does_not_fit_waits_for_what_is_in_flight_and_the_rows_furthest_on_go_first() -> None:
    async def scene() -> list[int]:
        one = most(PRICE, ASKED, MODEL)
        low, finished = purse(1.5 * one), list[int]()
        await asyncio.gather(*(asked(low, finished, steps) for steps in (0, 1, 5, 3)))
        assert low.reserve == pytest.approx(0)
        return finished

    assert asyncio.run(scene()) == [0, 5, 3, 1]


def test_a_budget_stops_before_it_is_passed_and_says_what_was_spent() -> None:
    async def scene() -> Purse:
        low, finished = purse(5 * most(PRICE, ASKED, MODEL)), list[int]()
        ended = await asyncio.gather(
            *(asked(low, finished, steps, tokens=60) for steps in range(1000)), return_exceptions=True
        )
        error = next(each for each in ended if each is not None)
        assert isinstance(error, RunError)
        assert f"{money(low.spent)} of the budget of 0.0" in str(error)
        assert "(judge 0.0" in str(error)
        assert "raise `budget` and run the same command again" in str(error)
        assert len(finished) == low.spending.totals["label", "judge"].tokens[2] // 60  # all that was asked came in
        return low

    low = asyncio.run(scene())
    assert low.budget is not None
    assert low.budget - most(PRICE, ASKED, MODEL) < low.spent <= low.budget


def test_a_role_without_a_price_is_never_held_up() -> None:
    async def scene() -> None:
        poor = purse(1e-12)
        assert await poor.hold("policy", ASKED, MODEL, 0) == 0
        poor.spend("sample", "policy", (5, 0, 5))
        assert poor.spent == 0
        with pytest.raises(RunError):
            await poor.hold("judge", ASKED, MODEL, 0)

    asyncio.run(scene())


def test_one_that_is_cancelled_gives_back_what_was_set_aside() -> None:
    async def scene() -> None:
        tight = purse(1.1 * most(PRICE, ASKED, MODEL))
        held = await tight.hold("judge", ASKED, MODEL, 0)
        waiting = asyncio.create_task(tight.hold("judge", ASKED, MODEL, 0))
        await asyncio.sleep(0)
        tight.release(held)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert tight.reserve == pytest.approx(0)
        await tight.hold("judge", ASKED, MODEL, 0)

    asyncio.run(scene())


def test_long_requests_show_how_many_tokens_a_byte_makes() -> None:
    """English has four bytes a token; what is set aside follows, with a margin, and never below what was seen."""
    text = "Why is rye bread dark? " * 100
    long = Request(({"role": "user", "content": text},), max_tokens=100)
    rich = purse(1000.0)

    async def held(request: Request) -> float:
        amount = await rich.hold("judge", request, MODEL, 0)
        rich.release(amount)
        return amount

    before, short = asyncio.run(held(long)), asyncio.run(held(ASKED))
    rich.pay("label", "judge", long, Reply((Sample("Bran."),), tokens_in=len(text) // 4, tokens_out=3))
    rich.pay("label", "judge", long, Reply((Sample("Bran."),), tokens_in=len(text) // 5, tokens_out=3))
    after = asyncio.run(held(long))
    assert cost(PRICE, (len(text) // 4, 0, 100)) < after < 0.7 * before
    assert asyncio.run(held(ASKED)) == short  # of a short one the template's tokens count for more


def test_a_server_that_tells_no_tokens_cannot_be_held_to_a_budget() -> None:
    with pytest.raises(RunError, match="the server of judge does not say how many tokens"):
        purse(1.0).pay("label", "judge", ASKED, Reply((Sample("Bran."),)))
    purse(1.0).pay("label", "policy", ASKED, Reply((Sample("Bran."),)))
    Purse(Spending(None), {"judge": PRICE}).pay("label", "judge", ASKED, Reply((Sample("Bran."),)))


def test_it_says_what_is_spent_in_few_words() -> None:
    low = purse(50.0)
    low.spend("label", "judge", (0, 0, 1_230_000))
    assert low.words() == "12.30 of 50 spent"
    assert Purse(low.spending, {"judge": PRICE}).words() == "12.30 spent"
    assert Purse(low.spending).words() == "12.30 spent"  # also where nothing has a price any more
    assert Purse(Spending(None)).words() == ""
    assert [money(each) for each in (0, 0.00421, 1234.5)] == ["0.00", "0.0042", "1,234.50"]


def test_what_costs_nothing_is_never_held_up() -> None:
    async def scene() -> None:
        free = Purse(Spending(None), {"judge": {"in": 0, "out": 0}, "dear": PRICE}, 1e-12)
        assert await free.hold("judge", ASKED, MODEL, 0) == 0
        with pytest.raises(RunError):  # and leaves nobody waiting for it
            await free.hold("dear", ASKED, MODEL, 0)

    asyncio.run(scene())


def test_what_was_used_is_added_up_over_sessions(tmp_path: Path) -> None:
    file = tmp_path / "spent.jsonl"
    for _ in range(2):
        book = Spending(file)
        book.add("label", "judge", (10, 2, 3))
        book.add("evaluate/votes", "judge", (1, 0, 1))
        book.save()
        book.save()
    with file.open("a") as torn:
        torn.write('{"stage":"label","role":"ju')
    book = Spending(file)
    assert book.of("label")["judge"].tokens == [20, 4, 6]
    assert book.of("evaluate")["judge"].tokens == [2, 0, 2]
    assert {role: used.tokens for role, used in book.by_role().items()} == {"judge": [22, 4, 8]}
    bill = Purse(book, {"judge": PRICE}).bill("label")
    assert bill["spent"]["judge"] == {"tokens_in": 20, "tokens_cached": 4, "tokens_out": 6, "cost": bill["cost"]}
    assert Purse(book).bill("label") == {}


def test_what_was_paid_keeps_its_price_whatever_the_price_is_now(tmp_path: Path) -> None:
    def session(prices: dict[str, Price], *spent: tuple[str, int]) -> Purse:
        mine = Purse(Spending(tmp_path / "spent.jsonl"), prices)
        for role, millions in spent:
            mine.spend("label", role, (millions * 1_000_000, 0, 0))
        mine.spending.save()
        return mine

    assert session(priced("judge", {"in": 2.0, "out": 2.0}, batch=False), ("judge", 3), ("free", 5)).spent == 6
    batched = session(priced("judge", {"in": 1.0, "out": 1.0}, batch=True), ("judge", 4), (f"judge{SINGLY}", 1))
    assert batched.spent == 6 + 4 + 2
    dearer = session({"judge": {"in": 100.0, "out": 100.0}, "free": {"in": 1.0, "out": 1.0}})
    assert dearer.by_role() == "judge 10.00, free 5.00, judge (singly) 2.00"  # what had no price has that of now
    assert dearer.bill("label").get("cost") == 17
    without = session({})
    assert (without.words(), without.bill("label").get("cost")) == ("12.00 spent", 12)


def test_with_a_budget_a_kill_takes_next_to_nothing_of_what_is_known(tmp_path: Path) -> None:
    def session() -> Purse:
        return Purse(Spending(tmp_path / "spent.jsonl"), {"judge": PRICE}, 10.0)

    killed = session()
    for _ in range(30_000):
        killed.spend("label", "judge", (10, 0, 10))
    assert killed.spent - session().spent < 10.0 / 1000
    assert (tmp_path / "spent.jsonl").read_bytes().count(b"\n") <= 10_000


def test_what_was_asked_beside_batches_costs_also_where_the_role_has_none_any_more() -> None:
    book = Spending(None)
    for role, tokens in (("judge", 2_000_000), (f"judge{SINGLY}", 1_000_000), ("free", 5), (f"free{SINGLY}", 5)):
        book.add("label", role, (tokens, 0, 0))
    before = Purse(book, priced("judge", {"in": 1.0, "out": 1.0}, batch=True))
    after = Purse(book, priced("judge", {"in": 2.0, "out": 2.0}, batch=False))
    assert (before.spent, before.by_role()) == (4, "judge 2.00, judge (singly) 2.00")
    assert (after.spent, after.by_role()) == (6, "judge 4.00, judge (singly) 2.00")
    assert after.bill("label").get("cost") == 6
