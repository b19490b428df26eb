"""Does it work? A policy's SL-CAI, DPO and PPO beside its base, with controls, on held-out prompts and several seeds.

    python benchmarks/result.py PAIRS OUT --prompts redteam.jsonl [--helpful helpful.jsonl] [--seeds 3] [KEY=VALUE …]

PAIRS is a file of comparisons by people. Two reward models are trained on it, each on the conversations of one half: one
labels what the policies learn from, the other, which they never met, says how they did; how far it is to be believed shows
its exam on pairs of the half that it never saw. What is learnt from the first one's labels stands beside the same training on
labels drawn by a coin and on "the shorter answer", and, with ``--larger MODEL``, on that model's answer over the policy's own
(delta pairs: no judge at all). Each seed is a run of its own under OUT, killed or not, and goes on where it was.

Printed, and kept in OUT/result.json, are the wins of each model over the base by track, as the examiner sees them: a seed each,
whose spread is what another seed may give, and all together, with a bootstrap over prompts; and the measures that ask no judge.
Each seed's page is OUT/seed-N/evaluation/report.html. Further arguments are overrides of the seeds' recipe.
"""

import argparse
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from recipes import finished

from cai.judge.measures import interval
from cai.run.standings import TRACKS
from cai.store.files import read_json, write_json
from cai.store.rows import Pair, Preference
from cai.store.stage import Stage

LABELS: Mapping[str, Mapping[str, Any]] = {
    "judge": {"method": "reward", "model": "labeler"},
    "coin": {"method": "rules", "rules": {"coin": 1e6}},
    "shorter": {"method": "rules", "rules": {"length": -1e6}},
}
"""Who says which of two answers is the better, and the two who have not read them."""
DPOS = tuple(f"dpo_{name}" for name in LABELS)
HALVES = {"labeler": "search", "examiner": "held_out"}
MEASURES = ("refusal", "over_refusal", "unsafe_compliance", "evasive", "preachy")
COUNTS = ("answers", "truncated", "mean_words")
EXAM_PAIRS = 200


def rewards(given: argparse.Namespace) -> dict[str, Any]:
    """The recipe of the two reward models, each of one half of the conversations."""
    stages: list[dict[str, Any]] = []
    for name, half in HALVES.items():
        stages += [
            {"pairs": {"as": f"pairs_{name}", "path": str(given.pairs.resolve()), "half": half}},
            {"label": {"as": f"label_{name}", "from": f"pairs_{name}", "method": "people"}},
            {"prefs": {"as": f"prefs_{name}", "from": f"label_{name}", "test": 0.2}},
            {"reward": {"as": name, "from": f"prefs_{name}", "base": given.policy, "soft_labels": False}},
        ]
    return {"name": "result-rewards", "constitution": given.constitution, "stages": stages}


def saved(run: Path, name: str) -> Path:
    """Where a training stage leaves its model."""
    return (run / name / "model").resolve()


def exam(trained: Path, out: Path) -> None:
    """Write pairs that the examiner never saw, with what people chose: some of the other half's."""
    lines = []
    for row in islice(Stage(trained / "pairs_labeler").all_rows(Pair), EXAM_PAIRS):
        better, worse = (row.a, row.b) if row.people[0] > 0.5 else (row.b, row.a)
        lines.append(json.dumps({"prompt": row.messages, "chosen": better.text, "rejected": worse.text}))
    out.write_text("".join(f"{line}\n" for line in lines))


def prompts(given: argparse.Namespace) -> dict[str, Any]:
    """The same block in every recipe, so that the same prompts are held out."""
    files = {"redteam": given.prompts, "helpful": given.helpful}
    sources = {track: {"path": str(path.resolve()), "limit": given.limit} for track, path in files.items() if path}
    return {"prompts": {**sources, "heldout": given.heldout}}


def sample(given: argparse.Namespace, model: str) -> dict[str, Any]:
    """Two answers to each prompt."""
    return {"sample": {"model": model, "n": 2, "max_tokens": given.max_tokens, "tracks": ["redteam", "helpful"]}}


