"""How far people who compared the same pairs agree: what a judge can at best be measured against."""

import warnings
from collections import Counter
from collections.abc import Sequence

from cai.judge.exam import Agreement
from cai.judge.figures import JudgedPair


def agreement(pairs: Sequence[JudgedPair]) -> Agreement | None:
    """Cohen's kappa of the first two people, Fleiss' kappa of all, and Cohen's kappa of judge and majority.

    None where nobody compared a pair that somebody else had compared. Fleiss' kappa takes the pairs that the commonest
    number of people compared, as it needs the same number for each.
    """
    several = [each for each in pairs if len(each.row.pair.people) > 1]
    if not several:
        return None
    from sklearn.metrics import cohen_kappa_score
    from statsmodels.stats.inter_rater import aggregate_raters, fleiss_kappa

    firsts, seconds = ([_word(each.row.pair.people[n]) for each in several] for n in (0, 1))
    count, _ = Counter(len(each.row.pair.people) for each in several).most_common(1)[0]
    table = [[_word(share) for share in each.row.pair.people] for each in several if len(each.row.pair.people) == count]
    decided = [each for each in several if each.p not in (None, 0.5) and each.people != 0.5]
    judge = [(each.p or 0.0) > 0.5 for each in decided], [each.people > 0.5 for each in decided]
    with warnings.catch_warnings():
        # Where all said the same, kappa is not defined: no number here, rather than a library's warning.
        warnings.simplefilter("ignore")
        first_two = cohen_kappa_score(firsts, seconds)
        all_of_them = fleiss_kappa(aggregate_raters(table)[0])
        with_judge = cohen_kappa_score(*judge) if decided else None
    return {
        "pairs": len(several),
        "same_first_two": sum(one == other for one, other in zip(firsts, seconds, strict=True)) / len(several),
        "cohen_first_two": _number(first_two),
        "people": count,
        "fleiss": _number(all_of_them),
        "cohen_judge_and_majority": _number(with_judge),
    }


def _word(share: float) -> str:
    """What one person said, whose label may have been a share."""
    return "tie" if share == 0.5 else "ab"[share < 0.5]


def _number(kappa: float | None) -> float | None:
    """Nothing where all said the same of every pair, and kappa is not defined."""
    return None if kappa is None or kappa != kappa else float(kappa)
