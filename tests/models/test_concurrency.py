"""Who holds a slot, who is next, and what a limit that changes means."""

import asyncio

import pytest

from cai.models.concurrency import Slots


@pytest.mark.parametrize(
    ("rows", "order"),
    [(3, ["third", "second", "new", "new too"]), (2, ["new", "new too", "second", "third"])],
)
def test_later_steps_go_first_until_few_rows_are_left(rows: int, order: list[str]) -> None:
    async def scene() -> list[str]:
        slots, order = Slots(1), []

        async def one(name: str, step: int) -> None:
            await slots.acquire(step)
            order.append(name)
            await asyncio.sleep(0)
            slots.release()

        await slots.acquire(0)
        waiting = [
            asyncio.create_task(one(*each)) for each in (("new", 0), ("second", 1), ("third", 2), ("new too", 0))
        ]
        await asyncio.sleep(0)
        slots.remain(rows)  # those that wait already are put in order anew
        slots.release()
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(scene()) == order


def test_a_limit_that_grows_brings_the_tail_nearer() -> None:
    slots = Slots(8, most=64)
    slots.remain(100)
    assert not slots.tail
    slots.resize(64)
    assert slots.tail


def test_a_cancelled_waiter_takes_no_slot_with_it() -> None:
    async def scene() -> int:
        slots = Slots(1)
        await slots.acquire(0)
        waiter = asyncio.create_task(slots.acquire(0))
        await asyncio.sleep(0)
        slots.release()
        waiter.cancel()
        await asyncio.gather(waiter, return_exceptions=True)
        return slots.busy

    assert asyncio.run(scene()) == 0


def test_a_limit_that_grows_lets_more_in_and_one_that_shrinks_waits() -> None:
    async def scene() -> list[int]:
        slots, seen = Slots(1, most=4), []

        async def one(seconds: float) -> None:
            await slots.acquire(0)
            seen.append(slots.busy)
            await asyncio.sleep(seconds)
            slots.release()

        tasks = [asyncio.create_task(one(0.01)) for _ in range(12)]
        await asyncio.sleep(0)
        slots.resize(100)  # never beyond what it may grow to
        await asyncio.sleep(0)
        assert slots.busy == slots.limit == 4
        slots.resize(2)
        assert slots.busy == 4  # who holds keeps
        seen.clear()
        await asyncio.gather(*tasks)
        assert slots.busy == 0
        return seen

    assert max(asyncio.run(scene())) == 2
