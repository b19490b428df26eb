"""What a recipe's schema cannot say about the steps that examine models: `verify` and `robustness`."""

from collections.abc import Iterator, Sequence

from cai.data.variations import TRANSLATION
from cai.judge.verification import ANSWER
from cai.recipe.block import Block
from cai.stages.robustness import Robustness
from cai.stages.verify import Verify


def problems(block: Block, before: Sequence[Block]) -> Iterator[tuple[str, str]]:
    """All that is wrong with such a step: the key in its block, or nothing for the block itself, and a sentence.

    Args:
        before: the steps before it.
    """
    match block.want:
        case Verify() as want:
            yield from _verification(want, block)
        case Robustness() as want:
            yield from _variations(want, block, before)


def _verification(want: Verify, block: Block) -> Iterator[tuple[str, str]]:
    if not want.examples and not block.reads:
        yield "examples", "are off, and nothing else is asked; name a label stage under `from`"
    if want.judge and ANSWER not in want.ways:
        yield "judge", "compares answers, and by likelihood none is asked; take it out"
    if not want.judge and want.method != "logprob":
        yield "method", "is a judge's; add a role as `judge`, or take it out"


def _variations(want: Robustness, block: Block, before: Sequence[Block]) -> Iterator[tuple[str, str]]:
    if any(each.name == block.reads and not each.want.heldout for each in before):
        yield "", f"asks held-out prompts, and {block.reads} sets none aside; give it a share under heldout"
    translated = TRANSLATION in want.variations
    if translated and not (want.translator or want.translations):
        yield (
            "variations",
            "names translation, and nobody translates; add a role as `translator`, or a file under `translations`",
        )
    elif translated and want.translations and want.languages:
        yield "languages", "are for a translator, and a file of translations has `columns`; take them out"
    elif translated and not want.tongues:
        yield "translator", "needs `languages` to translate into, such as [German]"
    elif not translated and (want.translator or want.translations or want.languages):
        key = next(key for key in ("translator", "translations", "languages") if getattr(want, key))
        yield key, "is for translation; add it to `variations`, or take this out"
