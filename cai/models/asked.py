"""A model that is up, asked as a role wants it: in its form and with its own sampling; several roles may share one."""

from dataclasses import replace

from cai.models.types import Model, ModelSpec, Reply, Request


class AskedAs:
    """Another role's way to a model."""

    def __init__(self, inner: Model, spec: ModelSpec) -> None:
        self.inner, self.format, self.spec = inner, spec.format, spec
        self.name, self.concurrency = inner.name, inner.concurrency
        given = {"top_k": spec.top_k, "min_p": spec.min_p}
        self.sampling = {key: value for key, value in given.items() if value is not None}

    @property
    def continues(self) -> bool:
        """A transcript goes on by itself; a chat as the model does."""
        return self.format == "transcript" or bool(getattr(self.inner, "continues_chat", self.inner.continues))

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``; what is wrong with it is said of this role."""
        await self.prepare(request)
        return await self.inner.ask(self._own(request), row_id)

    async def prepare(self, request: Request) -> None:
        """As ``Endpoint.prepare``, where the model is one."""
        prepare = getattr(self.inner, "prepare", None)
        if prepare is not None:
            await prepare(self._own(request), self.spec.role)

    def _own(self, request: Request) -> Request:
        """The request with the role's sampling, which is of texts alone: a verdict reads the distribution itself."""
        if request.choices or request.score:
            return replace(request, more=self.spec.extra_body) if self.spec.extra_body else request
        own = self.spec.temperature
        heat = request.temperature if own is None else own
        return replace(request, temperature=heat, more={**self.sampling, **self.spec.extra_body})


def asked_as(model: Model, spec: ModelSpec) -> Model:
    """The model itself where it was brought up for this role, which asks nothing of its own."""
    inner = bare(model)
    own = spec.extra_body or any(each is not None for each in (spec.temperature, spec.top_k, spec.min_p))
    another = inner.format != spec.format or getattr(inner, "spec", spec).role != spec.role
    return AskedAs(inner, spec) if own or another else inner


def bare(model: Model) -> Model:
    """The model without any role's ways."""
    return model.inner if isinstance(model, AskedAs) else model
