"""``cai chat``: talk with a model, or with two of them side by side, and vote.

    cai chat bundled/smollm2-135m
    cai chat runs/harmless/dpo --vs runs/harmless.yaml#policy --blind
    printf 'Is 91 prime?\\n' | cai chat http://localhost:8000/v1

An answer is shown once it is whole. Two models get the same turns and the same seeds, and each goes on from its own answers.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType

from cai.cli.chat_models import ChatModels
from cai.cli.chat_session import ChatWishes, Session
from cai.cli.chat_view import View
from cai.errors import RunError, UserError
from cai.flow.screen import Screen
from cai.flow.terminal import line
from cai.models.machine import this_machine
from cai.models.spec import ModelSpec
from cai.run.roles import named_model
from cai.store.identity import is_text


def chat(model: str, other: str | None, want: ChatWishes) -> None:
    """Talk until the person ends it, or the pipe does.

    Raises:
        InputError: a model is not there; in a pipe also: a line is no text or no command.
        RunError: a model did not come up; in a pipe also: it cannot answer.
    """
    if want.blind and other is None:
        raise UserError("--blind hides which of two models says what; name the other with --vs")
    if not is_text(want.system):
        raise UserError("--system is not UTF-8 text; check the terminal's encoding")
    screen, live = Screen(), sys.stdin.isatty() and sys.stdout.isatty()
    screen.console.stderr = not live
    names = _names([model, *([] if other is None else [other])])
    specs = [named_model(model, "local", "MODEL"), *([] if other is None else [named_model(other, "local", "--vs")])]
    _check_room(specs)
    try:
        with _ended_by_signals(), ChatModels(specs, screen) as models:
            view = View(screen, live)
            Session(names, want, models, view).go(_typed(view) if live else _piped())
    except KeyboardInterrupt:
        raise RunError("stopped") from None


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """A terminal that is closed, and a kill, end a chat as Ctrl-D does: its votes are kept, and its servers end too."""
    signs = [each for each in (signal.SIGHUP, signal.SIGTERM) if signal.getsignal(each) is signal.SIG_DFL]

    def end(sign: int, _: FrameType | None) -> None:
        for each in signs:
            signal.signal(each, signal.SIG_IGN)  # a second one would cut short what is being kept
        if sign == signal.SIGHUP:  # the terminal is gone, and to write to it fails
            sys.stdout = sys.stderr = open(os.devnull, "w")  # noqa: SIM115  until this process ends, which is next
        raise SystemExit(128 + sign)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    for each in signs:
        signal.signal(each, end)
    try:
        yield
    finally:
        for each in signs:
            signal.signal(each, signal.SIG_DFL)


def _check_room(specs: Sequence[ModelSpec]) -> None:
    """Before the first of two servers takes a GPU whole.

    Raises:
        UserError: both would, as vLLM does unless it is told otherwise.
    """
    servers = [each for each in specs if each.served and each.gpu_memory is None]
    if len(servers) > 1 and this_machine().gpus and not servers[0].same_server(servers[1]):
        raise UserError(
            "--vs: two vLLM servers would each take a GPU's memory nearly whole; name the models by their folders alone, which "
            "loads them into this process, or give each its share: '{vllm: FOLDER, replicas: 1, gpu_memory: 0.4}'"
        )


def _names(models: Sequence[str]) -> list[str]:
    """What the models are called; two of one name by their places."""
    names = [each.strip() for each in models]
    return names if len(set(names)) == len(names) else [f"{name} ({place})" for place, name in enumerate(names, 1)]


def _typed(view: View) -> Iterator[str]:
    """What a person types; a line that ends in a backslash goes on in the next."""
    with suppress(ImportError):
        import readline  # noqa: F401  by which input() has a history and can be edited

    parts: list[str] = []
    while True:
        try:
            text = input("... " if parts else "you> ")
        except EOFError:
            line("")
            return
        except KeyboardInterrupt:
            line("")
            view.note("(/quit or Ctrl-D ends the chat)")
            parts = []
            continue
        except UnicodeDecodeError:
            view.note("error: that is not UTF-8 text; check the terminal's encoding")
            continue
        parts.append(text.removesuffix("\\"))
        if not text.endswith("\\"):
            yield "\n".join(parts).strip()
            parts = []


def _piped() -> Iterator[str]:
    """Each line of the pipe as a turn.

    Raises:
        UserError: one is no text.
    """
    for number, raw in enumerate(sys.stdin.buffer, 1):
        try:
            yield raw.decode("utf-8").strip()
        except UnicodeDecodeError:
            raise UserError(f"line {number} of what is piped in is not UTF-8 text; convert it first") from None
