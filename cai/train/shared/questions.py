"""The prompts of trainers that answer them themselves: those of a ``prompts`` stage, its held-out ones apart."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from cai.data.prompts import HELDOUT
from cai.errors import RowError
from cai.stages.online import Online
from cai.store.files import append_to
from cai.store.rows import Message, Prompt
from cai.store.stage import Stage
from cai.train.rl.rollout import SeededPrompt
from cai.train.shared.job import Job
from constitution.turns import conversation

SHOWN = 4
"""Answers of each step that are kept to be read."""


@dataclass(frozen=True, slots=True)
class Questions:
    """Prompts to train on, and prompts to look with; ``too_long`` ones and those of ``other_track`` are left out."""

    train: Sequence[Prompt]
    heldout: Sequence[Prompt]
    left_out: dict[str, int]

    def counts(self, most: int) -> dict[str, int]:
        """Rows for the manifest.

        Args:
            most: held-out prompts that were looked with, at the most.
        """
        test = min(len(self.heldout), most)
        left_out = {**self.left_out, "beyond_eval_prompts": len(self.heldout) - test}
        return {"train": len(self.train), "test": test, **left_out}


def read(job: Job[Online], ask: Callable[[Sequence[Message]], Sequence[int]], most: int) -> Questions:
    """The prompts of the job's tracks that leave room for an answer.

    Args:
        ask: a conversation → its tokens.
        most: tokens of a prompt.

    Raises:
        ValueError: there is none.
    """
    tracks = job.want.tracks
    parts = {
        "train": list(Stage(job.data).all_rows(Prompt)),
        "heldout": list(Stage(job.data / HELDOUT).all_rows(Prompt)),
    }
    of_track = {name: [row for row in rows if row.track in tracks] for name, rows in parts.items()}
    lengths = {name: [_length(ask, row) for row in rows] for name, rows in of_track.items()}
    short = {
        name: [row for row, length in zip(rows, lengths[name], strict=True) if length is not None and length <= most]
        for name, rows in of_track.items()
    }
    if not short["train"]:
        raise ValueError(
            f"{job.data} has no prompt of the tracks {', '.join(tracks)} with at most {most} tokens; "
            "name other tracks, or raise max_length"
        )
    left_out = {
        "other_track": len(parts["train"]) - len(of_track["train"]),
        "too_long": sum(length is not None and length > most for each in lengths.values() for length in each),
    }
    if refusals := sum(length is None for each in lengths.values() for length in each):
        left_out["refused_by_template"] = refusals
    return Questions(short["train"], short["heldout"], left_out)


def _length(ask: Callable[[Sequence[Message]], Sequence[int]], row: Prompt) -> int | None:
    """How many tokens a prompt has; None where the chat template does not take it."""
    try:
        return len(ask(row.messages))
    except RowError:
        return None


def _words(messages: Sequence[Message]) -> str:
    """A question alone in its own words; a conversation with its speakers."""
    return conversation(messages) if messages[1:] else messages[0]["content"]


def show(
    path: Path, step: int, prompts: Sequence[SeededPrompt], texts: Sequence[str], scores: Sequence[float | None]
) -> None:
    """Keep a few answers of a step with their scores, to be read; each beside the whole conversation that it answers."""
    with append_to(path) as file:
        for each, text, score in list(zip(prompts, texts, scores, strict=True))[:SHOWN]:
            row = {"step": step, "prompt": _words(each.messages), "text": text, "score": score}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
