"""Judges whose truth is known, examined by ``cai judge-eval``: does the exam find what was put in?

    python benchmarks/oracle.py [--pairs 5000]

Each pair's two answers have a worth that only the judge can read; people prefer the first with probability σ(d), d being
the difference in worth, so a judge that says σ(d) is right as often as it says. A judge here says σ(sharpness·d ± bias):
sharpness above 1 makes it too sure, bias draws it to the answer shown first, and with probability ``mute`` (fixed by the
pair) it says no letter. What the exam should find follows from these numbers alone, and stands beside what it finds.
"""

import argparse
import hashlib
import json
import math
import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hosting
import numpy
from aiohttp import web
from rich.console import Console

from cai.cli.judge_eval import JudgeEval, judge_eval
from cai.flow.screen import Screen
from cai.judge.statistics import sigmoid
from cai.models.spec import ModelSpec
from cai.store.rows import Preference
from cai.store.stage import Stage
from constitution.shipped import SHIPPED

SPREAD = 2.0
"""Standard deviation of the difference in worth: an ideal judge is right on 77% of the pairs."""
WORTH = re.compile(r"worth (-?\d+\.\d+)")


@dataclass(frozen=True)
class Oracle:
    """A judge's faults."""

    sharpness: float = 1.0
    bias: float = 0.0
    mute: float = 0.0

    @property
    def path(self) -> str:
        """Its place on the server."""
        return f"{self.sharpness:g}/{self.bias:g}/{self.mute:g}/v1"


def write_pairs(path: Path, count: int, seed: int = 0) -> None:
    """Pairs with a worth in each answer, and the one that a person preferred."""
    rng = random.Random(seed)
    with path.open("w") as file:
        for number in range(count):
            middle, apart = rng.gauss(0, 1), rng.gauss(0, SPREAD)
            texts = [
                f"Answer {number}{letter}, worth {middle + side * apart / 2:.6f}"
                for letter, side in (("p", 1), ("q", -1))
            ]
            if rng.random() > sigmoid(apart):
                texts.reverse()
            row = {"prompt": f"Question {number}?", "chosen": texts[0], "rejected": texts[1]}
            file.write(json.dumps(row) + "\n")


def is_mute(worths: tuple[float, float], share: float) -> bool:
    """Whether a judge says nothing of a pair, in either order."""
    digest = hashlib.sha256(repr(sorted(worths)).encode()).digest()
    return int.from_bytes(digest[:4], "big") / 2**32 < share


async def _chat(request: web.Request) -> web.Response:
    sharpness, bias, mute = (float(request.match_info[key]) for key in ("sharpness", "bias", "mute"))
    body = await request.json()
    asked = next(each["content"] for each in reversed(body["messages"]) if each["role"] == "user")
    first, second = map(float, WORTH.findall(asked)[-2:])
    p, held = sigmoid(sharpness * (first - second) + bias), 0.02 if is_mute((first, second), mute) else 0.95
    shares = {"A": held * p, "B": held * (1 - p), "I": 1 - held}
    top = [{"token": token, "logprob": math.log(max(share, 1e-12))} for token, share in shares.items()]
    said = {"index": 0, "finish_reason": "length", "message": {"role": "assistant", "content": "A"}}
    choice = {**said, "logprobs": {"content": [{**top[0], "top_logprobs": top}]}}
    usage = {"prompt_tokens": len(asked.split()), "completion_tokens": 1}
    return web.json_response({"object": "chat.completion", "model": "oracle", "choices": [choice], "usage": usage})


async def _models(_: web.Request) -> web.Response:
    return web.json_response({"data": [{"id": "oracle", "owned_by": "vllm"}]})


@contextmanager
def serving() -> Iterator[str]:
    """All judges, each under a path of its own, on one server in a thread; gives its base URL."""
    app = web.Application()
    app.router.add_post("/{sharpness}/{bias}/{mute}/v1/chat/completions", _chat)
    app.router.add_get("/{sharpness}/{bias}/{mute}/v1/models", _models)
    with hosting.in_thread(app) as url:
        yield url


def truth(oracle: Oracle, orders: str, count: int = 1_000_000) -> dict[str, float]:
    """What a perfect exam of endlessly many pairs would find, by simulation."""
    rng = numpy.random.default_rng(1)
    d = rng.normal(0, SPREAD, count)
    people = rng.random(count) < 1 / (1 + numpy.exp(-d))
    speaks = rng.random(count) >= oracle.mute
    logits = [oracle.sharpness * d + side * oracle.bias for side in (1, -1)]
    if orders == "both":
        p = sum(1 / (1 + numpy.exp(-each)) for each in logits) / 2
    elif orders == "logits":
        p = 1 / (1 + numpy.exp(-sum(logits) / 2))
    else:
        p = 1 / (1 + numpy.exp(-numpy.where(rng.random(count) < 0.5, *logits)))
    right = numpy.where(abs(p - 0.5) < 1e-9, 0.5, (p > 0.5) == people) * speaks
    return {
        "accuracy": float(right.mean()),
        "same": float(((logits[0] > 0) != (logits[1] > 0)).mean()),
        "unreadable": oracle.mute,
        "brier": float(((p - people) ** 2)[speaks].mean()),
    }


