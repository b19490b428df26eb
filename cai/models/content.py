"""What a model's folder holds, as one digest: the same weights are the same model wherever they lie, others are another one.

Everything counts of a folder with up to a gigabyte of weights, and of what stands beside larger ones. Of larger ones all
names, sizes and headers count, every small tensor whole (a head, a norm, a bias may be all that a training changed), and
of every other tensor its ends and blocks between them. A training changes nearly all tensors throughout, so that misses
only what changes a few rows of one large tensor; reading every byte would take minutes at each start of a run with a large
model, and a cache of digests could be wrong in silence.
"""

import hashlib
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import BinaryIO, TypedDict

WEIGHTS = (".safetensors", ".bin", ".gguf")
COMPANIONS = (".json", ".jinja", ".txt", ".model", ".tiktoken")
OF_TRAINING = ("manifest.json", "trainer_state.json", "training_args.bin", "all_results.json", "train_results.json")
"""They tell of a training, and decide nothing that the model says."""
WHOLE = 1 << 30
SMALL, BLOCK = 1 << 16, 1 << 12
LONGEST_HEADER = 100_000_000
"""As safetensors has it."""
READS = 1 << 15
"""Blocks that are read of large tensors, unless there are so many that two of each are more."""

Region = tuple[int, int]
"""Where a tensor's bytes begin and end in its file."""


class Tensor(TypedDict):
    """What the header of a safetensors file says of a tensor."""

    shape: list[int]
    data_offsets: tuple[int, int]


def digest(name: str) -> str:
    """The digest of a model's folder, of an adapter's, or of a file; empty where there is none by this name."""
    path = Path(name) if name else None
    if path is None or not path.exists():
        return ""
    files = [each for each in sorted(path.iterdir()) if _counts(each)] if path.is_dir() else [path]
    stats = [(each, each.stat()) for each in files]
    return _digest(tuple((str(each), stat.st_size, stat.st_mtime_ns) for each, stat in stats))


def _counts(path: Path) -> bool:
    return path.is_file() and path.suffix in (*WEIGHTS, *COMPANIONS) and path.name not in OF_TRAINING


@cache  # for this process: a run asks again and again
def _digest(files: tuple[tuple[str, int, int], ...]) -> str:
    sha = hashlib.sha256()
    weights = [size for name, size, _ in files if name.endswith(WEIGHTS)]
    large, reads = sum(weights) > WHOLE, READS // max(len(weights), 1)
    for name, size, _ in files:
        path = Path(name)
        sampled = large and path.suffix in WEIGHTS
        # A file alone may have any name, a folder's files are known to each other by theirs.
        sha.update(repr((path.name if len(files) > 1 else "", size)).encode())
        sha.update(_sampled(path, size, reads) if sampled else _whole(path))
    return sha.hexdigest()[:16]


def _whole(path: Path) -> bytes:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def _sampled(path: Path, size: int, reads: int) -> bytes:
    """A digest of a file's header and of some of each tensor."""
    sha = hashlib.sha256()
    with path.open("rb") as file:
        start, regions = _tensors(file, size)
        file.seek(0)
        sha.update(file.read(start))
        blocks = max(2, reads // max(len(regions), 1))
        for begin, end in regions:
            for place, length in _blocks(begin, end, blocks):
                file.seek(place)
                sha.update(file.read(length))
    return sha.digest()


def shapes(path: Path) -> dict[str, list[int]]:
    """Name → shape of the tensors of a safetensors file, which begins with them."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = _header(file.read(length)) if length <= LONGEST_HEADER else {}
    return {name: each["shape"] for name, each in header.items() if name != "__metadata__"}


def _tensors(file: BinaryIO, size: int) -> tuple[int, list[Region]]:
    """Where the tensors begin, and where each is; all as one where the file has no header of safetensors."""
    length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, LONGEST_HEADER) or not (header := _header(file.read(length))):
        return 0, [(0, size)]
    places = (each["data_offsets"] for name, each in header.items() if name != "__metadata__")
    return length + 8, [(length + 8 + begin, length + 8 + end) for begin, end in places]


def _header(text: bytes) -> dict[str, Tensor]:
    """Name → tensor, with ``__metadata__`` among them; empty where the text is no header."""
    try:
        tensors = json.loads(text)
    except ValueError:
        return {}
    is_header = isinstance(tensors, dict) and all(
        name == "__metadata__" or (isinstance(each, dict) and len(each.get("data_offsets", ())) == 2)
        for name, each in tensors.items()
    )
    return tensors if is_header else {}


def _blocks(begin: int, end: int, count: int) -> Iterator[tuple[int, int]]:
    """Places and lengths: a small tensor whole, of others blocks at even distances, the first and the last among them."""
    if end - begin <= max(SMALL, count * BLOCK):
        yield begin, end - begin
        return
    for number in range(count):
        yield begin + number * (end - begin - BLOCK) // (count - 1), BLOCK
