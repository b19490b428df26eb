"""Meeting the servers of a model: whether each is there, has the model, and which dialect it speaks."""

import asyncio
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

import aiohttp

from cai.errors import RunError, UserError
from cai.models.headers import secrets
from cai.models.refusals import refusal
from cai.models.replica import Replica
from cai.models.retries import Transient
from cai.models.spec import ModelSpec
from cai.models.transport import Page, get, under

LIST_SECONDS = 30.0
LOAD_SECONDS = 2.0
CATALOGUE = 10
"""So many names are a provider's list; a harmless request shows whether another is known there."""
LOADS = (502, 503, 504)
"""While a server or the one behind it still loads."""
ANTHROPIC = "anthropic"
OWNERS = ("vllm", "sglang", "llamacpp")
"""Who says in the list that a server is theirs."""
_HARMONY = re.compile(r"gpt[-_]oss", re.IGNORECASE)
_DATED = re.compile(r"-(\d{8}|latest)$")


@dataclass(frozen=True, slots=True)
class Listing:
    """A server's list of models.

    Attributes:
        names: empty where it lists none.
        server: its kind, where that shows: "vllm", "sglang", "llamacpp", "openrouter" or "anthropic".
        length: tokens of prompt and answer together of its shortest model; 0 where it does not say.
        harmony: whether one of the models is gpt-oss, which goes on from no beginning, as far as their names tell.
        refusal: what it says to who may not see the list, which some keys that may ask may not.
    """

    names: tuple[str, ...] = ()
    server: str = ""
    refusal: str = ""
    length: int = 0
    harmony: bool = False

    def has(self, name: str) -> bool:
        """Whether a name is in the list or may be all the same.

        So it is where a pattern such as "openai/*" fits, where one of the two has a tag ("llama3:latest"), a date
        ("claude-sonnet-4-5-20250929") or a place ("models/gemini-pro") beside it, and where the list is a catalogue: those
        leave out aliases and deployments.
        """
        return not 0 < len(self.names) < CATALOGUE or any(_fits(name, each) for each in self.names)


def _fits(name: str, entry: str) -> bool:
    if "*" in entry:
        return fnmatchcase(name, entry)
    forms = (entry, entry.split(":")[0], entry.removeprefix("models/"), _DATED.sub("", entry))
    return name.split(":")[0] in forms or name == entry or _DATED.sub("", name) == forms[-1]


async def list_models(http: aiohttp.ClientSession, replica: Replica, spec: ModelSpec) -> Listing:
    """A server's models; one that still loads is waited for.

    Args:
        spec: of the role, whose patience it is and whose key no sentence holds.

    Raises:
        UserError: it does not answer, or its base URL is another.
        RunError: it still loads, or sends its visitors to another origin.
    """
    until = time.monotonic() + spec.patience
    while (listing := await _listing(http, replica, spec)) is None:
        if time.monotonic() > until:
            raise RunError(f"{replica.title} was still loading after {spec.patience:.0f} s; try again later")
        await asyncio.sleep(LOAD_SECONDS)
    return listing


async def _listing(http: aiohttp.ClientSession, replica: Replica, spec: ModelSpec) -> Listing | None:
    """A server's models; None while it says that it is not ready."""
    try:
        page = await get(http, under(replica.url, "models"), LIST_SECONDS)
    except Transient as error:
        raise UserError(
            f"{replica.title} does not answer ({error.words}); check the URL, or start the server"
        ) from None
    if page.status in (401, 403):
        return Listing(refusal=f"{replica.title} refuses the key ({refusal(page, secrets(spec))}); set api_key_env")
    if page.status in LOADS:
        return None
    listing = _read(page)
    if listing is None and not replica.url.endswith("/v1") and await _is_base(http, under(replica.url, "v1")):
        raise UserError(f"{replica.title} is not the base URL of the server's API; name {replica.title}/v1")
    return listing or Listing()


async def _is_base(http: aiohttp.ClientSession, url: str) -> bool:
    try:
        return _read(await get(http, under(url, "models"), LIST_SECONDS)) is not None
    except (Transient, RunError):
        return False


def _read(page: Page) -> Listing | None:
    """What the page lists; None where it is no list of models."""
    try:
        data = page.json() if page.status == 200 else None
    except (ValueError, RecursionError):
        return None
    rows = data.get("data", data.get("models")) if isinstance(data, Mapping) else data
    if not isinstance(rows, list):
        return None
    names = [each if isinstance(each, str) else each.get("id") if isinstance(each, Mapping) else None for each in rows]
    models = [each for each in rows if isinstance(each, Mapping)]
    kinds, lengths = filter(None, map(_server, models)), filter(None, map(_length, models))
    texts = tuple(name for name in names if isinstance(name, str) and name)
    harmony = any(_HARMONY.search(f"{each.get('id')} {each.get('root')}") for each in models)
    length = min(lengths, default=0) if len(rows) < CATALOGUE else 0
    return Listing(texts, next(kinds, ""), length=length, harmony=harmony)


def _length(row: Mapping[str, object]) -> int:
    """vLLM's and SGLang's word for it, and OpenRouter's."""
    lengths = [row.get(key) for key in ("max_model_len", "context_length")]
    return next((each for each in lengths if type(each) is int and each > 0), 0)


def _server(row: Mapping[str, object]) -> str:
    """The kind of server that has such a row in its list."""
    if (owner := row.get("owned_by")) in OWNERS:
        return str(owner)
    if "canonical_slug" in row:
        return "openrouter"
    return ANTHROPIC if row.get("type") == "model" and "display_name" in row else ""
