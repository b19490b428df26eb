"""Requests to a model in this process: what nobody waits for any more is not worked at."""

import asyncio
import threading
from collections.abc import Sequence

from cai.models.batches import Batches
from cai.models.types import Reply, Request, Sample


def test_a_batch_that_nobody_waits_for_ends_and_the_next_is_answered() -> None:
    begun, answered = threading.Event(), list[str]()

    def answer(requests: list[Request]) -> Sequence[Reply]:
        begun.set()
        while requests[0].prompt == "endless" and not batches.abandoned:
            begun.wait(0.001)
        answered.extend(each.prompt for each in requests)
        return [Reply((Sample(each.prompt),)) for each in requests]

    batches = Batches(answer, lambda request: request.prompt)

    async def talk() -> str:
        endless = asyncio.create_task(batches.ask(Request(prompt="endless")))
        await asyncio.to_thread(begun.wait)
        waiting = asyncio.create_task(batches.ask(Request(prompt="waiting")))
        await asyncio.sleep(0)
        assert not batches.abandoned
        endless.cancel()
        waiting.cancel()
        return (await batches.ask(Request(prompt="next"))).texts[0]

    assert asyncio.run(talk()) == "next"
    assert answered == ["endless", "next"]
