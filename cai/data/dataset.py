"""Parquet datasets beside their card: ``train.parquet``, ``test.parquet``, ``README.md``.

Split by prompt: no prompt is on both sides, by what it says. Shards are numbered once a file would pass 500 MB.
"""

import html
import re
from collections.abc import Iterable, Iterator, Mapping, Set
from contextlib import contextmanager
from pathlib import Path
from typing import TypedDict

from cai.data.columns import Arrow, Extras, extras, table
from cai.errors import RunError
from cai.store.rows import Message
from constitution.visible import visible
from constitution.wording import count

SHARD_BYTES = 500_000_000
BATCH_ROWS = 2_000

CARD = """---
configs:
- config_name: default
  data_files:
  - split: train
    path: train*.parquet
{test}---
# {title}

{about}

| | |
|---|---|
{facts}
"""
TEST = """  - split: test
    path: test*.parquet
"""


class DatasetRow(TypedDict):
    """What a row of every dataset has; ``prompt_id`` is not written."""

    prompt: list[Message]
    id: str
    track: str
    prompt_id: int


class CompletionRow(DatasetRow):
    """An answer to be learnt as it is.

    Attributes:
        principles: under which it was made.
        revision: how many revisions it is of.
    """

    completion: list[Message]
    source: str
    principles: list[str]
    revision: int


class PreferenceRow(DatasetRow):
    """Two answers, the better one first; see ``cai.stages.prefs``."""

    chosen: list[Message]
    rejected: list[Message]
    chosen_prob: float
    chosen_prob_raw: float
    margin: float
    principles: list[str]
    judge: str


class MarkedRow(DatasetRow):
    """An answer that is good or bad by itself."""

    completion: list[Message]
    label: bool


class RankedRow(DatasetRow):
    """Answers in the order of their scores."""

    completions: list[list[Message]]
    scores: list[float]


class Shards:
    """Writes one split, aside until it is complete."""

    def __init__(self, folder: Path, split: str, more: Extras = frozenset()) -> None:
        self.folder, self.split, self.more = folder, split, more
        self.rows: list[dict[str, object]] = []
        self.files: list[Path] = []
        self.writer: Arrow = None
        self.count = 0

    def add(self, row: dict[str, object]) -> None:
        """One more example, none of whose keys may be left out."""
        assert extras(row) <= self.more, "a dataset is told beforehand what its messages carry"
        self.rows.append(row)
        self.count += 1
        if len(self.rows) >= BATCH_ROWS:
            self._flush()

    def finish(self) -> None:
        """Complete the split: from now on its files have their names."""
        self._flush()
        self._end_file()
        for old in self.folder.glob(f"{self.split}*.parquet"):
            old.unlink()
        for number, file in enumerate(self.files):
            name = f"{self.split}.parquet" if len(self.files) == 1 else f"{self.split}-{number:05d}.parquet"
            file.replace(self.folder / name)

    def _flush(self) -> None:
        import pyarrow.parquet as parquet

        if not self.rows:
            return
        part = table(self.rows, self.more)
        if self.writer is None:
            self.files.append(self.folder / f".{self.split}-{len(self.files)}.tmp")
            self.files[-1].unlink(missing_ok=True)  # a link of this name is not written through
            self.writer = parquet.ParquetWriter(self.files[-1], part.schema)
        self.writer.write_table(part)
        self.rows = []
        if self.files[-1].stat().st_size >= SHARD_BYTES:
            self._end_file()

    def _end_file(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None


def write(
    folder: Path, rows: Iterable[Mapping[str, object]], test_prompts: Set[object], more: Extras = frozenset()
) -> dict[str, int]:
    """Write the splits; ``prompt_id``, which rows of one prompt share, says which side a row is on and is not written.

    Args:
        more: what of all rows is ``extras``: of what is not told here, nothing is written.

    Returns:
        split → rows.
    """
    splits = {split: Shards(folder, split, more) for split in ("train", "test")}
    for row in rows:
        side = "test" if row["prompt_id"] in test_prompts else "train"
        splits[side].add({key: value for key, value in row.items() if key != "prompt_id"})
    for shards in splits.values():
        shards.finish()
    return {split: shards.count for split, shards in splits.items()}


def files(folder: Path, split: str) -> list[str]:
    """The Parquet files of a split; empty where it has no rows."""
    return sorted(map(str, folder.glob(f"{split}*.parquet")))


def all_files(folder: Path) -> list[Path]:
    """The files of all splits."""
    return sorted(folder.glob("*.parquet"))


def rows(path: Path) -> Iterator[dict[str, object]]:
    """The rows of a file, as they are written.

    Raises:
        RunError: it is damaged.
    """
    import pyarrow.parquet as parquet

    with _readable(path):
        for batch in parquet.ParquetFile(path).iter_batches(64):
            yield from batch.to_pylist()


@contextmanager
def _readable(path: Path | str) -> Iterator[None]:
    """What is wrong with a file as a sentence."""
    import pyarrow

    if not Path(path).is_file():  # a pipe would be waited for
        raise RunError(f"{path} is no file; put it back, or do its stage again with --redo")
    try:
        yield
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        why = (str(error) or type(error).__name__).splitlines()[0]
        raise RunError(f"{path} is damaged ({why}); put it back, or do its stage again with --redo") from None


def whole(folder: Path, splits: Mapping[str, int], redo: str) -> None:
    """Make sure that a dataset has the rows that it was written with, by its files' own counts.

    Args:
        splits: split → rows.
        redo: the stage that made it.

    Raises:
        RunError: a file is gone, or is another one.
    """
    import pyarrow.parquet as parquet

    for split, rows in splits.items():
        rows_there = 0
        for file in files(folder, split):
            with _readable(file):
                rows_there += parquet.read_metadata(file).num_rows
        if rows_there != rows:
            wanted = count(rows, f"{split} row")
            raise RunError(
                f"{folder} should have {wanted} and has {rows_there}; put its Parquet files back, or do the stage again with: "
                f"--redo {redo}"
            )


def card(title: str, about: str, facts: Mapping[str, object], has_test: bool) -> str:
    """The text of ``README.md`` beside a dataset; ``datasets`` reads its splits from the head."""
    lines = "\n".join(f"| {name} | {_bare(str(value))} |" for name, value in facts.items())
    return CARD.format(title=_bare(title), about=about, facts=lines, test=TEST if has_test else "")


def _bare(text: str) -> str:
    """A name as Markdown shows it letter by letter: in one line, neither HTML nor a table's cell, an image or a link."""
    return re.sub(r"([\\`*\[\]|~])", r"\\\1", html.escape(visible(" ".join(text.split())), quote=False))
