"""What crosses the wire: pages of a bounded size, from the origin that was named and from no other."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypedDict
from urllib.parse import urljoin

import aiohttp
import msgspec
from yarl import URL

from cai.errors import RunError
from cai.models.replies import whole, words_of
from cai.models.retries import Transient, retry_after

MOST_BYTES = 64 << 20
"""Of a page, unpacked: far more than any answer takes, and little enough to hold many."""
MOST_FILE = 8 << 30
"""Of a file, which is not held in memory."""
SILENCE = aiohttp.ClientTimeout(total=None, sock_connect=60, sock_read=600)
"""For files, which take as long as they take while something comes."""
BOUNDARY = "=====a file of requests====="
MOST_WORDS = 500
MOST_HOPS = 3
_DECODER, _ENCODER = msgspec.json.Decoder(), msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Page:
    """What a server sent.

    Attributes:
        after: its Retry-After, in seconds.
    """

    status: int
    data: bytes
    after: float | None = None

    def json(self) -> object:
        """The page as JSON, whatever it says of its type and charset.

        Raises:
            ValueError, RecursionError: it is none.
        """
        try:
            return _DECODER.decode(self.data)
        except msgspec.DecodeError:  # as of NaN, of half a letter and of other charsets, which Python's own reads
            return json.loads(self.data)

    def words(self) -> str:
        """What the page says of an error, on one line."""
        try:
            text = words_of(self.json())
        except (ValueError, RecursionError):
            text = ""
        return (text or " ".join(whole(self.data.decode("utf-8", "replace")).split()))[:MOST_WORDS]


class Content(TypedDict, total=False):
    """What goes with a request, in aiohttp's words."""

    timeout: aiohttp.ClientTimeout
    headers: Mapping[str, str]
    json: Mapping[str, object]
    data: bytes


def to_json(body: object) -> str:
    """A request's body; raises TypeError where it is no data."""
    try:
        text = _ENCODER.encode(body).decode()
    except (TypeError, ValueError):  # a key that is neither text nor number, half a letter
        return json.dumps(body)
    return json.dumps(body) if "null" in text else text  # which may be a NaN, as a role's ``body`` may hold


def get(http: aiohttp.ClientSession, url: str, seconds: float) -> Awaitable[Page]:
    """A page by its URL; raises as ``post``."""
    return _page(http, "GET", url, {"timeout": aiohttp.ClientTimeout(total=seconds)})


def post(http: aiohttp.ClientSession, url: str, body: Mapping[str, object]) -> Awaitable[Page]:
    """The answer to a body of JSON.

    Raises:
        Transient: the server could not be reached, or sent more than may be.
        RunError: it sends its visitors to another origin.
    """
    return _page(http, "POST", url, {"json": body})


async def upload(http: aiohttp.ClientSession, url: str, file: bytes, fields: Mapping[str, str]) -> Page:
    """The answer to a form with fields and a file of JSON lines; raises as ``post``."""
    parts = [f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{fields[key]}' for key in fields]
    head = 'Content-Disposition: form-data; name="file"; filename="requests.jsonl"\r\nContent-Type: application/jsonl'
    form = "\r\n".join([*parts, f"--{BOUNDARY}", head, "", ""]).encode() + file + f"\r\n--{BOUNDARY}--\r\n".encode()
    kind = {"Content-Type": f'multipart/form-data; boundary="{BOUNDARY}"'}
    return await _page(http, "POST", url, {"data": form, "headers": kind, "timeout": SILENCE})


async def download(http: aiohttp.ClientSession, url: str, path: Path) -> Page:
    """Write a page of any size to a file, where it is one; raises as ``post``."""
    return await _page(http, "GET", url, {"timeout": SILENCE}, partial(_save, path))


async def _save(path: Path, response: aiohttp.ClientResponse) -> bytes:
    if response.status != 200:
        return await _bounded(response)
    size = 0
    with path.open("wb") as file:
        async for block in response.content.iter_any():
            size += file.write(block)
            if size > MOST_FILE:
                raise Transient(
                    f"a file of more than {MOST_FILE >> 30} GiB", status=500, place=public(str(response.url))
                )
    return b""


async def _page(
    http: aiohttp.ClientSession,
    method: str,
    url: str,
    content: Content,
    read: Callable[[aiohttp.ClientResponse], Awaitable[bytes]] | None = None,
) -> Page:
    """A page; within its origin a server may move it, as one does that wants a slash at the end."""
    for _ in range(MOST_HOPS):
        try:
            async with http.request(method, url, allow_redirects=False, **content) as response:
                location = response.headers.get("Location")
                if not (300 <= response.status < 400 and location):
                    after = retry_after(response.headers.get("Retry-After"))
                    return Page(response.status, await (read or _bounded)(response), after)
        except (TimeoutError, aiohttp.ClientError, ValueError, LookupError) as error:
            raise Transient(_reason(error), place=public(url)) from error
        url = _within(url, location, response.status)
    raise RunError(f"{public(url)} sends its visitors on and on; name the URL of the server itself")


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    if (response.content_length or MOST_BYTES) < MOST_BYTES and "Content-Encoding" not in response.headers:
        return await response.read()
    blocks, size = [], 0
    async for block in response.content.iter_any():
        blocks.append(block)
        size += len(block)
        if size > MOST_BYTES:
            raise Transient(
                f"an answer of more than {MOST_BYTES >> 20} MiB", status=500, place=public(str(response.url))
            )
    return b"".join(blocks)


def _within(url: str, location: str, status: int) -> str:
    """Where a page was moved, within its origin and for the same request."""
    target = urljoin(url, location)
    if origin(target) != origin(url) or status not in (307, 308):
        raise RunError(
            f"{public(url)} sends its visitors to {public(target)[:200]} ({status}); nothing was sent there: name that URL if "
            "it is meant"
        )
    return target


def under(url: str, page: str) -> str:
    """A page under a base URL, whose query, such as an API's version, is every page's."""
    base, mark, query = url.partition("?")
    return f"{base.rstrip('/')}/{page}{mark}{query}"


def origin(url: str) -> str:
    """Scheme, host and port; empty of what is no URL."""
    try:
        return str(URL(url).origin())
    except ValueError:
        return ""


def public(url: str) -> str:
    """A URL as people and files are given it: without a user's name, password or query."""
    try:
        return str(URL(url).with_user(None).with_query(None).with_fragment(None))
    except ValueError:
        return "a URL that cannot be read"


def _reason(error: BaseException) -> str:
    """Without the URL that some errors repeat, with all that stands in it."""
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection ({error.os_error.strerror or type(error.os_error).__name__})"
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return type(error).__name__
