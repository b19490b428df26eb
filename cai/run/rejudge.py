"""Answers that are there already, judged anew: by another judge, under other principles, or by another constitution.

The answers of an evaluation are decided by its models, its prompts and how it samples. Where all that is as it was, only
what judges made is set aside, and what is built on it; where it is not, the run refuses: answers would have to be asked.
"""

from collections.abc import Iterator, Mapping, Sequence

from cai.errors import UserError
from cai.recipe.block import Block
from cai.run import redo
from cai.run.context import Run
from cai.store.files import RunLock
from cai.store.ledger import PlainFingerprint, differences
from cai.store.stage import Stage
from constitution.wording import count

ANSWERS, PROMPTS = "answers-", "prompts"
SAMPLED = ("max_tokens", "temperature", "top_p", "limit", "heldout")
"""Keys of an evaluation's block that decide its answers, beside its models."""


def rejudge(run: Run) -> list[str]:
    """Let the answers of each evaluation that is done, or begun, be judged again; a line for each.

    One that was begun under these settings and is not done goes on: it is a rejudging that was stopped.

    Raises:
        UserError: the recipe evaluates nothing, or answers would differ.
    """
    blocks = [block for block in run.recipe.blocks if block.kind == "evaluate" and not block.round]
    if not blocks:
        raise UserError("--rejudge: the recipe has no evaluation; add evaluate, or take the option out")
    with RunLock(run.folder):
        redo.take_up_moves(run)
        _others_stand(run, blocks)
        for block in blocks:
            redo.renew(run, block.name)
            _comparable(run, block)
        return [_again(run, block) for block in blocks]


def _others_stand(run: Run, blocks: Sequence[Block]) -> None:
    """Make sure that the run could go on afterwards: that nothing else is under other settings than it was.

    Raises:
        UserError: with what is.
    """
    judged = redo.built_on(run, {block.name for block in blocks})
    for name in (block.name for block in run.recipe.blocks if block.name not in judged):
        redo.renew(run, name)
        if (begun := run.stage(name).begun) and (wrong := differences(begun, run.settings(name).plain())):
            own = f"; to judge by another constitution, name it for the evaluation: {blocks[0].name}.constitution=FILE"
            hint = own if any(each.startswith("constitution:") for each in wrong) else f"; redo it first: --redo {name}"
            raise UserError(
                f"--rejudge judges evaluations alone, and {name} would change, too ({'; '.join(wrong)}){hint}"
            )


def _again(run: Run, block: Block) -> str:
    stage, settings = run.stage(block.name), run.settings(block.name)
    begun = stage.begun
    if begun is None:
        return f"{block.name}: there are no answers yet, which are asked first"
    if stage.seal is None and begun == settings.plain():
        return f"{block.name}: the judging goes on"
    inner = sorted(path.name for path in stage.folder.glob("[!.]*") if path.is_dir() and path.name != PROMPTS)
    judged = [*(each for each in inner if not each.startswith(ANSWERS)), *_files(stage, begun, settings.plain())]
    after = [each for each in redo.built_on(run, {block.name}) if each != block.name]
    there = redo.take_apart(run, [*(f"{block.name}/{each}" for each in judged), *after])
    redo.unseal(run, block.name)
    redo.stamp(stage, settings)
    answers = count(sum(each.startswith(ANSWERS) for each in inner), "model")
    return f"{block.name}: the answers of {answers} stand; set aside: {', '.join(there) or 'nothing'}"


def _files(stage: Stage, begun: PlainFingerprint, now: PlainFingerprint) -> list[str]:
    """What stands beside the folders and is of no use any more."""
    same_text = begun["block"].get("plain_text") == now["block"].get("plain_text")
    patterns = ("judge.json",) if same_text else ("judge.json", "plain-*.json")
    return sorted(path.name for pattern in patterns for path in stage.folder.glob(pattern))


def _comparable(run: Run, block: Block) -> None:
    """Make sure that the answers would be the same.

    Raises:
        UserError: with what differs.
    """
    stage = run.stage(block.name)
    if (begun := stage.begun) is None:
        return
    now = run.settings(block.name).plain()
    if wrong := [*_unlike(run, block, begun, now)]:
        raise UserError(
            f"--rejudge: {block.name} would have other answers ({'; '.join(wrong)}); to ask for them, run with: "
            f"--redo {block.name}"
        )


def _unlike(run: Run, block: Block, begun: PlainFingerprint, now: PlainFingerprint) -> Iterator[str]:
    """What decides answers and is not as it was."""
    want = block.want
    there = {
        file.parent.name.removeprefix(ANSWERS) for file in run.stage(block.name).folder.glob(f"{ANSWERS}*/begun.json")
    }
    yield from (f"{role} has not answered" for role in want.models if there and role not in there)
    behind = [block.reads, *(step for role in want.models for step in run.recipe.behind(role))]
    roles = [role for role in want.models if role in begun["models"]]
    yield from differences({"seed": begun["seed"]}, {"seed": now["seed"]})
    for key, names in (("block", SAMPLED), ("models", roles), ("inputs", behind)):
        was, to = ({key: _part(each[key], names)} for each in (begun, now))
        yield from differences(was, to)


def _part(of: Mapping[str, object], names: Sequence[str]) -> dict[str, object]:
    return {name: of.get(name) for name in names}
