"""How each shape of stage is done: read prompts, map rows, work on a whole set, train, report.

A stage function opens no file and knows no folder; here its rows come from the stage before it and go to its own folder,
and here its ledger is sealed.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cai import change, dataset, guards
from cai.errors import RunError, UserError
from cai.files import read_json, write_json
from cai.flow import Task, Work, flow
from cai.ledger import Settings, Tally, versions
from cai.models.vllm import resolve
from cai.part import sort_drops
from cai.recipe import Block
from cai.rows import Drop, Pair, Prompt, plain
from cai.screen import Bar
from cai.stages import pairs as pair_files
from cai.stages import prompts as prompt_files
from cai.stages.dpo import Dpo
from cai.stages.kto import Kto
from cai.stages.online import Online
from cai.stages.ppo import Ppo
from cai.stages.train import Aligned, Train
from cai.store import Stage
from cai.training import Where, job, train
from constitution.load import digest

if TYPE_CHECKING:
    from cai.run import Run


def prompts(run: "Run", block: Block) -> None:
    want, stage = block.want, run.stage(block.name)
    drops: list[Drop] = []
    tracks: dict[str, list[str]] = defaultdict(list)
    for row in prompt_files.read(want):
        if isinstance(row, Drop):
            drops.append(row)
        else:
            tracks[row.track].append(row.id)
    count = sum(map(len, tracks.values()))
    if not count:
        why = f": {drops[0].detail}" if drops else ": the files are empty"
        raise UserError(f"{block.name}: no prompt could be read{why}; name a file with prompts")
    aside = {each for ids in tracks.values() for each in prompt_files.held_out(ids, want.heldout, run.recipe.seed)}
    tracks.clear()
    # The files are read again rather than held: of a million prompts only ids are ever in memory.
    kept = (row for row in prompt_files.read(want) if isinstance(row, Prompt) and row.id not in aside)
    stage.write_parts(kept, want.part_size)
    held = (row for row in prompt_files.read(want) if isinstance(row, Prompt) and row.id in aside)
    Stage(stage.folder / prompt_files.HELDOUT).write_parts(held, want.part_size)
    stage.write_drops(drops)
    reasons = Counter(drop.reason for drop in drops)
    tally = Tally(count + len(drops), count, count, reasons, counts=Counter(heldout=len(aside)))
    stage.close(run.settings(block.name), tally)


def pairs(run: "Run", block: Block) -> None:
    stage, drops, kept = run.stage(block.name), [], Counter()

    def sorted_out() -> Iterator[Pair]:
        for row in pair_files.read(block.want):
            if isinstance(row, Drop):
                drops.append(row)
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
    await through(run, [_work(run, block) for block in group], run.stage(group[0].reads))
    for block in group:
        seal_rows(run.stage(block.name), run.settings(block.name), run.stage(block.reads))


def _work(run: "Run", block: Block) -> Work:
    table, want = block.table, block.want
    assert table.work is not None and table.takes is not None

    async def do(row: Any, ask: Any) -> list[Any] | Drop:
        out = await table.work(row, want, ask)  # pyright: ignore[reportOptionalCall]
        return out if isinstance(out, list | Drop) else [out]

    return Work(block.name, run.stage(block.name), table.takes, do, tuple(block.roles()))


async def through(run: "Run", works: list[Work], source: Stage) -> None:
    """Take the source's rows through row stages, here or over a cluster, with a bar for each."""
    roles = list(dict.fromkeys(role for work in works for role in work.roles))
    task = Task(works, {role: run.spec(role) for role in roles}, run.constitution, run.recipe.seed)
    total = sum(1 for number in source.parts() for _ in source.path(number).open("rb"))
    if run.cluster:
        with run.screen.bars():
            bars = {work.name: run.screen.bar(work.name, total, work.stage.count_done()) for work in works}
            await run.cluster.through(task, source, bars)
        return
    steps = task.steps(await run.fleet.roles(task.specs))
    with run.screen.bars():
        bars = {work.name: run.screen.bar(work.name, total, work.stage.count_done()) for work in works}
        for step in steps:
            bars[step.name].slots = step.slots
            step.on_row = lambda name, tokens, reason: bars[name].advance(tokens, reason)
        await flow(steps, source, 2 * max(step.slots.most for step in steps))


def seal_rows(stage: Stage, settings: Settings, source: Stage) -> None:
    """Seal a row stage from the ledgers of its parts.

    Raises:
        RunError: it kept no row, so that what follows would work on nothing.
    """
    tally = Tally()
    for part in stage.part_tallies().values():
        tally.add(part)
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
    work, takes = table.work, table.takes
    tally, drops = Tally(), []

    def examples(tally: Tally, drops: list[Drop]) -> Iterator[dict[str, Any]]:
        for result in work(source.all_rows(takes), block.want, tally.counts):
            tally.rows_in += 1
            if isinstance(result, Drop):
                drops.append(result)
                tally.dropped[result.reason] += 1
                continue
            tally.rows_kept += 1
            yield from result

    ids = {example["prompt_id"] for example in examples(Tally(), [])}
    test = prompt_files.held_out(ids, block.want.test, run.recipe.seed)
    splits = dataset.write(stage.folder, examples(tally, drops), test)
    tally.rows_out = sum(splits.values())
    stage.write_drops(drops)
    if not tally.rows_out:
        reasons = ", ".join(f"{reason} {count}" for reason, count in tally.dropped.most_common())
        raise RunError(f"{block.name} has no examples ({reasons}); see {stage.folder / 'drops.jsonl'}")
    _card(run, block, stage, splits, tally)
    stage.close(settings, tally, splits=splits)


def _card(run: "Run", block: Block, stage: Stage, splits: dict[str, int], tally: Tally) -> None:
    """The dataset's README, and its manifest for programs."""
    facts = {
        "made by": f"cai, recipe {run.recipe.name}, stage {block.name}, seed {run.recipe.seed}",
        "constitution": f"{run.constitution.name} {run.constitution.version} ({digest(run.constitution)})",
        "models": ", ".join(_made_by(run, block)),
        **{f"{split} rows": count for split, count in splits.items()},
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
    kept = change.kept(run.folder, digest(run.constitution))
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
