"""``cai try``: one chain, shown as it comes: draft, critique, revision, and what the revision changed, word by word."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.padding import Padding
from rich.text import Text

from cai.cli.shared import one_of, with_model
from cai.data.endings import cut
from cai.data.prompts import TRACKS
from cai.errors import RowError, RunError, UserError
from cai.flow.ask import Ask, generator
from cai.flow.screen import Screen
from cai.models.concurrency import Slots
from cai.models.types import Model, Reply, Request
from cai.recipe.models import command_model
from cai.report.differences import difference
from cai.report.requests import lines_of
from cai.stages.revise import Revise, answer, chosen, revised_under
from cai.store.identity import content_id, is_text
from cai.store.rows import Draft, Prompt
from constitution import draw
from constitution.load import load
from constitution.model import Constitution, Principle
from constitution.source import nearest
from constitution.visible import visible


@dataclass(frozen=True, slots=True)
class Trial:
    """What is tried.

    Attributes:
        prompt: what the person asks.
        tags: the prompt's.
        principles: ids, one for each round, from the front again where there are more rounds; drawn where empty.
        want: as in a recipe's ``revise`` block.
        seed: another seed draws other principles and another draft.
        show_prompt: whether each request is shown as it is sent.
    """

    prompt: str
    tags: Sequence[str]
    principles: Sequence[str]
    want: Revise
    seed: int
    show_prompt: bool

    @property
    def row(self) -> Prompt:
        """The prompt as a row of its track."""
        message = {"role": "user", "content": self.prompt.strip()}
        return Prompt(content_id((message,)), (message,), "", self.want.tracks[0], tags=tuple(self.tags))


async def _chain(trial: Trial, constitution: Constitution, model: Model, console: Console) -> None:
    """The chain, live.

    Raises:
        UserError: a principle is not there, has no round, or none applies to the prompt.
        RunError: the model gave no answer that can be read.
    """
    row, view = trial.row, (lambda request: _print_request(console, request)) if trial.show_prompt else None
    ask = Ask(_RequestViewer(model, view), Slots(1), constitution, row.id, generator(trial.seed, "try", row.id))
    principles = _principles(trial, constitution, ask)
    try:
        with _spinner(console, "drafting"):
            draft = await answer(row, trial.want, ask)
        if not draft.text:
            raise RunError("the draft is empty; in a run the row is dropped")
        _print_head(console, f"draft, by {model.name}", draft)
        _print_text(console, draft.text)
        for number, principle in enumerate(principles, 1):
            draft = await _round(number, principle, draft, trial, ask, console)
    except RowError as error:
        raise RunError(f"the model cannot answer this: {error}") from None


async def _round(number: int, principle: Principle, draft: Draft, trial: Trial, ask: Ask, console: Console) -> Draft:
    with _spinner(console, f"critique and revision under {principle.id}"):
        revision = await revised_under(principle, trial.row, draft, trial.want, ask)
    if isinstance(revision, str):
        raise RunError(
            f"round {number}, under {principle.id}: {revision.replace('_', ' ')}; in a run the row is dropped"
        )
    _print_head(console, f"critique {number}, under {principle.id}: {principle.title}")
    _print_text(console, revision.critique)
    _print_head(console, f"revision {number}", revision)
    if revision.text == draft.text:
        _print_text(console, "(the answer as it was)")
    else:
        _print_indented(console, difference(draft.text, revision.text, console.is_terminal))
    return revision


def _principles(trial: Trial, constitution: Constitution, ask: Ask) -> Sequence[Principle]:
    for id in trial.principles:
        if id not in constitution.by_id:
            raise UserError(f'--principle: there is no principle "{id}"; {nearest(id, list(constitution.by_id))}')
    if surplus := trial.principles[trial.want.rounds :]:
        raise UserError(
            f"--rounds {trial.want.rounds} leaves no round for {', '.join(surplus)}; name fewer, or ask for more"
        )
    if trial.principles:
        choices = [constitution.by_id[id] for id in trial.principles]
        return [choices[number % len(choices)] for number in range(trial.want.rounds)]
    principles = chosen(trial.row, trial.want, constitution, ask.rng)
    if not principles:
        raise UserError("no principle of this constitution applies to such a prompt; name one with --principle")
    return principles


class _RequestViewer:
    """A model whose requests are seen before they are sent."""

    def __init__(self, inner: Model, view: Callable[[Request], None] | None) -> None:
        self.inner, self.view = inner, view
        self.name, self.concurrency, self.format = inner.name, inner.concurrency, inner.format
        self.continues = inner.continues

    async def ask(self, request: Request, row_id: str) -> Reply:
        if self.view:
            self.view(request)
        return await self.inner.ask(request, row_id)


def _spinner(console: Console, what: str) -> AbstractContextManager[object]:
    return console.status(Text(f"{what} …")) if console.is_terminal else nullcontext()


def _print_head(console: Console, text: str, draft: Draft | None = None) -> None:
    reason = cut(draft).replace("_", " ") if draft is not None else ""
    short = f" ({reason}: --max-tokens allows more)" if reason else ""
    console.print(Text(f"{text}{short}", style="bold"))


def _print_text(console: Console, text: str) -> None:
    _print_indented(console, Text(text))


def _print_indented(console: Console, text: Text) -> None:
    console.print(Padding(text, (0, 0, 0, 4), expand=False))


def _print_request(console: Console, request: Request) -> None:
    console.print(Text("sent:", style="bold dim"))
    # Exact to the letter: no wrapping, no markup, no tab made spaces; so not through the console's layout.
    console.file.write("".join(f"{visible(line)}\n" for line in lines_of(request)))
    console.file.flush()


def try_constitution(path: Path, model: str, trial: Trial) -> None:
    """One chain in the terminal."""
    one_of("--choice", trial.want.choice, draw.CHOICES)
    one_of("--track", trial.want.tracks[0], TRACKS)
    if not trial.prompt.strip():
        raise UserError("PROMPT is empty; write what the person asks")
    if not is_text(trial.prompt):
        raise UserError("PROMPT is not UTF-8 text; check the terminal's encoding")
    # One chain asks one thing at a time, and a model loads into this process sooner than a server comes up.
    constitution, spec, screen = load(path), command_model(model, prefer="local"), Screen()
    screen.console.soft_wrap = False
    with_model(spec, screen, lambda up: _chain(trial, constitution, up, screen.console))
