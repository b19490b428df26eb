"""A byte that changed since it was written: seen before anything is made of it, and said with its file and what to do."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from cai.cli.look import Look, look_at
from cai.data.locations import files
from cai.data.prompt_source import PromptSource
from cai.errors import RunError, UserError
from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.report.page import write_report
from cai.report.rows import RowQuery, print_rows
from cai.run.walk import start
from cai.store import audit
from cai.store.ledger import Fingerprint
from cai.store.part import Part
from cai.store.rows import Drop, Prompt
from cai.store.stage import Stage

Strip = Callable[[Path], None]
DATA = Path(__file__).resolve().parents[1] / "data"
SETTINGS = Fingerprint("s", {}, 0, "c0", {}, {})
WRITTEN = {
    "prompts/part-00000.jsonl": "prompts",
    "prompts/heldout/part-00000.jsonl": "prompts",
    "revise/part-00000.jsonl": "revise",
    "revise/parts.jsonl": "revise",
    "sample/drops.jsonl": "sample",
    "label/part-00000.jsonl": "label",
    "sft_set/train.parquet": "sft_set",
    "prefs/train.parquet": "prefs",
    "evaluate/metrics.json": "evaluate",
    "evaluate/answers-policy/part-00000.jsonl": "evaluate",
    "evaluate/votes-other/part-00000.jsonl": "evaluate",
}
"""File of a run → the stage to be done again where it was changed."""


def play(out: Path, said: Path | None = None) -> Path:
    """The scripted recipe's run; what the screen says goes to a file."""
    recipe = load_recipe(DATA / "scripted.yaml", ["prompts.heldout=0.3"])
    with (said or out / "said.txt").open("w") as file:
        start(recipe, out / recipe.name, Screen(Console(file=file)))
    return out / recipe.name


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, which each test copies."""
    return play(tmp_path_factory.mktemp("done"))


@pytest.fixture
def run(done: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(done, tmp_path / done.name))


def flip(path: Path) -> None:
    """Another letter or digit in the middle of a file, of as many bytes, by which JSON stays JSON."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    place = next(n for n in (*range(middle, len(data)), *range(middle)) if chr(data[n]).isalnum() and data[n] < 128)
    data[place] = ord("7") if data[place] != ord("7") else ord("3")
    path.write_bytes(data)


@pytest.mark.parametrize("file", WRITTEN)
def test_a_changed_byte_of_a_finished_run_is_told_before_any_stage(run: Path, file: str, tmp_path: Path) -> None:
    flip(run / file)
    said = tmp_path / "said.txt"
    with pytest.raises(RunError, match=rf"{file}.*; put it back, or do (it|its stage) again with.*--redo") as error:
        play(tmp_path, said)
    assert str(error.value).endswith(f"--redo {WRITTEN[file]}") or file.endswith(".parquet")
    assert "done before" not in said.read_text()


def test_the_line_is_told_that_is_no_row_any_more(run: Path, tmp_path: Path) -> None:
    part = run / "revise" / "part-00000.jsonl"
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join([lines[0], lines[1].replace(b'"drafts"', b'"drbfts"'), *lines[2:]]))
    with pytest.raises(
        RunError, match=r"line 2 of .*revise/part-00000\.jsonl is damaged: it is no chain; .* --redo revise$"
    ):
        play(tmp_path)
    part.write_bytes(b"".join([lines[0], lines[1][1:], *lines[2:]]))
    with pytest.raises(
        RunError, match=r"revise/part-00000\.jsonl is damaged: its line 2 is no JSON object; .* revise$"
    ):
        play(tmp_path)


def test_a_run_of_before_digests_were_kept_is_gone_on_with(run: Path, tmp_path: Path, without_digests: Strip) -> None:
    without_digests(run)
    assert play(tmp_path) == run


def test_reports_and_shows_make_nothing_of_what_was_changed(run: Path, tmp_path: Path) -> None:
    console = Console(file=(tmp_path / "shown.txt").open("w"))
    for file, stage in WRITTEN.items():
        whole = (run / file).read_bytes()
        flip(run / file)
        if not file.startswith(("prompts/heldout", "evaluate/metrics", "evaluate/answers", "revise/parts")):
            with pytest.raises(RunError, match=rf"{file} was changed since it was written; .*--redo {stage}$"):
                print_rows(run, stage, RowQuery(count=9999, drops="drops" in file), console)
        if not file.startswith("prompts/heldout"):
            with pytest.raises(RunError, match=rf"{file}.*--redo( {stage}$)?"):
                write_report(run, tmp_path / "report.html")
        (run / file).write_bytes(whole)
    assert not (tmp_path / "shown.txt").read_text() and not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    "file", ["revise/part-00000.jsonl", "prompts/heldout/part-00000.jsonl", "sft_set/train.parquet"]
)
@pytest.mark.parametrize("whole", [True, False])
def test_another_run_s_rows_are_not_asked_where_they_were_changed(run: Path, file: str, whole: bool) -> None:
    source = PromptSource(str((run / file).parent if whole else run / file))
    if not file.startswith("prompts/heldout"):
        assert run / file in files(source)
    flip(run / file)
    with pytest.raises(
        UserError, match=rf"{file} was changed since it was written; put it back, .*--redo {WRITTEN.get(file)}$"
    ):
        files(PromptSource(str(run / file)))
    with pytest.raises(UserError, match="was changed since it was written"):
        look_at([str(run / file)], Look(PromptSource()), True)


