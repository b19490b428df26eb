"""The files that come with the toolkit, constitutions and prompts in ``principles/`` and recipes in ``runs/``, and where
a named file is looked for.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

HOME = Path(__file__).resolve().parent.parent
"""The folder of the packages: a checkout, or site-packages."""
SHIPPED = next(folder for folder in (HOME / "cai" / "shipped", HOME) if folder.is_dir())
"""The folder of the files: a wheel has them in the package cai, a checkout beside it."""
FOLDERS = ("principles", "principles/prompts", "runs")


def find(name: str | Path, beside: Path = Path()) -> Path | None:
    """The first of: beside a file, in the current folder, among the shipped files."""
    try:
        path = Path(name).expanduser()
        return next((place for place in _places(path, beside) if place.exists()), None)
    except (OSError, RuntimeError, ValueError):  # too long a name, no such person, a NUL
        return None


def _places(path: Path, beside: Path) -> Iterator[Path]:
    yield from (beside / path, path)
    if path.parts[:1] in (("principles",), ("runs",)):
        yield SHIPPED / path


def advice(name: str | Path, usual: str, folders: Sequence[str] = FOLDERS) -> str:
    """What to do about a file that is not there: give one of that name in full, or as usual.

    It is not taken by itself: a recipe that lost its own harmless.yaml should not go on with another one.

    Args:
        folders: in which it may be.
    """
    candidates = [f'"{whole}"' for whole in _wholes(name, folders)]
    return f"did you mean {' or '.join(candidates)}?" if candidates else usual


def missing(name: str, beside: str, folders: Sequence[str] = FOLDERS) -> str:
    """The sentence for a file that is named in another, and is nowhere where it is looked for.

    Args:
        beside: what it is named in, such as "the recipe".
        folders: of the shipped files, in which it may be.
    """
    places = f"beside {beside} or in this folder"
    if not _wholes(name, folders):
        places = f"beside {beside}, in this folder or among the shipped files"
    return f"there is no file {name} {places}; {advice(name, 'check the path', folders)}"


def _wholes(name: str | Path, folders: Sequence[str]) -> list[str]:
    """The shipped files that have this name, in full."""
    last = Path(name).name
    wholes = [f"{folder}/{last}" for folder in folders if last]
    return [whole for whole in wholes if whole != str(name) and (file := find(whole)) and file.is_file()]