def preferences(name: str, label: Mapping[str, Any], base: str, source: str = "sample") -> list[dict[str, Any]]:
    """What is learnt from one kind of label."""
    return [
        {"label": {"as": f"label_{name}", "from": source, **label}},
        {"prefs": {"as": f"prefs_{name}", "from": f"label_{name}"}},
        {"dpo": {"as": f"dpo_{name}", "from": f"prefs_{name}", "base": base}},
    ]


def recipe(
    given: argparse.Namespace, name: str, seed: int, models: Mapping[str, Any], stages: Sequence[dict[str, Any]]
) -> dict[str, Any]:
    """A recipe of these stages."""
    about = {"name": name, "seed": seed, "constitution": given.constitution}
    return {**about, "models": dict(models), "stages": list(stages)}


def learning(given: argparse.Namespace, seed: int, labeler: Path) -> dict[str, Any]:
    """One seed's recipe: chains, the tuned model, and what is learnt from each kind of label."""
    stages = [
        prompts(given),
        {"revise": {"model": "policy", "rounds": 2, "max_tokens": given.max_tokens, "exemplars": 0}},
        {"sft_set": {}},
        {"sft": {"base": "policy"}},
        sample(given, "sft"),
        *(stage for name, label in LABELS.items() for stage in preferences(name, label, "sft")),
        {"ppo": {"base": "sft", "reward": "labeler", "max_new_tokens": given.max_tokens}},
    ]
    return recipe(
        given, "learning", seed, {"policy": {"vllm": given.policy}, "labeler": {"reward": str(labeler)}}, stages
    )


def larger(given: argparse.Namespace, seed: int) -> dict[str, Any]:
    """The larger model's answers to the same prompts."""
    return recipe(given, "larger", seed, {"larger": {"vllm": given.larger}}, [prompts(given), sample(given, "larger")])


def deltas(better: Path, worse: Path, out: Path) -> None:
    """Write the larger model's answer to each prompt, above the tuned policy's own."""
    own = {row.prompt_id: row for row in Stage(worse / "sample").all_rows(Pair)}
    lines = [
        json.dumps({"prompt": row.messages, "chosen": row.a.text, "rejected": own[row.prompt_id].a.text})
        for row in Stage(better / "sample").all_rows(Pair)
        if row.prompt_id in own
    ]
    out.write_text("".join(f"{line}\n" for line in lines))


def from_deltas(given: argparse.Namespace, seed: int, pairs: Path, base: Path) -> dict[str, Any]:
    """What is learnt from them."""
    stages = [{"pairs": {"path": str(pairs)}}, *preferences("delta", {"method": "people"}, "sft", "pairs")]
    return recipe(given, "delta", seed, {"sft": {"vllm": str(base)}}, stages)


def evaluation(given: argparse.Namespace, seed: int, models: Mapping[str, str], examiner: Path) -> dict[str, Any]:
    """All models on the held-out prompts, against the base, and the page."""
    roles = {name: {"vllm": path} for name, path in models.items()} | {"examiner": {"reward": str(examiner)}}
    block = {"models": list(models), "judge": "examiner", "method": "reward", "max_tokens": given.max_tokens}
    block |= {"temperature": 0.7, "top_p": 0.9, "exam": str((given.out / "exam.jsonl").resolve())}
    return recipe(given, "evaluation", seed, roles, [prompts(given), {"evaluate": block}, {"report": {}}])


def one_seed(given: argparse.Namespace, seed: int, trained: Mapping[str, Path]) -> Path:
    """Train and evaluate one seed's models; what was done before is not done again. Returns the evaluation's folder."""
    folder = (given.out / f"seed-{seed}").resolve()
    with finished(learning(given, seed, trained["labeler"]), given.overrides, folder / "learning") as run:
        models = {"policy": given.policy, **{name: str(saved(run, name)) for name in ("sft", *DPOS, "ppo")}}
    if given.larger:
        with finished(larger(given, seed), [], folder / "larger") as better:
            deltas(better, folder / "learning", folder / "deltas.jsonl")
        overrides = [each.replace("dpo_judge.", "dpo_delta.") for each in given.overrides if "dpo_judge." in each]
        recipe_of_deltas = from_deltas(given, seed, folder / "deltas.jsonl", saved(folder / "learning", "sft"))
        with finished(recipe_of_deltas, overrides, folder / "delta") as run:
            models["dpo_delta"] = str(saved(run, "dpo_delta"))
    with finished(evaluation(given, seed, models, trained["examiner"]), [], folder / "evaluation") as run:
        return run / "evaluate"


