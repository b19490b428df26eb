"""OpenAI-compatible servers: several replicas of one model behind one ``ask``.

What fails is of three kinds. *Transient* (connection, timeout, busy, 5xx) is tried again, elsewhere where there is an elsewhere,
with back-off and honouring Retry-After; which server is asked decides ``cai.models.pool``. *The row's* drops the row,
*everyone's* stops the run: which of the two a refusal is shows a harmless request of the same shape. The first request of each
shape is preceded by such a one, which also shows how the server wants it put (``cai.models.probe``).
"""

import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from cai.errors import RowError, RunError
from cai.models import concurrency
from cai.models.batch_api import BatchApi
from cai.models.blame import Blame
from cai.models.dialect import Vllm
from cai.models.dialects import batches_of
from cai.models.forcing import close_thoughts
from cai.models.pool import Pool
from cai.models.probe import Probes
from cai.models.reasoning import tags
from cai.models.refusals import Refused
from cai.models.replica import Replica
from cai.models.replies import THINKING
from cai.models.retries import Transient, again
from cai.models.spec import ModelSpec
from cai.models.types import Reply, Request


class Endpoint(Pool):
    """A model whose servers are there, or are ours.

    Attributes:
        thinks: whether it was seen to think.
        tags: what stands around its thoughts.
        say: told what of a request is put otherwise, once.
    """

    def __init__(self, urls: tuple[str, ...], model: str, spec: ModelSpec) -> None:
        super().__init__(urls, model, spec)
        self.format = spec.format
        # "auto" follows a server's own figures, where it has some.
        self.concurrency = spec.concurrency or concurrency.START * len(urls)
        self.most = spec.concurrency or concurrency.MOST * len(urls)
        self.probes, self.blame = Probes(self), Blame(self)
        self.thinks, self.tags = False, tags("")
        self.say: Callable[[str], None] = lambda note: None

    @property
    def continues_chat(self) -> bool:
        """vLLM's chat goes on from a forced beginning."""
        return isinstance(self.dialect, Vllm)

    @property
    def continues(self) -> bool:
        """So does every server that is sent a transcript."""
        return self.continues_chat or self.format == "transcript"

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``; what fails is asked elsewhere, and while no server is there, for ``patience`` seconds more."""
        request = await self.probes.prepared(request)
        return await self.whole(await self._answer(request, row_id), request, row_id)

    async def whole(self, reply: Reply, request: Request, row_id: str) -> Reply:
        """A reply with the samples that a server left out, and an answer after each thought that took all it might."""
        if len(reply.samples) < request.n and not request.score:
            reply = await self._more(reply, request, row_id)
        if request.budget and THINKING in reply.finishes and self.continues_chat and self.closes:
            return await close_thoughts(reply, request, self.tags, partial(self._go_on, row_id))
        return reply

    async def _go_on(self, row_id: str, request: Request) -> Reply:
        """The answer to a request that goes on from another's; raises Refused where no server takes such."""
        try:
            return await self._try(request, row_id)
        except Transient:
            return await self._answer(request, row_id)

    async def prepare(self, request: Request, role: str = "") -> None:
        """Find out, before any row, how the servers take a request of this shape that a role asks; raises as ``ask``."""
        await self.prepared(request, role)

    async def prepared(self, request: Request, role: str = "") -> Request:
        """The request as it is to be sent; see ``Probes.prepared``."""
        return await self.probes.prepared(request, role)

    def announce(self, request: Request) -> None:
        """Say that a request will be prepared; see ``Probes.announce``."""
        self.probes.announce(request)

    async def recall(self) -> None:
        """End what was announced and never prepared."""
        await self.probes.recall()

    async def gives_logprobs(self, request: Request) -> bool:
        """Whether verdicts can be read by log-probability, found out before any row; raises as ``ask``."""
        return await self.probes.gives_logprobs(request)

    async def takes_options(self, request: Request) -> bool:
        """Whether an answer can be bound to a request's options, found out before any row; raises as ``ask``."""
        return await self.probes.takes_options(request)

    def batch_api(self) -> BatchApi | None:
        """How requests go in batches, where the role wants it so."""
        return batches_of(self) if self.spec.batch else None

    async def _more(self, reply: Reply, request: Request, row_id: str) -> Reply:
        """The samples that a server left out, asked one by one."""
        while (count := len(reply.samples)) < request.n:
            seed = None if request.seed is None else request.seed + count
            reply = reply.with_samples(await self._answer(replace(request, n=1, seed=seed), row_id))
        return reply

    async def _answer(self, request: Request, row_id: str) -> Reply:
        suspect, until = False, time.monotonic() + self.spec.patience
        while True:
            try:
                return await (self.attempt(request, row_id, set()) if suspect else self._try(request, row_id))
            except Refused as refused:
                if await self.blame.is_row_s(request, refused):
                    raise RowError(refused.reason, str(refused)) from None
            except Transient as error:
                if error.busy:
                    raise RunError(self.gone(error)) from None
                if suspect:  # what is harmless was answered in between
                    raise RowError("server_error", str(error)) from None
                suspect = await self.blame.stands(request)
                hopeless = (error.status and self.probes.doubts(request)) or time.monotonic() > until
                if not suspect and (hopeless or not await self.comes_back(until)):
                    raise RunError(self.gone(error)) from None

    async def _try(self, request: Request, row_id: str) -> Reply:
        failed: set[Replica] = set()
        try:
            return await self.attempt(request, row_id, failed)
        except Transient as error:  # only now, as what tries again takes as long to set up as a request takes
            return await again(error, partial(self.attempt, request, row_id, failed), self.spec.patience)

    def gone(self, error: Transient) -> str:
        """The sentence for a model that no server answers for."""
        if error.busy:
            return f"{self.name} has been too busy for {self.spec.patience:.0f} s: {error}"
        if error.status:
            return f"{self.where} fails at what {self.name} is asked ({error}); look at its log, then run the same command again"
        patience = f", also not in {self.spec.patience:.0f} s more" if self.spec.patience else ""
        return f"no server answers for {self.name} ({error}){patience}; start it and run the same command again"
