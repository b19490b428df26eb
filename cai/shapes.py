"""How each shape of stage is done: read prompts, map rows, work on a whole set, train, report.

A stage function opens no file and knows no folder; here its rows come from the stage before it and go to its own folder,
and here its ledger is sealed.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Set
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cai import dataset
from cai.clean import HeldOut
from cai.errors import RunError, UserError
from cai.flow.flow import flow
from cai.flow.live import Job, Observer, RowStage
from cai.flow.screen import Bar
from cai.models.bundled import resolve
from cai.recipe.block import Block
from cai.stages import pairs as pair_files
from cai.stages import prompts as prompt_files
from cai.stages.dpo import Dpo
from cai.stages.kto import Kto
from cai.stages.online import Online
from cai.stages.ppo import Ppo
from cai.stages.train import Aligned, Train
from cai.store import run_folder
from cai.store.files import read_json, write_json
from cai.store.ledger import Fingerprint, Tally, versions
from cai.store.part import sort_drops
from cai.store.rows import Drop, Pair, Prompt, plain
from cai.store.stage import Stage
from cai.train.launch import guards
from cai.train.launch.start import Where, job, train
from constitution.load import digest

if TYPE_CHECKING:
    from cai.run import Run


def prompts(run: "Run", block: Block) -> None:
    want, stage = block.want, run.stage(block.name)
    # The files are read again rather than held: of a million prompts only ids and hashes are ever in memory.
    aside, others = prompt_files.aside(want, run.recipe.seed), held_out(run, block.name)
    drops: list[Drop] = []
    counts: Counter[str] = Counter()

    def kept() -> Iterator[Prompt]:
        for row, key in prompt_files.keyed(want):
            if isinstance(row, Drop):
                drops.append(row)
            elif key in aside:
                counts["heldout"] += 1
            elif drop := others.drop(row.id, row.messages):
                drops.append(drop)
            else:
                counts["kept"] += 1
                yield row

    stage.write_parts(kept(), want.part_size)
    count = counts.total()
    if not count:
        why = f": {drops[0].detail}" if drops else ": the files are empty"
        raise UserError(f"{block.name}: no prompt could be read{why}; name a file with prompts")
    held = prompt_files.those(want, aside)
    Stage(stage.folder / prompt_files.HELDOUT).write_parts(held, want.part_size)
    stage.write_drops(drops)
    reasons = Counter(drop.reason for drop in drops)
    tally = Tally(count + len(drops), count, count, reasons, counts=Counter(heldout=counts["heldout"]))
    stage.close(run.settings(block.name), tally)


def held_out(run: "Run", but: str = "") -> HeldOut:
    """What the recipe's stages of prompts hold out, but for one; of those that are still to come, by their files."""

    def prompts_of(block: Block) -> Iterable[Prompt]:
        stage = run.stage(block.name)
        if stage.seal:
            return Stage(stage.folder / prompt_files.HELDOUT).all_rows(Prompt)
        return prompt_files.those(block.want, prompt_files.aside(block.want, run.recipe.seed))

    blocks = (each for each in run.recipe.blocks if each.kind == "prompts" and each.name != but)
    return HeldOut(row.messages for block in blocks for row in prompts_of(block))


def pairs(run: "Run", block: Block) -> None:
    stage, drops, kept, held = run.stage(block.name), [], Counter(), held_out(run)

    def sorted_out() -> Iterator[Pair]:
        for row in pair_files.read(block.want):
            if isinstance(row, Drop):
                drops.append(row)
            elif drop := held.drop(row.id, row.messages):
                drops.append(drop)
            else:
                kept["pairs"] += 1
                kept["tied"] += row.people != () and sum(row.people) / len(row.people) == 0.5
                yield row

    stage.write_parts(sorted_out(), block.want.part_size)
    reasons = Counter(drop.reason for drop in drops)
    if not kept["pairs"]:
        why = f": {drops[0].detail}" if drops else ": the file is empty"
        raise UserError(f"{block.name}: no pair could be read{why}; name a file with pairs")
    stage.write_drops(drops)
    count = kept.pop("pairs")
    stage.close(run.settings(block.name), Tally(count + len(drops), count, count, reasons, counts=+kept))


SOURCES = {"prompts": prompts, "pairs": pairs}


async def rows(run: "Run", group: list[Block]) -> None:
    """Take rows through row stages, and seal those; raises RunError where there is no row, before a model starts."""
    if not run.stage(group[0].reads).tally().rows_out:
        raise RunError(f"{group[0].name} has no row to work on, as {group[0].reads} gave none; give that more to read")
    await through(run, [_work(run, block) for block in group], run.stage(group[0].reads))
    for block in group:
        seal_rows(run.stage(block.name), run.settings(block.name), run.stage(block.reads))