def part(tmp_path: Path) -> Stage:
    """A stage of one finished part that kept a and b and dropped c, sealed."""
    stage = Stage(tmp_path / "s")
    stage.begin(SETTINGS)
    made = Part(stage, 0)
    for row in ("a", "b"):
        made.put(row, [Prompt(row, (), "", "redteam")], (10, 0, 1))
    made.drop(Drop("c", "empty"), (1, 0, 0))
    made.finish(["a", "b", "c"])
    stage.close(SETTINGS, stage.tally())
    return stage


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        (
            "parts.jsonl",
            '"tokens_in": 21',
            '"tokens_in": 91',
            "parts.jsonl tells of 91 tokens_in, and the stage's seal of 21",
        ),
        (
            "parts.jsonl",
            '"rows_in": 3',
            '"rows_in": 4',
            r"parts.jsonl is damaged \(line 1: it tells of 4 in, 2 kept and 1 left out\)",
        ),
        (
            "parts.jsonl",
            '"tokens_out": 2',
            '"tokens_out": -2',
            r"line 1 does not fit \(tokens_out: expected a number from 0",
        ),
        (
            "seal.json",
            '"rows_kept": 2',
            '"rows_kept": 3',
            r"seal.json is damaged \(it tells of 3 in, 3 kept and 1 left out\)",
        ),
        (
            "seal.json",
            '"tokens_out": 2',
            '"tokens_out": 7',
            "parts.jsonl tells of 2 tokens_out, and the stage's seal of 7",
        ),
        ("drops.jsonl", '"reason":"empty"', '"reason":"other"', "drops.jsonl has other reasons for the rows of part 0"),
    ],
)
def test_figures_that_do_not_agree_are_told_without_digests_too(
    tmp_path: Path, without_digests: Strip, name: str, old: str, new: str, words: str
) -> None:
    stage = part(tmp_path)
    without_digests(stage.folder)
    audit.whole(stage)
    path = stage.folder / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(RunError, match=rf"{words}.*; put it back, or do it again with: --redo s$"):
        audit.whole(stage)


@pytest.mark.parametrize("make", [Path.unlink, flip])
@pytest.mark.parametrize("name", ["parts.jsonl", "drops.jsonl"])
def test_what_a_seal_knows_is_there_as_it_was(tmp_path: Path, name: str, make: Callable[[Path], None]) -> None:
    stage = part(tmp_path)
    audit.whole(stage)
    make(stage.folder / name)
    with pytest.raises(RunError, match=rf"{name}.*--redo s$"):
        audit.whole(stage)


def crlf(folder: Path) -> None:
    for path in folder.rglob("*.jsonl"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))


def test_lines_that_a_copy_ended_otherwise_are_told(run: Path, tmp_path: Path, without_digests: Strip) -> None:
    shutil.copytree(run, tmp_path / "older" / run.name)
    crlf(run)
    with pytest.raises(
        RunError, match=r"part-00000\.jsonl was changed since it was written, at the ends of its 16 lines; .* prompts$"
    ):
        play(tmp_path)
    without_digests(tmp_path / "older" / run.name)
    crlf(tmp_path / "older" / run.name)  # of those from before, each line is the row that it was
    play(tmp_path / "older", tmp_path / "said.txt")
    assert "revise: done before" in (tmp_path / "said.txt").read_text()


@pytest.mark.parametrize("stage", ["revise", "sft_set"])
def test_a_stage_that_is_on_another_disk_is_a_stage(run: Path, tmp_path: Path, stage: str) -> None:
    shutil.move(run / stage, tmp_path / "disk")
    (run / stage).symlink_to(tmp_path / "disk")
    play(tmp_path, tmp_path / "said.txt")
    assert f"{stage}: done before" in (tmp_path / "said.txt").read_text()
    flip(next(path for path in sorted(run.glob(f"{stage}/*")) if path.name.startswith(("part-00000", "train"))))
    with pytest.raises(RunError, match=rf"scripted/{stage}/.*--redo"):
        play(tmp_path)


@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize(("seal", "to"), [("revise", "sample"), ("prefs", "sft_set"), ("label", "revise")])
def test_another_stage_s_seal_is_none_of_this_one(
    run: Path, tmp_path: Path, seal: str, to: str, old: bool, without_digests: Strip
) -> None:
    if old:
        without_digests(run)
    shutil.copy(run / seal / "seal.json", run / to / "seal.json")
    with pytest.raises(
        RunError, match=rf"scripted/{to}.* should have|scripted/{to}.*, and the stage's seal of .*--redo {to}$"
    ):
        play(tmp_path)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: "\ufeff" + text, r"seal\.json is damaged, as it is not JSON \(.*BOM"),
        (lambda text: text.replace('"files": {', '"files": {"../../../etc/passwd": "00",'), r"revise/passwd is gone"),
        (
            lambda text: text[:-2].rsplit('"versions"', 1)[0] + '"files": []}',
            r"seal\.json is damaged \((versions: is missing|files: expected an object)",
        ),
    ],
)
def test_a_seal_that_was_rewritten_is_told_with_its_stage(
    run: Path, tmp_path: Path, change: Callable[[str], str], words: str
) -> None:
    seal = run / "revise" / "seal.json"
    seal.write_text(change(seal.read_text()))
    with pytest.raises(RunError, match=rf"{words}.*; put it back, or do it again with: --redo revise$"):
        play(tmp_path)


@pytest.mark.parametrize("old", [True, False])
def test_sides_of_a_set_that_were_swapped_are_told(
    run: Path, tmp_path: Path, old: bool, without_digests: Strip
) -> None:
    if old:
        without_digests(run)
    train, test = run / "sft_set" / "train.parquet", run / "sft_set" / "test.parquet"
    whole = train.read_bytes()
    train.write_bytes(test.read_bytes()), test.write_bytes(whole)
    with pytest.raises(RunError, match=r"sft_set should have 35 train rows and has 4; .*--redo sft_set$"):
        play(tmp_path)
