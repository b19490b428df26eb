"""What a recipe's schema cannot say about an evaluation: who is compared with whom, by whom, and under which principles."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cai.data.locations import digest
from cai.data.prompt_source import PromptSource
from cai.errors import UserError
from cai.judge.exam_result import stored_exam
from cai.judge.methods import METHODS
from cai.models.spec import ModelSpec
from cai.recipe.block import Block
from cai.stages.evaluate import ALL_MODELS, FIRST_MODEL, HUB, Evaluate
from constitution.model import Constitution
from constitution.source import nearest

Problems = Iterator[tuple[str, str]]
"""As of ``cai.recipe.checks.stages``."""


def problems(block: Block, models: Mapping[str, ModelSpec], before: Sequence[Block]) -> Problems:
    """All that is wrong with an evaluation, but for its constitution.

    Args:
        models: by role, those that the recipe names.
        before: the steps before it.
    """
    want: Evaluate = block.want
    if any(each.name == block.reads and not each.want.heldout for each in before):
        yield "", f"compares on held-out prompts, and {block.reads} sets none aside; give it a share under heldout"
    yield from _against(want)
    yield from _judges(want, models)
    yield from _unasked(want)
    yield from _exam(want)


def _against(want: Evaluate) -> Problems:
    words = (FIRST_MODEL, ALL_MODELS)
    if want.against not in (*words, *want.models):
        yield "against", f'"{want.against}" is none of its models; {nearest(want.against, [*words, *want.models])}'
    elif want.against in words and want.against in want.models[1:]:
        yield "against", f'"{want.against}" is a word here, and the name of a model too; give that another name'
    names = [each.name for each in want.matches] if want.against in (*words, *want.models) else []
    for name in {each for each in names if names.count(each) > 1}:
        yield "models", f'two comparisons would both be kept as "{name}"; give one of the models another name'


def _judges(want: Evaluate, models: Mapping[str, ModelSpec]) -> Problems:
    specs = [models[role] for role in want.judges if role in models]
    hosts = [each for each in specs if each.hosted]
    for other in hosts[1:]:
        if not hosts[0].same_server(other):
            yield "judge", "two models would have to be up on this machine at once; give one of them by `endpoints`"
            break
    titles = [each.title for each in specs]
    for each in specs:
        if titles.count(each.title) > 1:
            yield (
                "judge",
                f'two judges are both called "{each.title}" in votes, and could not be told apart; take one out',
            )
            break


def _unasked(want: Evaluate) -> Problems:
    """What is said of principles to a judge that is shown none."""
    if METHODS[want.method].needs:
        return
    for key, usual in (("principles", ()), ("choice", "uniform"), ("constitution", "")):
        if getattr(want, key) != usual:
            yield key, f"is for a judge that is shown principles, and {want.method} shows none; take it out"


def _exam(want: Evaluate) -> Problems:
    if want.exam_limit is not None and (not want.exam or want.exam.endswith(".json")):
        yield "exam_limit", "is for pairs that the judges are examined on; name these under `exam`, or take it out"
    if want.exam.endswith(".json") and len(want.judges) > 1:
        yield "exam", "is the result of one judge, and here are several; name the pairs themselves"
    elif want.exam and not want.exam.startswith(HUB) and not want.exam.endswith(".json"):
        try:
            digest(PromptSource(want.exam))
        except UserError as error:
            yield "exam", str(error)


def by_constitution(block: Block, models: Mapping[str, ModelSpec], constitution: Constitution) -> Problems:
    """What is wrong with an evaluation beside the constitution that it is judged by."""
    want = block.want
    if not isinstance(want, Evaluate):
        return
    ids = list(constitution.by_id)
    for name in want.principles:
        if name not in ids:
            yield "principles", f'{constitution.name} has no principle "{name}"; {nearest(name, ids)}'
    judge = models.get(want.judges[0])
    if want.exam.endswith(".json") and len(want.judges) == 1 and Path(want.exam).is_file():
        try:
            name = constitution.name if METHODS[want.method].needs else ""
            stored_exam(Path(want.exam), judge.title if judge else want.judges[0], want.method, name)
        except UserError as error:
            yield "exam", str(error)
