"""``cai measure``: refusals, sermons and habits in files of answers, whoever wrote them; others are compared with the first."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from cai.data.answers import AnswerSource, answers
from cai.data.fingerprints import marks
from cai.errors import UserError
from cai.flow.terminal import line
from cai.judge.measures import growth, measures
from cai.report.measures import growth_lines, habits, kinds_line, table
from cai.report.summary import plain_console
from cai.store.rows import Answers, Drop
from constitution.shipped import advice, find
from constitution.wording import count


def measure_files(names: Sequence[str], want: AnswerSource, kind: str, as_json: bool) -> None:
    """Print the measures of each file, and how they grew from the first one's.

    Args:
        want: its path is each file's.
        kind: print the answers of this kind as well, each with the sentence that decided; none where empty.

    Raises:
        UserError: a file cannot be read, or is named twice.
    """
    rows = {name: _rows(name, want) for name in _each_once(names)}
    kept = {name: [row for row in some if isinstance(row, Answers)] for name, some in rows.items()}
    drops = {name: [row for row in some if isinstance(row, Drop)] for name, some in rows.items()}
    figures = {name: measures(some) for name, some in kept.items()}
    first, *others = names
    moved = {name: growth(kept[first], kept[name]) for name in others}
    if as_json:
        plain = {name: {**each, "growth": moved[name]} if name in moved else each for name, each in figures.items()}
        line(json.dumps({**plain, "left_out": {name: len(some) for name, some in drops.items()}}, indent=2))
        return
    plain_console().print(table(figures))
    for name, each in figures.items():
        line(f"\n{name}: {kinds_line(each)}")
        for text in (
            *_left_out(drops[name]),
            *habits(each),
            *_grown(first, moved.get(name)),
            *_shown(kept[name], kind),
        ):
            line(f"  {text}")


def _each_once(names: Sequence[str]) -> Sequence[str]:
    twice = [name for number, name in enumerate(names) if name in names[:number]]
    if twice:
        raise UserError(f"{twice[0]} is named twice; name each file once")
    return names


def _rows(name: str, want: AnswerSource) -> list[Answers | Drop]:
    """A file's answers; a prompt that is there again counts again."""
    path = find(name)
    if path is None:
        raise UserError(f"{name}: there is no such file; {advice(name, 'check the path')}")
    if (path / "seal.json").exists():
        path = path / "part-*.jsonl"  # a folder of a run's rows
    seen: dict[str, int] = {}
    rows: list[Answers | Drop] = []
    for row in answers(replace(want, path=str(path))):
        times = seen[row.id] = seen.get(row.id, 0) + 1
        rows.append(replace(row, id=f"{row.id}/{times}") if times > 1 and isinstance(row, Answers) else row)
    return rows


def _left_out(drops: Sequence[Drop]) -> Iterator[str]:
    if drops:
        yield f"left out: {count(len(drops), 'row')}, the first as {drops[0].detail}"


def _grown(first: str, moved: dict | None) -> Iterator[str]:
    if moved == {}:
        yield f"no prompt is in {first} as well, so nothing is compared; prompts are known by id, or by what they say"
    elif moved:
        yield f"beside {first}, over {count(moved['words']['of'], 'prompt')} that both answer:"
        yield from (f"  {each}" for each in growth_lines(moved))


def _shown(rows: Sequence[Answers], kind: str) -> Iterator[str]:
    for row in rows:
        stance = marks(row.draft.text).stance
        if kind and stance.kind == kind:
            yield f"{row.id}: {stance.why or 'nothing stands against it'}: {' '.join(stance.sentence.split())}"
