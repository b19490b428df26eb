"""Training on the page: curves by step, what the guards watched with its bounds, and whether a reward was over-optimised."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from cai.errors import RunError
from cai.report.curves import Curve, curve, frame, on_the_right
from cai.report.format import bin_of, number, percent
from cai.store.files import read_form
from cai.store.stage import Stage
from cai.train.launch import guards
from cai.train.launch.start import Manifest

CURVES = {
    "loss": "loss",
    "reward": "reward, mean of the step's answers",
    "reward_std": "standard deviation of the rewards",
    "kl": "KL of an answer to the reference, nats",
    "accuracy": "pairs ranked right",
    "rewards/accuracies": "pairs ranked right",
    "logps/chosen": "log-probability of the chosen answers",
    "loss/policy": "policy loss",
    "loss/value": "value loss",
    "explained_variance": "share of the returns' variance that the critic explains",
    "entropy": "entropy of a token, nats",
    "clip_fraction": "share of tokens outside the clip range",
    "approx_kl": "KL of a token to the policy that sampled it, nats",
    "length": "tokens of an answer",
    "completions/mean_length": "tokens of an answer",
    "ended": "share of answers that end",
    "kl_coef": "weight of the KL",
}
HELD_OUT = {
    "eval_loss": "held-out loss",
    "eval_accuracy": "held-out pairs ranked right",
    "eval_rewards/accuracies": "held-out pairs ranked right",
    "eval_brier": "held-out Brier score",
}
REWARD, JUDGE = "the reward it learns from", "the held-out judge"


def of_stage(folder: Path) -> dict[str, object]:
    """What the page says of a trainer.

    Args:
        folder: the stage's.
    """
    manifest = read_form(folder / "manifest.json", Manifest)
    if manifest is None:
        raise RunError(f"{folder / 'manifest.json'} is gone; put it back, or do it again with: --redo {folder.name}")
    try:
        return _of_training({**manifest}, Stage(folder).metrics())
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        files = f"{folder / 'manifest.json'} or metrics.jsonl beside it is damaged ({error})"
        raise RunError(f"{files}; put them back, or do it again with: --redo {folder.name}") from error


def _of_training(manifest: dict[str, Any], lines: list[dict[str, float]]) -> dict[str, object]:
    curves = [curve(title, _series(lines, key)) for key, title in CURVES.items()]
    held_out = manifest.get("held_out") or {}
    return {
        "manifest": manifest,
        "said": list(_held_out(manifest["metrics"])),
        "curves": [each for each in curves if each],
        "held_out": held_out,
        "bins": [bin_of(point) for point in held_out.get("curve", ())],
        "guarded": _guarded(lines, manifest["config"].get("guards")),
        "alarms": _alarms(lines),
        "optimised": _optimised(lines),
    }


def _held_out(metrics: Mapping[str, object]) -> Iterator[str]:
    """Figures on held-out rows, each in the form that it has everywhere on the page."""
    for key, title in HELD_OUT.items():
        if isinstance(value := metrics.get(key), int | float):
            yield f"{title} {percent(value) if 'right' in title else number(value)}"


def _series(lines: Sequence[Mapping[str, float]], key: str) -> list[tuple[int, float]]:
    return [(int(line["step"]), float(line[key])) for line in lines if key in line]


def _guarded(lines: Sequence[Mapping[str, float]], block: Mapping[str, object] | None) -> list[Curve]:
    """A curve for each measure, with its bounds."""
    looks = [line for line in lines if "guard/words" in line]
    if not looks or block is None:
        return []
    limits, points = guards.parse(block), []
    texts = [{**line, **{name.removeprefix("guard/"): line[name] for name in line if "/" in name}} for line in looks]
    before = next((each for each in texts if "entropy" in each), texts[0])
    for line, figures in zip(looks, texts, strict=True):
        points.append((int(line["step"]), guards.measures(figures, before)))
    curves = []
    for name, measure in guards.MEASURES.items():
        values = [(step, figures[name]) for step, figures in points if name in figures]
        bounds = [(bound, "warn") for bound in limits.warn.get(name, ()) if bound is not None]
        bounds += [(bound, "stop") for bound in limits.stop.get(name, ()) if bound is not None]
        curves.append(curve(f"{name}: {measure.about}", values, bounds))
    return [each for each in curves if each]


def _alarms(lines: Sequence[Mapping[str, float]]) -> list[str]:
    """Each measure's first alarm, and how many steps raised it."""
    first: dict[str, tuple[int, str]] = {}
    count: dict[str, int] = {}
    for line in lines:
        for text in cast("Sequence[str]", line.get("alarms", ())):
            name = text.partition(" ")[0]
            first.setdefault(name, (int(line["step"]), text))
            count[name] = count.get(name, 0) + 1
    return [f"step {step}: {text}" + _again(count[name]) for name, (step, text) in first.items()]


def _again(count: int) -> str:
    return f", and {count - 1} more times" if count > 2 else ", and once more" if count == 2 else ""


def _optimised(lines: Sequence[Mapping[str, float]]) -> dict[str, object]:
    """The reward that was learnt from beside a judge that was not, on the same held-out answers."""
    proxy, judge = (_series(lines, f"guard/{name}") for name in ("reward", "judge"))
    if len(judge) < 2:
        return {}
    both = {REWARD: proxy, JUDGE: judge} if len(proxy) > 1 else {JUDGE: judge}
    drawn = frame("the reward it learns from, and a judge that it does not learn from", both)
    curves = [on_the_right(drawn, JUDGE) if len(both) > 1 else drawn] if drawn else []
    return {"curves": curves, "says": _proxy_sentence(proxy, judge)}


def _proxy_sentence(proxy: Sequence[tuple[int, float]], judge: Sequence[tuple[int, float]]) -> str:
    best = max(judge, key=lambda each: each[1])
    change = judge[-1][1] - judge[0][1]
    text = f"On the same held-out prompts the judge's mean score went from {judge[0][1]:.3g} to {judge[-1][1]:.3g}"
    if len(proxy) > 1:
        text += f" while the reward went from {proxy[0][1]:.3g} to {proxy[-1][1]:.3g}"
    if best[0] < judge[-1][0] and best[1] > judge[-1][1] and (len(proxy) < 2 or proxy[-1][1] > proxy[0][1]):
        text += f"; the judge liked the policy best at step {best[0]} ({best[1]:.3g})"
        return f"{text}: after it, the reward may be over-optimised."
    return f"{text}." if change or proxy else f"{text}: no change."
