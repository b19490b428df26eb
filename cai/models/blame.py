"""Whose fault a failure is: a row's, where a harmless request that is sent after it is answered, and else everyone's."""

import math
import time
from typing import Protocol

from cai.errors import RunError
from cai.models.harmless import Shape, shape
from cai.models.headstart import Asked
from cai.models.probe import Probes
from cai.models.refusals import Refused
from cai.models.replica import Replica
from cai.models.retries import Transient
from cai.models.types import Request


class Probed(Asked, Protocol):
    """A model with its harmless requests, which are others once its servers have taken other weights."""

    probes: Probes


class Blame:
    """In doubt whose fault a failure of one model's is."""

    def __init__(self, model: Probed) -> None:
        self.model = model
        self.stood: dict[tuple[Shape, Replica], float] = {}
        """When the last harmless request of a shape was sent that a server answered."""

    async def is_row_s(self, request: Request, refused: Refused) -> bool:
        """Whether a refusal is the row's: a harmless request that is sent after it, to the same server, is answered.

        All that were refused before it is sent share it. False where the server went away, so that it cannot be told.

        Raises:
            RunError: a harmless request alike is refused as well, so that it is everyone's.
        """
        server = refused.replica or self.model.replicas[0]
        looks, since = (shape(request), server), time.monotonic()
        if refused.status == 402:  # what is harmless may be paid for with the last cent
            raise self._everyones(refused, server) from refused
        async with self.model.probes.turn:  # while nothing is tried of how requests are put
            if self.stood.get(looks, -math.inf) >= since:
                return True
            sent = time.monotonic()
            try:
                await self.model.probes.patiently(self.model.probes.harmless(request), server)
            except Transient:
                return False
            except Refused as too:
                if too.status >= 500:
                    return True  # it fails at what is harmless, which says nothing of a refusal
                raise self._everyones(too, server) from refused
            self.stood[looks] = sent
            return True

    def _everyones(self, refused: Refused, server: Replica) -> RunError:
        return RunError(f"{server.title} refuses {self.model.name} ({refused}); {refused.advice()}")

    async def stands(self, request: Request) -> bool:
        """Whether a harmless request of the same shape is answered now."""
        try:
            await self.model.once(self.model.probes.harmless(request))
        except (Transient, Refused):
            return False
        return True
