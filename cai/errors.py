"""The errors a user may meet, as one tree.

    InputError (constitution)
    CaiError
    ├── UserError      what the user wrote is wrong (exit code 2); an InputError too
    ├── RunError       the run cannot go on: a server died, a disk is full (exit code 1)
    │   └── Damage     a file of a run is not as it was written
    └── RowError       this row cannot be done; it is dropped with the reason and the run goes on

Every message is one sentence that says what is wrong, where, and what to do.
"""

from constitution.source import InputError
from constitution.visible import without_password

DISTRIBUTION = "cai-toolkit"
"""What pip knows this package as."""


class CaiError(Exception):
    """Base of the errors of ours, each with a sentence meant for people; none holds the password of a server's URL."""

    def __init__(self, text: str = "", *more: object) -> None:
        super().__init__(without_password(text), *more)


class UserError(CaiError, InputError):
    """The input is wrong: a recipe, a constitution, a path, an argument."""


class RunError(CaiError, RuntimeError):
    """The run had to stop; what was written stays and the same command goes on from there."""


class Damage(RunError):
    """A file of a run is not as it was written.

    Attributes:
        what: which, where, and what is wrong with it.
    """

    def __init__(self, what: str, advice: str = "put it back as it was, or redo its stage") -> None:
        super().__init__(f"{what}; {advice}")
        self.what = without_password(what)

    def __reduce__(self) -> tuple[object, ...]:
        return RunError, self.args  # what crosses to another process is the sentence


class RowError(CaiError):
    """One row cannot be answered (context too long, refused by the server).

    Attributes:
        reason: short, from a small set, counted in the ledger.
        detail: the server's own words.
    """

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(detail or reason)
        self.reason = reason
        self.detail = without_password(detail)


def install(extra: str) -> str:
    """What to run for the packages of one of our extras."""
    return f"make install, or {pip_install(extra)}"


def pip_install(extra: str) -> str:
    """As ``install``, for an extra that ``make install`` leaves out."""
    return f"pip install '{DISTRIBUTION}[{extra}]'"


def first(error: BaseException) -> BaseException:
    """The first error of a group, as a task group raises it; an error alone is itself."""
    return first(error.exceptions[0]) if isinstance(error, BaseExceptionGroup) else error
