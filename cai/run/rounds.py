"""How rounds are judged as a run goes: after each, whether its policy is accepted; after all, which one stays.

A verdict stands in the seal of its step (``round-2/verdict/seal.json``), so that whether a later round is run is read from
the files alone, whenever a run is killed and taken up again.
"""

import os
import shutil
import statistics
from pathlib import Path
from typing import TypedDict

from cai.errors import RunError
from cai.models.bundled import resolve
from cai.models.switches import variables
from cai.recipe.block import Block
from cai.report.summary import evaluated
from cai.run.context import Run
from cai.stages.evaluate import EMPTY
from cai.stages.rounds import Bounds, Outcome, Verdict
from cai.store.files import read_form, write_json
from cai.store.form import Amount
from cai.store.ledger import RoundFigures, Tally, Wins
from cai.store.rows import Answers
from cai.store.stage import Stage
from cai.train.launch.start import Where, train


class Divergence(TypedDict):
    """What ``cai.train.divergence`` finds: nats an answer, with their standard error, and what it took."""

    kl: float
    kl_error: Amount | None
    seconds: Amount


def not_run(run: Run, block: Block) -> bool:
    """Whether a step belongs to a round after one that was not accepted."""
    earlier = [each for each in run.recipe.blocks if each.rounds == block.rounds and 0 < each.round < block.round]
    return any(_rejected(run.stage(each.name)) for each in earlier if isinstance(each.want, Verdict))


def _rejected(stage: Stage) -> bool:
    verdict = stage.seal and stage.seal.get("verdict")
    return bool(verdict) and not verdict["accepted"]


async def rounds(run: Run, block: Block) -> None:
    """Judge one round, or settle what all of them came to."""
    if isinstance(block.want, Outcome):
        _settle(run, block, block.want)
    else:
        await _decide(run, block, block.want)


async def _decide(run: Run, block: Block, want: Verdict) -> None:
    """Measure how far the policy went, and say whether it is accepted.

    Raises:
        RunError: no held-out prompt was answered.
    """
    source = run.stage(block.reads)
    wins = _wins(source.folder, want.models[1])
    answers = source.folder / f"answers-{want.models[1]}"
    mine, first = _words(answers), _words(run.stage(want.first).folder / f"answers-{want.models[0]}")
    if not mine:
        raise RunError(
            f"{block.reads} has no answer to a held-out prompt, so that the round cannot be judged; "
            f"set more aside under heldout of prompts, and run with: --redo prompts"
        )
    divergence = await _divergence(run, block, want, answers)
    figures: RoundFigures = {
        "compared": wins,
        "kl": divergence["kl"],
        "kl_error": divergence["kl_error"],
        "words": statistics.fmean(mine),
        "length": _ratio(mine, first),
    }
    why = broken(want.until, figures)
    roles = {"round": block.round, "policy": want.models[1], "against": want.against, "initial": want.models[0]}
    verdict = {**roles, **figures, "accepted": not why, "why": why}
    stage, seconds = run.stage(block.name), divergence["seconds"]
    stage.close(run.settings(block.name), Tally(len(mine), len(mine), seconds=seconds), verdict=verdict)


async def _divergence(run: Run, block: Block, want: Verdict, answers: Path) -> Divergence:
    """What ``cai.train.divergence`` finds; two models need the whole machine, as training does."""
    await run.fleet.need([])
    if run.cluster:
        await run.cluster.release()
    folder = run.stage(block.name).folder
    if not (folder / "manifest.json").exists():
        initial, policy = (resolve(run.weights(role)) for role in want.models)
        job = {"policy": policy, "initial": initial, "answers": str(answers), "out": str(folder)}
        spec = run.spec(want.models[0])
        write_json(folder / "job.json", job | {"template": variables(spec.thinking, spec.extra_body)})
        await train(
            "divergence", folder / "job.json", run.folder / "logs" / f"{block.name}.log", Where(), lambda line: None
        )
    divergence = read_form(folder / "manifest.json", Divergence)
    assert divergence is not None, "a training that ends well leaves its manifest"
    return divergence


