"""A chat as it goes on: what the person types, and what each line does."""

import random
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import count as numbers
from pathlib import Path

from cai.cli.chat_models import USUAL, ChatModels, Sampling
from cai.cli.chat_talk import VOTES, Talk, Turn, count_pairs, rows
from cai.cli.chat_view import HELP, View, heading
from cai.errors import RunError, UserError
from cai.store.files import write_lines
from cai.store.identity import is_text
from cai.store.rows import encode
from constitution.source import nearest
from constitution.wording import count

KEPT = "chat-votes{}.jsonl"
"""Where votes go that nobody saved."""
COMMANDS = ("/help", *(word.partition(" ")[0] for word, _ in HELP))


@dataclass(frozen=True, slots=True)
class ChatWishes:
    """How a chat is to go.

    Attributes:
        system: what the conversation begins with.
        blind: whether the person is not to know whose answer is whose before a vote.
    """

    system: str = ""
    sampling: Sampling = USUAL
    blind: bool = False


class Session:
    """A chat as it goes on: the conversations so far, and what the person types."""

    def __init__(self, names: Sequence[str], want: ChatWishes, models: ChatModels, view: View) -> None:
        self.names, self.want, self.models, self.view = names, want, models, view
        self.seeds, self.talks = want.sampling.generator(), list[Talk]()
        self.pending, self.unsaved, self.own = "", False, set[Path]()
        self.shown: Turn | None = None
        self._begin()

    def _begin(self) -> None:
        """Another conversation; whose answers stand first is drawn anew where the person is not to know."""
        order = list(range(len(self.names)))
        if self.want.blind:
            random.SystemRandom().shuffle(order)
        self.talks.append(Talk(self.names, self.want.system, tuple(order), self.want.blind))

    @property
    def talk(self) -> Talk:
        """The conversation that goes on."""
        return self.talks[-1]

    def go(self, lines: Iterable[str]) -> None:
        """All that is typed; votes that were not saved are kept at the end, whatever ended it.

        Raises:
            UserError, RunError: where nobody sits before it, a line is wrong, or cannot be answered.
        """
        sampling = self.want.sampling
        if self.view.live:
            many = f"temperature {sampling.temperature:g}, at most {count(sampling.max_tokens, 'token')} an answer"
            self.view.note(f"{' and '.join(self.names)}; {many}. /help lists the commands, Ctrl-D ends.")
        try:
            for line in lines:
                if not self._line(line):
                    break
        finally:
            self._end()

    def _line(self, line: str) -> bool:
        """One line; whether the chat goes on. In a terminal what is wrong with it is said, and nothing is lost."""
        try:
            return self._take(line)
        except (RunError, UserError) as error:
            if not self.view.live:
                raise
            self.view.note(f"error: {error}")
        except KeyboardInterrupt:
            if not self.view.live:
                raise
            self.view.note("(stopped; /retry asks again)")
        return True

    def _take(self, line: str) -> bool:
        if len(self.names) > 1 and self.talk.turns and line in VOTES:
            self._vote(line)
        elif line.startswith("/"):
            word, _, rest = line.partition(" ")
            return self._command(word, rest.strip())
        elif line:
            self._say(line[1:] if line[0] == "\\" and (line[1:] in VOTES or line[1:2] == "/") else line)
        return True

    def _command(self, word: str, rest: str) -> bool:
        match word:
            case "/help":
                self.view.help(len(self.names) > 1)
            case "/undo":
                self.pending = self._last().person
                self.talk.turns.pop()
                left = count(len(self.talk.turns), "turn")
                self.view.note(f'"{textwrap.shorten(self.pending, 40, placeholder="…")}" is taken back, {left} left')
            case "/retry":
                self._again()
            case "/new":
                self._begin()
                self.pending, self.shown = "", None
            case "/thoughts":
                self.view.thoughts(self.talk, self.shown or self._last())
            case "/save":
                self._save(rest)
            case "/quit":
                return False
            case _:
                raise UserError(
                    f"there is no command {word}; {nearest(word, list(COMMANDS))} (\\{word} says it to the model)"
                )
        return True

    def _last(self) -> Turn:
        """The last turn.

        Raises:
            UserError: nothing was said yet.
        """
        if not self.talk.turns:
            raise UserError("nothing was said in this conversation yet")
        return self.talk.turns[-1]

    def _again(self) -> None:
        """What was stopped or taken back, or else the last turn, by another seed; the turn stays where that is stopped too."""
        pending, former = self.pending, list(self.talk.turns)
        person = pending or self._last().person
        if not pending:
            self.talk.turns.pop()
        kept = False
        try:
            kept = self._say(person)
        finally:
            if not kept:
                self.talk.turns[:], self.pending = former, pending

    def _say(self, person: str) -> bool:
        """Ask it; whether each model said something, without which there is nothing to go on from."""
        if not is_text(person):
            raise UserError("that is not UTF-8 text; check the terminal's encoding")
        self.pending = person
        with self.view.waiting([heading(self.talk, column) for column in range(len(self.talk.order))]):
            answers = self.models.answers(self.talk, person, self.want.sampling, self.seeds.getrandbits(31))
        self.shown = Turn(person, answers)
        self.view.answers(self.talk, self.shown)
        if any(not answer.text for answer in answers):
            return False
        self.talk.turns.append(self.shown)
        self.pending = ""
        return True

    def _vote(self, word: str) -> None:
        talk = self.talk
        talk.vote(word)
        self.unsaved = True
        if talk.hidden:
            talk.hidden = False
            self.view.note(f"kept. {self._reveal(talk)}; /new hides it again")
        else:
            self.view.note("kept")

    def _reveal(self, talk: Talk) -> str:
        return " and ".join(f"{column} was {talk.names[side]}" for column, side in enumerate(talk.order, 1))

    def _save(self, name: str) -> None:
        """Write all that was said to a file, which may be one that was written before in this chat.

        Raises:
            UserError: no file is named, it is somebody else's, or nothing was said.
        """
        path = self._file(name)
        lines = [encode(row) for talk in self.talks for row in rows(talk)]
        if not lines:
            raise UserError("nothing was said yet that could be saved")
        write_lines(path, lines)
        self.own.add(path.resolve())
        self.unsaved = False
        votes, pairs = sum(talk.votes for talk in self.talks), sum(map(count_pairs, self.talks))
        apart = (
            f", and {count(votes - pairs, 'vote')} on answers to conversations that had gone apart"
            if votes > pairs
            else ""
        )
        self.view.note(f"{path}: {count(len(lines), 'row')}, of which {count(pairs, 'pair')}{apart}")

    def _file(self, name: str) -> Path:
        """Where to write; raises as ``_save``."""
        try:
            path = Path(name).expanduser()
            if name and (not path.exists() or path.resolve() in self.own):
                return path
        except (OSError, RuntimeError, ValueError):  # too long a name, no such person, a NUL
            raise UserError(f"{name} cannot be a file; name another") from None
        raise UserError(
            f"{path} is there already; name another file" if name else "/save FILE: name a file, such as a.jsonl"
        )

    def _end(self) -> None:
        if self.unsaved and any(talk.votes for talk in self.talks):
            names = (KEPT.format(f"-{number}" if number > 1 else "") for number in numbers(1))
            self._save(next(name for name in names if not Path(name).exists()))
        for talk in self.talks:
            if talk.hidden and talk.turns:
                self.view.note(self._reveal(talk))
