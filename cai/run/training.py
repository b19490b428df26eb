"""How trainers are run: a job file, a process of its own, and the ledger of what it read."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from cai.flow.screen import Bar
from cai.models import passwords
from cai.models.bundled import resolve
from cai.models.prices import SINGLY
from cai.models.switches import variables
from cai.recipe.block import Block
from cai.run.context import Run
from cai.run.sources import answerable
from cai.stages.dpo import Dpo
from cai.stages.kto import Kto
from cai.stages.online import Online
from cai.stages.ppo import Ppo
from cai.stages.train import Aligned, Train
from cai.store import run_folder
from cai.store.files import read_form
from cai.store.ledger import Tally
from cai.store.rows import plain
from cai.store.spending import SPENT
from cai.train.launch import guards, memory, needs
from cai.train.launch.start import Manifest, MetricsLine, Where, job, train
from constitution.load import digest

TRAINED_ON = ("repeated", "cut")
"""What a manifest counts of rows beside those that were left out: trained on more than once, or without their end."""


async def training(run: Run, block: Block) -> None:
    answerable(run, block)
    if not _room_beside_servers(run, block):
        await run.fleet.need([])  # training gets the whole machine
    if run.cluster:
        await run.cluster.release()
    run.purse.spending.save()
    stage, settings, want = run.stage(block.name), run.settings(block.name), block.want
    file = stage.folder / "manifest.json"
    if not file.exists():
        data = run.folder / block.reads
        run.whole(run.recipe.block(block.reads))
        seed = run.recipe.seed + block.number
        extras = job_extras(run, block)
        job_file = job(
            block.kind, _with_reference(run, want), run.weights(want.base), (data, stage.folder), seed, extras
        )
        with run.screen.bars():
            try:
                await _train(run, block, job_file, passwords.environment(extras))
            finally:
                run.count_again()
    manifest = read_form(file, Manifest)
    assert manifest is not None, "a training that ends well leaves its manifest"
    rows = manifest["rows"]
    left_out = {reason: count for reason, count in rows.items() if reason not in ("train", "test", *TRAINED_ON)}
    dropped, counts = +Counter(left_out), +Counter({each: rows.get(each, 0) for each in TRAINED_ON})
    size = rows.get("train", 0) + rows.get("test", 0)
    tally = Tally(
        size + dropped.total(),
        size,
        0,
        dropped,
        seconds=manifest["seconds"],
        tokens_in=manifest.get("tokens", 0),
        counts=counts,
    )
    stage.close(settings, tally, metrics=manifest["metrics"], **run.purse.bill(block.name))


def _room_beside_servers(run: Run, block: Block) -> bool:
    """Whether the servers that are up, idle meanwhile, may stay: on a CPU with enough memory, where no answers are asked for."""
    hardware, want = run.recipe.hardware, block.want
    served = all(each.spec.served for each in run.fleet.up if each.spec.hosted)
    asks = isinstance(want, Online) or (isinstance(want, Aligned) and guards.scoring(want.guards))
    if asks or hardware.device != "CPU" or not served:
        return False
    size = memory.size(Path(resolve(run.weights(want.base))))
    return size is not None and memory.fits_beside(
        memory.need(block.name, block.kind, want, size, hardware), hardware.count
    )


def _with_reference(run: Run, want: Train) -> Train:
    """A block with the weights of its reference rather than their role; none where they are the base's own."""
    if not isinstance(want, Dpo | Kto) or not want.reference:
        return want
    weights = run.weights(want.reference)
    return replace(want, reference="" if weights == run.weights(want.base) else resolve(weights))


def job_extras(run: Run, block: Block) -> dict[str, Mapping[str, object]]:
    """What a trainer asks: for answers of its policy, for their scores, and its guards' judge; for its job file."""
    want = block.want
    extras: dict[str, Mapping[str, object]] = {}
    # A reward model reads a conversation as its template shows it by itself, here and wherever it is asked for scores.
    spec = run.spec(want.base)
    if block.kind != "reward" and (own := variables(spec.thinking, spec.extra_body)):
        extras["template"] = own
    extras |= _scorers(run, block)
    if isinstance(want, Ppo) and want.rollouts:
        extras["sampler"] = {"spec": plain(run.spec(want.rollouts)), "logs": str((run.folder / "logs").resolve())}
    return extras


def _scorers(run: Run, block: Block) -> dict[str, dict[str, object]]:
    """The scoring of answers, and that of the guards' judge, where a block has them; each role pays its share."""
    want, roles = block.want, dict[str, str]()
    scorers: dict[str, dict[str, object]] = {}
    if isinstance(want, Online):
        keys = ("method", "choice", "floor", "rules", "verdict", "verdicts")
        roles["scoring"], scorers["scoring"] = want.reward, {key: getattr(want, key) for key in keys}
    if isinstance(want, Aligned) and (method := guards.scoring(want.guards)):
        roles["judging"] = str(want.guards.get("judge", ""))
        scorers["judging"] = {"method": method, "rules": want.guards.get("rules", {})}
    models = sum(map(bool, roles.values()))
    for name, role in roles.items():
        scorers[name] |= _scorer(run, role) | (_payment(run, role, block.name, models) if role else {})
    return scorers


def _payment(run: Run, role: str, stage: str, models: int) -> dict[str, object]:
    """Where a model that is asked in the training's own processes is counted, and its share of what is left.

    Args:
        models: how many share it.
    """
    purse = run.purse
    payment: dict[str, object] = {"stage": stage, "spent": str((run.folder / SPENT).resolve())}
    if purse.budget is not None:
        share = (purse.budget - purse.spent) / (models * run.recipe.hardware.count)
        name = run.spec(role).role
        costs = (cost for each, cost in purse.costs.items() if each.removesuffix(SINGLY) == name)
        payment["budget"] = sum(costs) + share
    return payment


def _scorer(run: Run, role: str) -> dict[str, object]:
    constitution = run_folder.constitution_file(run.folder, digest(run.constitution))
    spec = plain(run.spec(role)) if role else None
    return {"spec": spec, "constitution": str(constitution.resolve()), "logs": str((run.folder / "logs").resolve())}


async def _train(run: Run, block: Block, job_file: Path, servers: Mapping[str, str]) -> None:
    run.screen.say(f"training {block.name} in {run.recipe.hardware.dtype(block.want.bf16)} …")
    if advice := needs.doubtful(block.name, block.want):
        run.screen.say(advice)
    bars: list[Bar] = []

    def on_metrics(line: MetricsLine) -> None:
        if not bars:
            bars.append(run.screen.bar(block.name, line["steps"], unit="steps"))
        figures = ((key, line.get(key)) for key in ("loss", "rewards/accuracies", "accuracy", "reward", "kl"))
        words = [f"{key} {value:.3g}" for key, value in figures if isinstance(value, int | float)]
        bars[0].at(line["step"], ", ".join(words))
        for alarm in line.get("alarms", ()):
            run.screen.say(f"{block.name}, step {line['step']}: {alarm}")

    where = Where(run.recipe.hardware, run.recipe.logs, f"{run.recipe.name}/{block.name}", servers)
    await train(block.kind, job_file, run.folder / "logs" / f"{block.name}.log", where, on_metrics)
