"""The kinds of files of rows, by their endings."""

from pathlib import Path

from cai.errors import UserError

KINDS = {
    **dict.fromkeys((".jsonl", ".ndjson"), "jsonl"),
    **{f".{kind}": kind for kind in ("json", "csv", "tsv", "parquet", "arrow")},
}
"""Ending → the kind of file."""
PACKED = (".gz", ".zst")
"""Endings of packed files, after that of a text file."""
KIND_LIST = f"{', '.join(KINDS)} files (a text file may be packed as .gz or .zst)"


def kind(path: Path) -> str:
    """The kind of a file by its ending, without that of packing.

    Raises:
        UserError: it is none of those that are known.
    """
    name = path.name.lower()
    bare = next((name.removesuffix(each) for each in PACKED if name.endswith(each)), name)
    ending = Path(bare).suffix
    if ending not in KINDS or (bare != name and ending in (".parquet", ".arrow")):
        raise UserError(f"{path}: rows come from {KIND_LIST}, folders of them, or `hub:`; convert it to one of them")
    return KINDS[ending]


def of_one_kind(path: Path, paths: list[Path]) -> list[Path]:
    """Files, as they are.

    Args:
        path: what stands for them.

    Raises:
        UserError: they are of several kinds.
    """
    kinds = {kind(each) for each in paths}
    if len(kinds) > 1:
        raise UserError(
            f"{path}: stands for files of several kinds ({', '.join(sorted(kinds))}); name one, as in *.{min(kinds)}"
        )
    return paths