def _work(run: "Run", block: Block) -> RowStage:
    table, want = block.table, block.want
    assert table.work is not None and table.takes is not None

    async def do(row: Any, ask: Any) -> list[Any] | Drop:
        out = await table.work(row, want, ask)  # pyright: ignore[reportOptionalCall]
        return out if isinstance(out, list | Drop) else [out]

    return RowStage(block.name, run.stage(block.name), table.takes, do, tuple(block.roles()))


async def through(run: "Run", works: list[RowStage], source: Stage) -> None:
    """Take the source's rows through row stages, here or over a cluster, with a bar for each."""
    roles = list(dict.fromkeys(role for work in works for role in work.roles))
    task = Job(works, {role: run.spec(role) for role in roles}, run.constitution, run.recipe.seed)
    total = sum(map(source.count, source.parts()))
    if run.cluster:
        with run.screen.bars():
            bars = {work.name: run.screen.bar(work.name, total, work.folder.count_done()) for work in works}
            from cai.cluster import handout

            await handout.through(run.cluster, task, source, bars)
        return
    steps = task.live(await run.fleet.roles(task.specs))
    with run.screen.bars():
        bars = {work.name: run.screen.bar(work.name, total, work.folder.count_done()) for work in works}
        for step in steps:
            bars[step.name].slots = step.slots
            step.observer = Observer(on_row=lambda name, tokens, reason: bars[name].advance(tokens, reason))
        await flow(steps, source, 2 * max(step.slots.most for step in steps))


def seal_rows(stage: Stage, settings: Fingerprint, source: Stage) -> None:
    """Seal a row stage from the ledgers of its parts.

    Raises:
        RunError: it kept no row, so that what follows would work on nothing; or it has not had every row of its source.
    """
    tally = stage.tally()
    if tally.rows_in != (there := source.tally().rows_out):
        redo = stage.name if stage.name == settings.stage else settings.stage.rpartition("/")[0]
        raise RunError(
            f"{stage.folder} has a ledger of {tally.rows_in} rows, and {source.folder} has {there}; do it again with: "
            f"--redo {redo}"
        )
    # Only drops need an order, so only their ids are looked up, in the parts that have some.
    left_out = {drop["in"]: drop["part"] for drop in stage.drops()}
    parts = sorted(set(left_out.values()))
    numbered = ((place, row["id"]) for number in parts for place, row in enumerate(source.rows(dict, number)))
    sort_drops(stage, {row_id: place for place, row_id in numbered if row_id in left_out})
    if tally.rows_in and not tally.rows_out:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.dropped.most_common())
        raise RunError(
            f"{stage.name} kept none of {tally.rows_in} rows ({reasons}); see {stage.folder / 'drops.jsonl'}"
        )
    stage.close(settings, tally)


def whole_set(run: "Run", block: Block) -> None:
    stage, table, settings = run.stage(block.name), block.table, run.settings(block.name)
    source = run.stage(block.reads)
    assert table.work is not None and table.takes is not None
    work, takes, held = table.work, table.takes, held_out(run)
    tally, drops = Tally(), []

    def free(drops: list[Drop]) -> Iterator[Any]:
        for row in source.all_rows(takes):
            if drop := held.drop(row.id, row.messages):
                drops.append(drop)
            else:
                yield row

    def examples(tally: Tally, drops: list[Drop]) -> Iterator[dict[str, Any]]:
        for result in work(free(drops), block.want, tally.counts):
            if isinstance(result, Drop):
                drops.append(result)
                continue
            tally.rows_kept += 1
            yield from result

    def looked_at(examples: Iterator[dict[str, Any]], test: Set[int]) -> Iterator[dict[str, Any]]:
        for example in examples:
            if example["prompt_id"] not in test and held.near(example["prompt"]):
                tally.counts["near_held_out"] += 1
            yield example

    keys = {example["prompt_id"] for example in examples(Tally(), [])}
    test = prompt_files.held_out(keys, block.want.test, run.recipe.seed)
    splits = dataset.write(stage.folder, looked_at(examples(tally, drops), test), test)
    tally.rows_out = sum(splits.values())
    tally.dropped = Counter(drop.reason for drop in drops)
    tally.rows_in = tally.rows_kept + len(drops)
    stage.write_drops(drops)
    if not tally.rows_out:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.dropped.most_common())
        raise RunError(f"{block.name} has no examples ({reasons}); see {stage.folder / 'drops.jsonl'}")
    _card(run, block, stage, splits, tally, held)
    stage.close(settings, tally, splits=splits)


