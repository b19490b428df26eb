"""How datasets are made: a stage sees the whole set at once, and what it gives is Parquet beside a card."""

from collections import Counter
from collections.abc import Iterator, Set

from cai.data import dataset
from cai.data import prompts as prompt_files
from cai.data.clean import HeldOut
from cai.data.columns import extras
from cai.data.dataset import DatasetRow
from cai.errors import RunError
from cai.recipe.block import Block
from cai.run.context import Run
from cai.run.sources import held_out
from cai.store.files import write_json, write_lines
from cai.store.ledger import Tally, versions
from cai.store.lines import Row
from cai.store.rows import Drop
from cai.store.stage import Stage
from constitution.load import digest


def whole_set(run: Run, block: Block) -> None:
    stage, table, settings = run.stage(block.name), block.table, run.settings(block.name)
    source = run.stage(block.reads)
    assert table.work is not None and table.takes is not None
    work, takes, heldout = table.work, table.takes, held_out(run)
    tally, drops = Tally(), []

    def free(drops: list[Drop]) -> Iterator[Row]:
        for row in source.all_rows(takes):
            if drop := heldout.drop(row.id, row.prompt):
                drops.append(drop)
            else:
                yield row

    def examples(tally: Tally, drops: list[Drop]) -> Iterator[DatasetRow]:
        for result in work(free(drops), block.want, tally.counts):
            if isinstance(result, Drop):
                drops.append(result)
                continue
            tally.rows_kept += 1
            yield from result

    def looked_at(examples: Iterator[DatasetRow], test: Set[int]) -> Iterator[DatasetRow]:
        for example in examples:
            if example["prompt_id"] not in test and heldout.near(example["prompt"]):
                tally.counts["near_held_out"] += 1
            yield example

    keys, more = set[int](), set[tuple[str, str]]()
    for example in examples(Tally(), []):
        keys.add(example["prompt_id"])
        more |= extras(example)
    test = prompt_files.smallest_hashes(keys, block.want.test, run.recipe.seed)
    splits = dataset.write(stage.folder, looked_at(examples(tally, drops), test), test, more)
    tally.rows_out = sum(splits.values())
    tally.dropped = Counter(drop.reason for drop in drops)
    tally.rows_in = tally.rows_kept + len(drops)
    stage.write_drops(drops)
    if not tally.rows_out:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.dropped.most_common())
        raise RunError(f"{block.name} has no examples ({reasons}); see {stage.folder / 'drops.jsonl'}")
    _card(run, block, stage, splits, tally, heldout)
    stage.close(settings, tally, splits=splits)


def _card(run: Run, block: Block, stage: Stage, splits: dict[str, int], tally: Tally, heldout: HeldOut) -> None:
    """The dataset's README, and its manifest for programs."""
    facts = {
        "made by": f"cai, recipe {run.recipe.name}, stage {block.name}, seed {run.recipe.seed}",
        "constitution": f"{run.constitution.name} {run.constitution.version} ({digest(run.constitution)})",
        "models": ", ".join(_made_by(run, block)),
        **{f"{split} rows": count for split, count in splits.items()},
        "held-out prompts": heldout.describe(tally.counts["near_held_out"], splits["train"]),
        "rows left out": ", ".join(f"{reason} {count}" for reason, count in sorted(tally.dropped.items())) or "none",
    }
    about = " ".join((block.table.work.__doc__ or "").split("\n")[0].split()) if block.table.work else ""
    about = f"{about} Synthetic text made by language models from prompts that invite harm: it can be wrong or harmful."
    text = dataset.card(f"{run.recipe.name}: {block.name}", about, facts, bool(splits["test"]))
    write_lines(stage.folder / "README.md", [text.rstrip("\n")])
    write_json(
        stage.folder / "manifest.json", {**facts, "splits": splits, "dropped": tally.dropped, "versions": versions()}
    )


def _made_by(run: Run, block: Block) -> list[str]:
    """The models behind a dataset: those of the stages it was made from."""
    titles: dict[str, None] = {}
    while block.reads:
        block = run.recipe.block(block.reads)
        titles |= {run.spec(role).title: None for role in block.roles()}
    return list(titles)