def outcomes(evaluations: Sequence[Path], role: str, track: str) -> tuple[list[float], list[float]]:
    """Of each prompt, over the seeds: how often the role won over the base, and how often that was decided."""
    won, decided = Counter[str](), Counter[str]()
    for folder in evaluations:
        for row in Stage(folder / f"votes-{role}").all_rows(Preference):
            if row.status == "ok" and row.p_a is not None and row.pair.track == track:
                decided[row.pair.prompt_id] += 1
                won[row.pair.prompt_id] += row.p_a < 0.5
    return [won[each] for each in decided], list(decided.values())


def together(evaluations: Sequence[Path], role: str, track: str) -> dict[str, Any]:
    """The wins of all seeds, with an interval over prompts: the seeds of a prompt are no independent evidence."""
    won, decided = outcomes(evaluations, role, track)
    low, high = interval(won, decided)
    return {"win_rate": sum(won) / sum(decided) if decided else None, "low": low, "high": high, "of": sum(decided)}


def wins(evaluations: Sequence[Path]) -> dict[str, Any]:
    """Each model's wins over the base by track: all seeds together, and each with its interval."""
    figures = [read_json(folder / "metrics.json") for folder in evaluations]
    roles = [role for role, of in figures[0].items() if "compared" in of]
    return {
        role: {
            track: {
                **together(evaluations, role, track),
                "seeds": [
                    [each[role]["compared"][track][key] for key in ("win_rate", "low", "high")] for each in figures
                ],
            }
            for track in TRACKS
            if track in figures[0][role]["compared"]
        }
        for role in roles
    }


def measures(evaluations: Sequence[Path]) -> dict[str, Any]:
    """What is counted of each model's answers without a judge, by track; a share for each seed."""
    figures = [read_json(folder / "metrics.json") for folder in evaluations]
    return {
        role: {track: _measured([each[role][track] for each in figures]) for track in TRACKS if track in of}
        for role, of in figures[0].items()
    }


def _measured(seeds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    parts = {name: [each["measures"].get(name) for each in seeds] for name in MEASURES}
    shares = {name: [part["value"] for part in of] for name, of in parts.items() if all(of)}
    return {**shares, **{name: [each[name] for each in seeds] for name in COUNTS}}


def main() -> None:
    """Train the reward models, then each seed, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("pairs", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--prompts", type=Path, required=True, help="red-team prompts")
    parser.add_argument("--helpful", type=Path)
    parser.add_argument("--constitution", default="principles/harmless.yaml")
    parser.add_argument("--policy", default="bundled/smollm2-135m")
    parser.add_argument("--larger", help="a larger model, for delta pairs")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--limit", type=int, help="prompts to take from the front of each file")
    parser.add_argument("--heldout", type=float, default=0.3)
    parser.add_argument("--max-tokens", type=int, default=128)
    parser.add_argument("--rewards", nargs="*", default=[], help="overrides of the reward models' recipe")
    parser.add_argument("overrides", nargs="*")
    given = parser.parse_intermixed_args()
    with finished(rewards(given), given.rewards, given.out / "rewards") as folder:
        trained = {name: saved(folder, name) for name in HALVES}
        exams = {name: read_json(folder / name / "manifest.json")["held_out"]["accuracy"] for name in HALVES}
    exam(folder, given.out / "exam.jsonl")
    evaluations = [one_seed(given, seed, trained) for seed in range(given.seeds)]
    result = {"reward_models": exams, "wins_over_base": wins(evaluations), "measures": measures(evaluations)}
    write_json(given.out / "result.json", result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