def _card(run: "Run", block: Block, stage: Stage, splits: dict[str, int], tally: Tally, held: HeldOut) -> None:
    """The dataset's README, and its manifest for programs."""
    facts = {
        "made by": f"cai, recipe {run.recipe.name}, stage {block.name}, seed {run.recipe.seed}",
        "constitution": f"{run.constitution.name} {run.constitution.version} ({digest(run.constitution)})",
        "models": ", ".join(_made_by(run, block)),
        **{f"{split} rows": count for split, count in splits.items()},
        "held-out prompts": held.describe(tally.counts["near_held_out"], splits["train"]),
        "rows left out": ", ".join(f"{reason} {count}" for reason, count in sorted(tally.dropped.items())) or "none",
    }
    about = " ".join((block.table.work.__doc__ or "").split("\n")[0].split()) if block.table.work else ""
    about = f"{about} Synthetic text made by language models from prompts that invite harm: it can be wrong or harmful."
    text = dataset.card(f"{run.recipe.name}: {block.name}", about, facts, bool(splits["test"]))
    (stage.folder / "README.md").write_text(text, encoding="utf-8")
    write_json(
        stage.folder / "manifest.json", {**facts, "splits": splits, "dropped": tally.dropped, "versions": versions()}
    )


def _made_by(run: "Run", block: Block) -> list[str]:
    """The models behind a dataset: those of the stages it was made from."""
    found: dict[str, None] = {}
    while block.reads:
        block = run.recipe.block(block.reads)
        found |= {run.spec(role).title: None for role in block.roles()}
    return list(found)


async def training(run: "Run", block: Block) -> None:
    await run.fleet.need([])  # training gets the whole machine
    if run.cluster:
        await run.cluster.release()
    stage, settings, want = run.stage(block.name), run.settings(block.name), block.want
    manifest = stage.folder / "manifest.json"
    if not manifest.exists():
        data = run.folder / block.reads
        run.whole(run.recipe.block(block.reads))
        seed = run.recipe.seed + block.number
        beside = _beside(run, want)
        job_file = job(block.kind, _referred(run, want), run.weights(want.base), (data, stage.folder), seed, beside)
        with run.screen.bars():
            await _watched(run, block, job_file)
    done = read_json(manifest)
    rows = done["rows"]
    left_out = {reason: count for reason, count in rows.items() if reason not in ("train", "test", "repeated")}
    dropped, counts = +Counter(left_out), +Counter(repeated=rows.get("repeated", 0))
    kept = rows["train"] + rows["test"]
    tally = Tally(
        kept + dropped.total(), kept, 0, dropped, seconds=done["seconds"], tokens_in=done["tokens"], counts=counts
    )
    stage.close(settings, tally, metrics=done["metrics"])


def _referred(run: "Run", want: Train) -> Train:
    """A block with the weights of its reference rather than their role; none where they are the base's own."""
    if not isinstance(want, Dpo | Kto) or not want.reference:
        return want
    weights = run.weights(want.reference)
    return replace(want, reference="" if weights == run.weights(want.base) else resolve(weights))


def _beside(run: "Run", want: Train) -> dict[str, Any]:
    """What a trainer asks: for answers of its policy, for their scores, and its guards' judge; for its job file."""
    found = {}
    if isinstance(want, Online):
        given = {key: getattr(want, key) for key in ("method", "choice", "floor", "rules")}
        found["scoring"] = {**given, **_scorer(run, want.reward)}
    if isinstance(want, Aligned) and (method := guards.scoring(want.guards)):
        given = {"method": method, "rules": want.guards.get("rules", {})}
        found["judging"] = {**given, **_scorer(run, want.guards.get("judge", ""))}
    if isinstance(want, Ppo) and want.rollouts:
        found["sampler"] = {"spec": plain(run.spec(want.rollouts)), "logs": str((run.folder / "logs").resolve())}
    return found


def _scorer(run: "Run", role: str) -> dict[str, Any]:
    kept = run_folder.constitution_file(run.folder, digest(run.constitution))
    spec = plain(run.spec(role)) if role else None
    return {"spec": spec, "constitution": str(kept.resolve()), "logs": str((run.folder / "logs").resolve())}


async def _watched(run: "Run", block: Block, job_file: Path) -> None:
    run.screen.say(f"training {block.name} in {run.recipe.hardware.dtype(block.want.bf16)} …")
    bars: list[Bar] = []

    def on_metrics(line: dict[str, Any]) -> None:
        if not bars:
            bars.append(run.screen.bar(block.name, line["steps"], unit="steps"))
        shown = ("loss", "rewards/accuracies", "accuracy", "reward", "kl")
        words = [f"{key} {line[key]:.3g}" for key in shown if line.get(key) is not None]
        bars[0].at(line["step"], ", ".join(words))
        for alarm in line.get("alarms", ()):
            run.screen.say(f"{block.name}, step {line['step']}: {alarm}")

    where = Where(run.recipe.hardware, run.recipe.logs, f"{run.recipe.name}/{block.name}")
    await train(block.kind, job_file, run.folder / "logs" / f"{block.name}.log", where, on_metrics)


def report(run: "Run", block: Block) -> None:
    from cai.report.page import write_report

    stage = run.stage(block.name)
    write_report(run.folder, stage.folder / "report.html", block.want.rows)
    stage.close(run.settings(block.name), Tally())
