"""Requests on their way through a batch API: gathered, handed in, waited for, kept on disk.

A batch is handed in when no request came for a moment, nothing holds it up, and none is out; or when it is full. So the rows of a
stage stay together, step by step, and those that come late are together in the next one; very few of them are asked singly.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from cai.errors import RunError
from cai.models.batch_api import CANCELLED, ENDS, FAILED, GONE, BatchApi, BatchUnknown
from cai.store.batches import BatchFolder, BatchNote, Place
from constitution.wording import count

GATHER_SECONDS = 3.0
"""Without a request, after which no other is waited for."""
FEW = 0.01
"""Of the largest batch so far: fewer are not worth a batch, which may take a day."""
LEAST_SECONDS, MOST_SECONDS, SHARE = 1.0, 60.0, 0.05
"""Between two looks at a batch: a share of the time that it has been out."""


class QueuedRequest(NamedTuple):
    """A request that waits to be handed in."""

    key: str
    path: str
    line: bytes


class BatchQueue:
    """The batches of one role in one stage.

    Args:
        name: the model's.
        say: told of what is handed in and what came back.
    """

    def __init__(self, api: BatchApi, folder: BatchFolder, name: str, say: Callable[[str], None]) -> None:
        self.api, self.folder, self.name, self.say = api, folder, name, say
        self.answers: dict[str, tuple[Place | None, bool]] = {}
        """Answers that nobody has asked for yet: where, if there is one, and whether a former session had it."""
        self.out: dict[str, int] = {}
        """Requests that are in a batch, with its number."""
        self.batches: dict[int, BatchNote] = {}
        self.watched: set[int] = set()
        self.waiting: dict[str, asyncio.Future[object]] = {}
        self.gathered: list[QueuedRequest] = []
        self.arrivals = self.holds = self.largest = 0
        self.gathering = False
        self.tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> None:
        """Take up what former sessions handed in.

        Raises:
            UserError: the server has no batches.
            RunError: it does not answer, or a note is damaged.
        """
        await self.api.check()
        for number, note in self.folder.notes():
            if note["ended"]:
                self._hand_out(number, note, kept=True)
            elif batch := note["batch"] or (note["note"] and await self._find(number, note["note"])):
                self._is_out(number, {**note, "batch": batch})
            else:
                self.folder.forget(number)  # it was never made

    async def _find(self, number: int, note: str) -> str:
        """The id of a batch that was not heard; empty where it was never made."""
        try:
            return await self.api.find(note)
        except BatchUnknown as error:
            raise RunError(f"{error}, then delete {self.folder.path(number)} and run the same command again") from None

    async def answer(self, key: str, path: str, line: bytes) -> tuple[object, bool]:
        """The body of an answer, None where its batch has none, and whether a former session had it.

        Raises:
            RunError: the batch came to nothing.
        """
        if key in self.answers:
            place, kept = self.answers.pop(key)
            return place and self.api.answer(self.folder.line(place))[1], kept
        future = self.waiting[key] = asyncio.get_running_loop().create_future()
        if key in self.out:
            self._watch(self.out[key])
        else:
            self.gathered.append(QueuedRequest(key, path, line))
            self.arrivals += 1
            if not self.gathering:
                self.gathering = True
                self._start(self._gather())
        return await future, False

    @contextmanager
    def hold(self) -> Iterator[None]:
        """No batch that is not full goes until the block is left: a row is about to ask more."""
        self.holds += 1
        try:
            yield
        finally:
            self.holds -= 1

    async def _gather(self) -> None:
        try:
            while self.gathered:
                count = -1
                while not self._full() and (count != self.arrivals or self.holds or self.watched):
                    count = self.arrivals
                    await asyncio.sleep(GATHER_SECONDS)
                if len(self.gathered) < FEW * self.largest:
                    self._leave()
                else:
                    await self._hand_in()
        finally:
            self.gathering = False

    def _full(self) -> bool:
        size = sum(len(each.line) for each in self.gathered)
        return len(self.gathered) >= self.api.most_requests or size >= self.api.most_bytes

    def _leave(self) -> None:
        """A few rows that came out of step would have all that follows wait for another batch."""
        self.say(f"{self.name}: the {len(self.gathered):,} that are left are asked singly")
        for each in self.gathered:
            self._give(each.key, None, None, kept=False)
        self.gathered = []

    async def _hand_in(self) -> None:
        """The requests that came first, of one path, as one batch."""
        some = self._next()
        self.largest = max(self.largest, len(some))
        number, keys = self.folder.next(), [each.key for each in some]

        def note(text: str) -> None:
            self.folder.write(number, BatchNote(note=text, batch="", ended="", keys=keys))

        batch = await self.api.hand_in(b"".join(each.line for each in some), some[0].path, note)
        self._is_out(number, BatchNote(note="", batch=batch, ended="", keys=keys))
        there = count(len(keys), "request")
        self.say(f"{self.name}: {there} handed in as {batch}; if this is stopped, the same command goes on with it")
        self._watch(number)

    def _next(self) -> list[QueuedRequest]:
        """As many as one batch may have; the others stay."""
        some, others, size = list[QueuedRequest](), list[QueuedRequest](), 0
        for each in self.gathered:
            size += len(each.line)
            fits = len(some) < self.api.most_requests and (not some or size <= self.api.most_bytes)
            (some if fits and each.path == self.gathered[0].path else others).append(each)
        self.gathered = others
        return some

    def _is_out(self, number: int, note: BatchNote) -> None:
        self.folder.write(number, note)
        self.batches[number] = note
        self.out |= dict.fromkeys(note["keys"], number)

    def _watch(self, number: int) -> None:
        if number not in self.watched:
            self.watched.add(number)
            self._start(self._wait(number, self.batches[number]))

    async def _wait(self, number: int, note: BatchNote) -> None:
        """Until a batch has ended and its answers are here."""
        began, id = time.monotonic(), note["batch"]
        while (batch := await self.api.look(id)).status not in ENDS:
            await asyncio.sleep(min(max((time.monotonic() - began) * SHARE, LEAST_SECONDS), MOST_SECONDS))
        if batch.status == GONE:
            raise RunError(
                f"{self.name}: the server does not know {id} ({batch.words}), which may have been paid; where it is gone for good, "
                f"delete {self.folder.path(number)} and run the same command again, which hands its requests in anew"
            )
        if batch.status == FAILED:
            self.folder.forget(number)
            raise RunError(
                f"{self.name}: the server took nothing of {id} ({batch.words or 'it does not say why'}); where that is too many "
                "requests or tokens, set the role's `concurrency` lower, then run the same command again"
            )
        for place, file in enumerate(batch.files):
            await self.api.fetch(file, self.folder.file(number, place))
        self.folder.write(number, note := {**note, "ended": batch.status})
        rest = self._hand_out(number, note)
        self.watched.discard(number)
        if rest and batch.status == CANCELLED:
            raise RunError(f"{self.name}: {id} was cancelled; run the same command again, which hands in what it left")
        self.say(f"{self.name}: {id} is {batch.status}{f'; {rest:,} of it asked singly' if rest else ''}")

    def _hand_out(self, number: int, note: BatchNote, kept: bool = False) -> int:
        """Give a batch's answers to those who wait for them, now or later; returns how many requests it left out."""
        rest = dict.fromkeys(note["keys"])
        for place, line in self.folder.lines(number):
            key, body = self.api.answer(line)
            if body is not None and key in rest:
                del rest[key]
                self._give(key, body, place, kept)
        for key in rest if note["ended"] != CANCELLED else ():  # of which the rest is handed in again
            self._give(key, None, None, kept)
        for key in note["keys"]:
            self.out.pop(key, None)
        return len(rest)

    def _give(self, key: str, body: object, place: Place | None, kept: bool) -> None:
        future = self.waiting.pop(key, None)
        if future is None:
            self.answers[key] = place, kept
        elif not future.done():
            future.set_result(body)

    def _start(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(self._guarded(work))
        self.tasks.add(task)  # the loop itself keeps none alive
        task.add_done_callback(self.tasks.discard)

    async def _guarded(self, work: Coroutine[None, None, None]) -> None:
        """What goes wrong is told to all who wait: none may be left behind."""
        try:
            await work
        except Exception as error:
            for future in self.waiting.values():
                if not future.done():
                    future.set_exception(error)
            self.waiting.clear()
