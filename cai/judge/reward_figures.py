"""A reward model's figures on pairs that it did not learn from, by the same code as a judge's exam (``cai.judge.figures``).

The model's probability that the chosen answer is the better is σ(r_chosen − r_rejected) (Bradley and Terry 1952).
"""

from collections.abc import Sequence

from cai.data.dataset import PreferenceRow
from cai.judge.figures import JudgedPair, by, calibration, floors, length, mean, right
from cai.judge.statistics import Z95, sigmoid
from cai.store.identity import content_id
from cai.store.rows import Draft, Pair, Preference, plain

FEWEST = 3
"""A correlation of fewer answers says nothing."""


def figures(examples: Sequence[PreferenceRow], rewards: Sequence[tuple[float, float]], soft: bool) -> dict[str, object]:
    """Every figure, as JSON has it.

    Accuracy, Brier score and calibration come with what the longer answer alone would score, and with how the reward
    goes with length: a model that learnt to count words shows it there.

    Args:
        examples: rows of a preference dataset.
        rewards: of each row, the chosen answer's and the rejected one's, in logits.
        soft: whether the label's probability is the truth, as in training on soft labels, or the choice alone.
    """
    pairs = [_judged_pair(example, scores, soft) for example, scores in zip(examples, rewards, strict=True)]
    decided = [each for each in pairs if each.people != 0.5]
    principles = ((name, each) for each, example in zip(pairs, examples, strict=True) for name in _principles(example))
    shares = {
        "pairs": len(decided),
        "labels": "soft" if soft else "hard",
        "accuracy": mean(decided, right),
        "brier": mean(pairs, lambda each: each.squared_error),
        **calibration(pairs),
        **length(decided),
        "longer_baseline": floors(decided)["longer"],
        "reward_and_length": correlation(*_lengths(examples, rewards)),
        "by_track": by((each.row.pair.track, each) for each in decided),
        "by_principle": by((name, each) for name, each in principles if each.people != 0.5),
    }
    return plain(shares)


def correlation(xs: Sequence[float], ys: Sequence[float]) -> dict[str, float | None]:
    """Spearman's rank correlation with its 95% interval by Fisher's transform, and Pearson's; None where nothing varies.

    The interval takes the answers as independent and widens Fisher's variance for ranks by 1.06 (Fieller, Hartley and
    Pearson 1957).
    """
    import numpy
    from scipy.stats import pearsonr, spearmanr

    if len(xs) < FEWEST or len(set(xs)) == 1 or len(set(ys)) == 1:
        return {"spearman": None, "low": -1.0, "high": 1.0, "pearson": None, "of": len(xs)}
    ranked, straight = float(spearmanr(xs, ys)[0]), float(pearsonr(xs, ys)[0])  # pyright: ignore
    half = Z95 * (1.06 / (len(xs) - 3)) ** 0.5 if len(xs) > 3 else float("inf")
    middle = numpy.arctanh(min(max(ranked, -1 + 1e-9), 1 - 1e-9))
    low, high = (float(numpy.tanh(middle + way * half)) for way in (-1, 1))
    return {"spearman": ranked, "low": low, "high": high, "pearson": straight, "of": len(xs)}


def _lengths(
    examples: Sequence[PreferenceRow], rewards: Sequence[tuple[float, float]]
) -> tuple[list[float], list[float]]:
    """Characters and reward of every answer."""
    texts = [example[side][0]["content"] for example in examples for side in ("chosen", "rejected")]
    return [float(len(text)) for text in texts], [score for both in rewards for score in both]


def _judged_pair(example: PreferenceRow, scores: tuple[float, float], soft: bool) -> JudgedPair:
    """The row as an exam has it, the chosen answer being a."""
    p, people = sigmoid(scores[0] - scores[1]), float(example["chosen_prob"]) if soft else 1.0
    chosen, rejected = (Draft(example[side][0]["content"], "", "stop", 0) for side in ("chosen", "rejected"))
    context = content_id(example["prompt"])
    name = str(example.get("id") or context)
    pair = Pair(name, context, tuple(example["prompt"]), chosen, rejected, str(example.get("track") or "none"))
    return JudgedPair(context, p, people, Preference(name, pair, (), p, people, "ok"))


def _principles(example: PreferenceRow) -> list[str]:
    return list(example.get("principles") or ())
