"""Which dialect a role's servers speak: by what the role says, by their URL, or by their list of models."""

from collections.abc import Iterable, Sequence

from yarl import URL

from cai.models.anthropic import Anthropic
from cai.models.batch_api import BatchApi, Server
from cai.models.dialect import OpenAI, Scores, Vllm
from cai.models.file_batches import FileBatches
from cai.models.listing import ANTHROPIC, Listing
from cai.models.message_batches import MessageBatches
from cai.models.spec import ModelSpec
from cai.models.switches import SERVERS


def dialect_of_urls(spec: ModelSpec, urls: Iterable[str]) -> OpenAI:
    """The dialect in which servers are met."""
    if spec.scorer:
        return Scores()
    return Anthropic() if ANTHROPIC in (spec.api, *(() if spec.api else map(_owner, urls))) else OpenAI()


def dialect_of_lists(spec: ModelSpec, first: OpenAI, lists: Sequence[Listing]) -> OpenAI:
    """The dialect that their lists of models show, beside the one in which they were met."""
    if spec.scorer or isinstance(first, Anthropic):
        return first
    kinds = {listing.server for listing in lists}
    if kinds == {ANTHROPIC} and not spec.api:
        return Anthropic()
    dialect = Vllm() if kinds == {"vllm"} else OpenAI()
    takes = {SERVERS[kind] for kind in kinds if kind in SERVERS}
    if len(takes) == len(kinds) == 1:
        dialect.now = takes.pop()
    return dialect


def batches_of(server: Server) -> BatchApi:
    """The batch API of a server, by its dialect."""
    return MessageBatches(server) if isinstance(server.dialect, Anthropic) else FileBatches(server)


def _owner(url: str) -> str:
    try:
        return ANTHROPIC if URL(url).host == "api.anthropic.com" else ""
    except ValueError:
        return ""
