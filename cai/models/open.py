"""Bring a model up, of whichever kind; what it needs is imported when it is brought up."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from cai.models.roles import for_role
from cai.models.spec import ModelSpec
from cai.models.types import Model


@asynccontextmanager
async def open_model(spec: ModelSpec, logs: Path) -> AsyncIterator[Model]:
    """Bring a model up, asked as the role wants it, and down again whatever happens.

    Args:
        logs: the folder for a server's log.

    Raises:
        UserError: it is not there, not installed, or its port is taken.
        RunError: it did not come up.
    """
    async with _up(spec, logs) as model:
        yield for_role(model, spec)


@asynccontextmanager
async def _up(spec: ModelSpec, logs: Path) -> AsyncIterator[Model]:
    match spec.kind:
        case "vllm" | "reward" if spec.served:
            from cai.models.vllm import serve

            async with serve(spec, logs) as model:
                yield model
        case "endpoints":
            from cai.models.endpoint import Endpoint

            async with Endpoint(spec.endpoints, spec.model, spec) as model:
                yield model
        case "local":
            from cai.models.local import Local

            yield Local(spec)
        case "reward":
            from cai.models.reward import Reward

            yield Reward(spec)
        case "rewards":
            from cai.models.combined import Combined

            async with AsyncExitStack() as stack:
                yield Combined(spec, [await stack.enter_async_context(open_model(each, logs)) for each in spec.members])
        case _:
            from cai.models.scripted import Scripted

            yield Scripted.from_file(Path(spec.scripted), spec.concurrency or 64, spec.format)