def _wins(folder: Path, role: str) -> Wins:
    """How a role's answers did over the first model's."""
    figures = evaluated(folder).get(role)
    wins = figures.get("compared", {}) if figures else {}
    if "all" not in wins:
        raise RunError(f"{folder / 'metrics.json'} says nothing of {role}; do it again with: --redo {folder.name}")
    return wins["all"]


def _words(folder: Path) -> list[int]:
    """How many words each answer has."""
    return [len(row.draft.text.split()) for row in Stage(folder).all_rows(Answers)]


def _ratio(mine: list[int], first: list[int]) -> float | None:
    """Mean over mean; None where the first said nothing."""
    return statistics.fmean(mine) / statistics.fmean(first) if sum(first) else None


def _settle(run: Run, block: Block, want: Outcome) -> None:
    """Give the last accepted policy its place; without one, the initial policy stays."""
    stage = run.stage(block.name)
    seals = [seal for name in want.verdicts if (seal := run.stage(name).seal)]
    verdicts = [verdict for seal in seals if (verdict := seal.get("verdict"))]
    accepted = next((number for number, each in enumerate(verdicts) if not each["accepted"]), len(verdicts))
    policy = verdicts[accepted - 1]["policy"] if accepted else want.base
    _link(_folder(resolve(run.weights(policy))), stage.folder / "model")
    rest = len(want.verdicts) - min(accepted + 1, len(want.verdicts))
    says = f"{policy} is the policy that stays" + (
        f"; {rest} of {len(want.verdicts)} rounds are left out" if rest else ""
    )
    stage.close(run.settings(block.name), Tally(), policy=policy, says=says)


def _folder(weights: str) -> Path:
    """Where a model's files are; those of the Hub were fetched for the training, if not before."""
    if Path(weights).is_dir():
        return Path(weights)
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(weights))
    except (OSError, ValueError) as error:
        raise RunError(f"{weights} cannot be fetched from the Hub: {str(error).splitlines()[0]}") from None


def _link(model: Path, to: Path) -> None:
    """The same files at another place, whole or not there; they take no room of their own where the disk allows it."""
    aside = to.with_name(".model.tmp")
    aside.unlink() if aside.is_symlink() else shutil.rmtree(aside, ignore_errors=True)
    shutil.copytree(model, aside, copy_function=_link_file)
    shutil.rmtree(to, ignore_errors=True)
    aside.replace(to)


def _link_file(source: str, to: str) -> None:
    try:
        os.link(os.path.realpath(source), to)
    except OSError:
        shutil.copyfile(source, to)


def broken(until: Bounds, figures: RoundFigures) -> list[str]:
    """The bounds that a round left, each as the end of a sentence; none where it is accepted."""
    return [
        *_not_won(until, figures["compared"]),
        *_too_far(until, figures["kl"]),
        *_too_long(until, figures["length"]),
    ]


def _not_won(until: Bounds, wins: Wins) -> list[str]:
    """Its empty answers, which no judge sees, count as not won: a policy that falls silent is no better."""
    silent = wins.get("left_out", {}).get(EMPTY, 0)
    of = wins["decided"] + silent
    if until.win_rate is None or (of and wins["won"] / of > until.win_rate):
        return []
    if not of:
        return ["the judge decided no comparison"]
    counted = f", its {silent} empty answers counted as lost," if silent else ""
    return [f"its win rate of {wins['won'] / of:.0%}{counted} is not above {until.win_rate:.0%}"]


def _too_far(until: Bounds, kl: float) -> list[str]:
    # A policy that broke has a KL that is not a number, which is within no bound.
    if until.kl is None or kl <= until.kl:
        return []
    return [f"its KL of {kl:.3g} nats an answer is above {until.kl:g}"]


def _too_long(until: Bounds, length: float | None) -> list[str]:
    if until.length is None:
        return []
    if length is None:
        return ["the initial policy's answers have no word to measure its length by"]
    low, high = until.length
    return (
        [] if low <= length <= high else [f"its answers' length ratio of {length:.2f} is outside {low:g} to {high:g}"]
    )
