"""What a schema cannot say about a training step: settings that do not go together, or that this machine cannot do."""

from collections.abc import Iterator

from cai.stages.reward import Reward
from cai.stages.train import Train

Found = Iterator[tuple[str, str]]
"""The key in the block, and a sentence."""


def of(want: Train) -> Found:
    """All that is wrong with a training block beyond its schema."""
    match want:
        case Reward(margin=True, soft_labels=True):
            yield "margin", "is for hard labels; set soft_labels: false beside it, or take it out"