def examine(oracle: Oracle, url: str, data: Path, folder: Path, orders: str = "both", kind: str = "") -> dict[str, Any]:
    """The exam's figures for one judge."""
    spec = ModelSpec("judge", endpoints=(f"{url}/{oracle.path}",), model="oracle", concurrency=64)
    settings = ("both_share=0", "tie=0", "exemplars=0", *SETTINGS[orders])
    constitution = SHIPPED / "principles" / "harmless.yaml"
    exam = JudgeEval(str(data), constitution, settings=settings, kind=kind)
    return dict(judge_eval(exam, spec, None, folder, Screen(Console(quiet=True)))["methods"]["logprob"])


def inconsistent_as_expected(oracle: Oracle, folder: Path) -> tuple[int, int, int]:
    """Pairs whose orders must disagree, those that were found to, and those that are in one set and not in the other."""
    must, found = set(), set()
    for row in Stage(folder / "logprob").all_rows(Preference):
        one, other = (float(WORTH.findall(draft.text)[0]) for draft in (row.pair.a, row.pair.b))
        if not is_mute((one, other), oracle.mute) and abs(oracle.sharpness * (one - other)) < oracle.bias:
            must.add(row.id)
        if row.status == "inconsistent":
            found.add(row.id)
    return len(must), len(found), len(must ^ found)


SETTINGS = {"one": ("orders=one",), "both": (), "logits": ("mean=logits",)}
"""One order; both and the mean of their probabilities; both and the mean of their logits."""

JUDGES = (
    ("ideal", Oracle(), "both"),
    ("biased, one order", Oracle(bias=2.0), "one"),
    ("biased, both orders", Oracle(bias=2.0), "both"),
    ("biased, both orders, logits", Oracle(bias=2.0), "logits"),
    ("too sure", Oracle(sharpness=3.0), "both"),
    ("too timid", Oracle(sharpness=0.3), "both"),
    ("all faults", Oracle(sharpness=3.0, bias=2.0, mute=0.05), "both"),
    ("all faults, logits", Oracle(sharpness=3.0, bias=2.0, mute=0.05), "logits"),
    ("blind", Oracle(sharpness=0.0, bias=1.0), "both"),
)


def row(name: str, oracle: Oracle, orders: str, url: str, data: Path, folder: Path) -> dict[str, object]:
    """One line of the table."""
    folder = folder / name.replace(" ", "-").replace(",", "")
    found = examine(oracle, url, data, folder, orders, "temperature")
    isotonic = examine(oracle, url, data, folder, orders, "isotonic")["calibrated"]
    known, accuracy, brier = truth(oracle, orders), found["accuracy"], found["brier"]
    must, seen, differ = inconsistent_as_expected(oracle, folder) if orders != "one" else (0, 0, 0)
    same = found["position"]["rate"]
    return {
        "judge": name,
        "accuracy": f"{accuracy['value']:.3f} ({accuracy['low']:.3f}–{accuracy['high']:.3f})",
        "truth": f"{known['accuracy']:.3f}",
        "Brier": f"{brier['value']:.3f} ({brier['low']:.3f}–{brier['high']:.3f})",
        "true Brier": f"{known['brier']:.3f}",
        "same position": "" if same is None else f"{same:.3f}",
        "true same": "" if same is None else f"{known['same']:.3f}",
        "unreadable": f"{found['unreadable']:.3f}",
        "ECE": f"{found['ece']:.3f}",
        "by chance": f"{found['ece_by_chance']:.3f}",
        "temperature": f"{found['calibrated']['ece']:.3f}",
        "isotonic": f"{isotonic['ece']:.3f}",
        "inconsistent": f"{seen} of {must}, {differ} wrong" if orders != "one" else "",
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--pairs", type=int, default=5000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, serving() as url:
        data = Path(place) / "pairs.jsonl"
        write_pairs(data, given.pairs)
        rows = [row(*judge, url, data, Path(place)) for judge in JUDGES]
    print("| " + " | ".join(rows[0]) + " |\n|" + "---|" * len(rows[0]))
    for each in rows:
        print("| " + " | ".join(map(str, each.values())) + " |")


if __name__ == "__main__":
    main()
