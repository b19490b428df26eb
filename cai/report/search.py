"""What a search for the best form of asking shows: a table of the forms, what the held-out half says, and lines for a recipe."""

from collections.abc import Iterator

from rich.table import Table

from cai.flow.screen import Screen
from cai.flow.terminal import line
from cai.judge.exam import ExamFigures, FormFigures, SearchFigures
from cai.report.format import interval, number, percent

COLUMNS = ("form", "accuracy", "95%", "same pos.", "unread", "Brier", "tokens", "s")


def show(figures: ExamFigures, screen: Screen) -> None:
    """Print it all."""
    found = figures.get("search")
    assert found is not None
    screen.console.print(table(found))
    for text in sentences(figures):
        screen.say(text)
    for text in found["recipe"].splitlines():
        line(text)


def table(found: SearchFigures) -> Table:
    """A row for each form, the best first, on the half of the pairs that was searched on."""
    shown = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    for number_, heading in enumerate(COLUMNS):
        shown.add_column(heading, justify="right" if number_ else "left", overflow="fold")
    for each in found["forms"]:
        shown.add_row(*cells(each), style="bold" if each["form"] == found["best"] else "")
    return shown


def cells(each: FormFigures) -> list[str]:
    """A form's figures as text, in the order of ``COLUMNS``."""
    return [
        f"{each['form']} ({each['published']})" if each["published"] else each["form"],
        percent(each["accuracy"]["value"]),
        interval(each["accuracy"]),
        percent(each["same_position"]),
        percent(each["unread"]),
        number(each["brier"]),
        f"{each['tokens']:,}",
        f"{each['seconds']:.0f}",
    ]


def sentences(figures: ExamFigures) -> Iterator[str]:
    """What came out: the accuracies on the held-out half, and what they allow to say."""
    found = figures.get("search")
    assert found is not None
    yield f"{len(found['forms'])} forms on {found['pairs']} pairs; in bold the best. On {found['held_out']} held-out pairs:"
    for form, method in zip(dict.fromkeys((found["usual"], found["best"])), figures["methods"].values(), strict=True):
        same = percent(method["position"]["rate"])
        yield f"  {form}: accuracy {percent(method['accuracy']['value'])} ({interval(method['accuracy'])}), same position {same}"
    yield found["says"]
    yield from found["notes"]
