"""How sources are done: prompts and pairs are read, what is held out is set aside, and the rest written as parts."""

from collections import Counter
from collections.abc import Iterable, Iterator

from cai.data import prompts as prompt_files
from cai.data.account import Account
from cai.data.clean import HeldOut
from cai.data.notation import printable
from cai.errors import UserError
from cai.recipe.block import Block
from cai.recipe.checks.stages import unanswered
from cai.run.context import Run
from cai.stages import pairs as pair_files
from cai.stages.online import Online
from cai.stages.sample import Sample
from cai.store.ledger import Tally
from cai.store.rows import Drop, Pair, Prompt
from cai.store.stage import Stage


def prompts(run: Run, block: Block) -> None:
    want, stage = block.want, run.stage(block.name)
    # The files are read again rather than held: of a million prompts only ids and hashes are ever in memory.
    accounts: list[Account] = []
    aside = prompt_files.heldout_keys(want.sources, want.heldout, run.recipe.seed, accounts)
    others = held_out(run, block.name)
    for account in accounts:
        run.screen.say(f"{block.name}: {printable(account.sentence())}")
    drops: list[Drop] = []
    counts: Counter[str] = Counter()

    def rows() -> Iterator[Prompt]:
        for row, key in prompt_files.with_keys(want.sources):
            if isinstance(row, Drop):
                drops.append(row)
            elif key in aside:
                counts["heldout"] += 1
            elif drop := others.drop(row.id, row.messages):
                drops.append(drop)
            else:
                counts["kept"] += 1
                yield row

    stage.write_parts(rows(), want.part_size)
    count = counts.total()
    if not count:
        raise UserError(
            f"{block.name}: no prompt is left of its files: {drops[0].detail}; name another file with prompts"
        )
    heldout = prompt_files.select(want.sources, aside)
    Stage(stage.folder / prompt_files.HELDOUT).write_parts(heldout, want.part_size)
    stage.write_drops(drops)
    reasons = Counter(drop.reason for drop in drops)
    tally = Tally(count + len(drops), count, count, reasons, counts=Counter(heldout=counts["heldout"]))
    stage.close(run.settings(block.name), tally)


def held_out(run: Run, but: str = "") -> HeldOut:
    """What the recipe's stages of prompts hold out, but for one; of those that are still to come, by their files."""

    def prompts_of(block: Block) -> Iterable[Prompt]:
        stage = run.stage(block.name)
        if stage.seal:
            return Stage(stage.folder / prompt_files.HELDOUT).all_rows(Prompt)
        return prompt_files.select(
            block.want.sources, prompt_files.heldout_keys(block.want.sources, block.want.heldout, run.recipe.seed)
        )

    blocks = (each for each in run.recipe.blocks if each.kind == "prompts" and each.name != but)
    return HeldOut(row.messages for block in blocks for row in prompts_of(block))


def answerable(run: Run, block: Block) -> None:
    """Make sure that a step answers some of its prompts, before a model starts.

    Raises:
        UserError: they are all on tracks that it does not answer.
    """
    tracks: set[str] = set()
    if isinstance(block.want, Sample | Online):
        for row in run.stage(block.reads).all_rows(dict):
            tracks.add(row["track"])
            if not unanswered(block, tracks):
                return
    if text := unanswered(block, tracks):
        raise UserError(f"{block.name}: {text}")


def pairs(run: Run, block: Block) -> None:
    stage, drops, counts, heldout = run.stage(block.name), [], Counter(), held_out(run)
    account, half = Account(block.want.path or block.want.hub, "pairs"), block.want.half

    def rows() -> Iterator[Pair]:
        for row in pair_files.read(block.want, account):
            if isinstance(row, Drop):
                drops.append(row)
            elif drop := heldout.drop(row.id, row.messages):
                drops.append(drop)
            elif half and pair_files.half_of(row, run.recipe.seed) != half:
                drops.append(Drop(row.id, "other_half"))
            else:
                counts["pairs"] += 1
                counts["tied"] += row.people != () and sum(row.people) / len(row.people) == 0.5
                yield row

    stage.write_parts(rows(), block.want.part_size)
    run.screen.say(f"{block.name}: {printable(account.sentence())}")
    reasons = Counter(drop.reason for drop in drops)
    if not counts["pairs"]:
        if any(drop.reason == "other_half" for drop in drops):
            raise UserError(f"{block.name}: all pairs are in the other half; take more of them, or another seed")
        why = f": {drops[0].detail}" if drops else ": the file is empty"
        raise UserError(f"{block.name}: no pair could be read{why}; name a file with pairs")
    stage.write_drops(drops)
    count = counts.pop("pairs")
    tally = Tally(count + len(drops), count, count, reasons, counts=+counts)
    stage.close(run.settings(block.name), tally, **({"labels": "; ".join(account.labels)} if account.labels else {}))


SOURCES = {"prompts": prompts, "pairs": pairs}
