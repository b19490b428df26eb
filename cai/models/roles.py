"""A model that is up, asked as a role wants it: in its form and with its own sampling; several roles may share one."""

from dataclasses import replace

from cai.models.spec import SAMPLING, ModelSpec
from cai.models.switches import is_off
from cai.models.types import Model, Reply, Request
from cai.models.verdicts import gives_logprobs, takes_options


class RoleModel:
    """Another role's way to a model."""

    def __init__(self, inner: Model, spec: ModelSpec) -> None:
        self.inner, self.format, self.spec = inner, spec.format, spec
        self.name, self.concurrency = inner.name, inner.concurrency
        keys = {"top_k": spec.top_k, "min_p": spec.min_p}
        self.sampling = {key: value for key, value in keys.items() if value is not None}

    @property
    def continues(self) -> bool:
        """A transcript goes on by itself; a chat as the model does."""
        return self.format == "transcript" or bool(getattr(self.inner, "continues_chat", self.inner.continues))

    @property
    def thinks(self) -> bool:
        """Whether it thinks before it answers, as far as that is known."""
        word, _ = _thinking(self.spec)
        return word == "on" or (not word and bool(getattr(self.inner, "thinks", False)))

    async def ask(self, request: Request, row_id: str) -> Reply:
        """See ``Model.ask``; what is wrong with it is said of this role."""
        await self.prepare(request)
        return await self.inner.ask(self._with_sampling(request), row_id)

    async def prepare(self, request: Request) -> None:
        """As ``Endpoint.prepare``, where the model is one."""
        prepare = getattr(self.inner, "prepare", None)
        if prepare is not None:
            await prepare(self._with_sampling(request), self.spec.role)

    def announce(self, request: Request) -> None:
        """As ``Endpoint.announce``, where the model is one."""
        announce = getattr(self.inner, "announce", None)
        if announce is not None:
            announce(self._with_sampling(request))

    async def recall(self) -> None:
        """As ``Endpoint.recall``, where the model is one."""
        recall = getattr(self.inner, "recall", None)
        if recall is not None:
            await recall()

    async def gives_logprobs(self, request: Request) -> bool:
        """As ``Endpoint.gives_logprobs``, asked as the role asks."""
        return await gives_logprobs(self.inner, self._with_sampling(request))

    async def takes_options(self, request: Request) -> bool:
        """As ``Endpoint.takes_options``, asked as the role asks."""
        return await takes_options(self.inner, self._with_sampling(request))

    def _with_sampling(self, request: Request) -> Request:
        """The request with the role's sampling, which is of texts alone: a verdict reads the distribution itself."""
        spec = self.spec
        word, budget = _thinking(spec)
        if request.choices or request.score or request.likelihood:
            return replace(request, more=spec.extra_body, thinking="off" if word == "off" else "")
        if request.options:
            return replace(request, more=spec.extra_body, thinking="off" if word == "off" else request.thinking)
        heat = request.temperature if spec.temperature is None else spec.temperature
        more = {**self.sampling, **spec.extra_body}
        return replace(request, temperature=heat, more=more, thinking=word, budget=budget)


def _thinking(spec: ModelSpec) -> tuple[str, int | None]:
    """Whether a role is to think, in a request's words, and for how many tokens; its extra_body may have switched it off."""
    setting = "off" if spec.thinking == "auto" and is_off(spec.extra_body) else spec.thinking
    return ("" if setting == "auto" else setting, None) if isinstance(setting, str) else ("on", setting["budget"])


def for_role(model: Model, spec: ModelSpec) -> Model:
    """The model itself where it was brought up for this role, which asks nothing of its own."""
    inner = bare(model)
    differs = spec.extra_body or spec.thinking != "auto" or any(getattr(spec, key) is not None for key in SAMPLING)
    another = inner.format != spec.format or getattr(inner, "spec", spec).role != spec.role
    return RoleModel(inner, spec) if differs or another else inner


def bare(model: Model) -> Model:
    """The model without any role's ways."""
    return model.inner if isinstance(model, RoleModel) else model
