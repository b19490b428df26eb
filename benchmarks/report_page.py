"""The report of a run of many rows: its size, and how long a reader waits for it, in Chromium without a window.

    python benchmarks/report_page.py [--rows 10000] [--answer 60] [--words README.md …]

The run is made up, on disk as a real one is: held-out prompts, two models' answers, a judge's verdicts in both orders with its
reasoning. Its texts are word pairs (bigrams) of the files given, drawn at random, which deflate worse than what people or models
write. Loading is from the address to the first page of rows; a filter, from the key to the rows on the screen (two frames).
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import browser

from cai.judge.wins import judged_wins
from cai.report.page import write_report
from cai.stages.evaluate import describe
from cai.store.files import write_json
from cai.store.ledger import Fingerprint, Tally
from cai.store.rows import Answers, Draft, Pair, Preference, Vote
from cai.store.stage import Stage

ROOT = Path(__file__).resolve().parents[1]
ROLES = ("policy", "dpo")
SETTINGS = Fingerprint("evaluate", {"judge": "judge"}, 0, "none", {}, {})
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
ACTIONS = {
    "first_filter_s": "q.value = 'principle'; q.dispatchEvent(new Event('input'))",
    "next_filter_s": "q.value = 'harm'; q.dispatchEvent(new Event('input'))",
    "track_s": "q.value = ''; track.value = 'helpful'; track.dispatchEvent(new Event('change'))",
    "sort_s": "sort.value = '-sure'; sort.dispatchEvent(new Event('change'))",
    "page_s": "after.click()",
    "open_row_s": "document.querySelector('#rows-body button').click()",
}
"""What a reader does → what the page gets of it."""


class Words:
    """Texts of bigrams."""

    def __init__(self, files: list[Path], seed: int = 0) -> None:
        words = " ".join(file.read_text(encoding="utf-8") for file in files).split()
        self.follows: dict[str, list[str]] = defaultdict(list)
        for one, other in pairwise(words):
            self.follows[one].append(other)
        self.words = words
        self.draw = random.Random(seed)

    def text(self, mean: int) -> str:
        """As many words as come out of a skew distribution with this mean."""
        count = max(3, round(self.draw.gammavariate(4, mean / 4)))
        text = [self.draw.choice(self.words)]
        while len(text) < count:
            text.append(self.draw.choice(self.follows[text[-1]] or self.words))
        return " ".join(text)


def made(folder: Path, rows: int, answer: int, words: Words) -> None:
    """A run of one evaluation."""
    known = {
        "recipe": "made up",
        "seed": 0,
        "constitution": "c",
        "constitution_version": "1",
        "constitution_digest": "none",
    }
    known |= {"principles": {"harm": "Least harm", "care": "Most care"}, "models": {"policy": "p", "judge": "j"}}
    write_json(folder / "run.json", {**known, "stages": [{"name": "evaluate", "kind": "evaluate", "reads": ""}]})
    stage = Stage(folder / "evaluate")
    stage.begin(SETTINGS)
    preferences = [_preference(number, answer, words) for number in range(rows)]
    figures = {}
    for role, side in zip(ROLES, ("a", "b"), strict=True):
        drafts = [(row, getattr(row.pair, side)) for row in preferences]
        answers = [Answers(row.id, row.messages, draft, row.pair.track) for row, draft in drafts]
        _write(Stage(stage.folder / f"answers-{role}"), answers)
        figures[role] = {"all": describe(answers)}
    _write(Stage(stage.folder / "votes-dpo"), preferences)
    tracks = {"all": judged_wins(preferences)}
    for track in ("redteam", "helpful"):
        tracks[track] = judged_wins([row for row in preferences if row.pair.track == track])
    write_json(
        stage.folder / "metrics.json", {**figures, "dpo": {**figures["dpo"], "against": "policy", "compared": tracks}}
    )
    stage.close(SETTINGS, Tally(rows, rows, 0))


def _write(stage: Stage, rows: list) -> None:
    stage.begin(SETTINGS)
    stage.write_parts(rows, 500)
    stage.close(SETTINGS, stage.tally())


def _preference(number: int, answer: int, words: Words) -> Preference:
    asked = ({"role": "user", "content": words.text(15)},)
    a, b = (Draft(words.text(answer), role, "stop", number) for role in ROLES)
    track = ("redteam", "helpful")[number % 2]
    shares = [min(0.99, max(0.01, words.draw.gauss(0.45, 0.25))) for _ in range(2)]
    votes = tuple(
        Vote(("harm", "care")[number % 3 % 2], order, "cot", "j", number, "ok", share, 0.98, words.text(50))
        for order, share in zip(("ab", "ba"), shares, strict=True)
    )
    agree = (shares[0] > 0.5) == (shares[1] > 0.5)
    id, share = f"row-{number}", sum(shares) / 2
    pair = Pair(id, id, asked, a, b, track)
    return Preference(id, pair, votes, share, share if agree else None, "ok" if agree else "inconsistent")


async def read(page: Path) -> dict[str, float]:
    """Seconds that a reader waits."""
    async with browser.opened(page, ("Performance.enable", {})) as tab:
        assert await tab.ready() == "yes", tab.said
        figures = {"load_s": await tab.value("performance.getEntriesByName('ready')[0].startTime / 1000")}
        counters = (await tab.call("Performance.getMetrics"))["metrics"]
        figures["load_cpu_s"] = next(each["value"] for each in counters if each["name"] == "ProcessTime")
        figures["loaded_rows"] = await tab.value("document.querySelectorAll('#rows-body tr').length")
        parts = "const [q, track, sort, after] = ['q', 'track', 'sort', 'after'].map(id => document.getElementById('rows-' + id));"
        for name, action in ACTIONS.items():
            clock = "const began = performance.now()", f"await {FRAMES}; return performance.now() - began"
            timed = f"(async () => {{ {parts} {clock[0]}; {action}; {clock[1]} }})()"
            figures[name] = await tab.value(timed) / 1000
        figures["heap_mb"] = await tab.value("performance.memory.usedJSHeapSize / 1e6")
        assert not tab.said, tab.said
        return figures


def rounds(page: Path, count: int) -> Iterator[dict[str, float]]:
    """Several readers, each with a browser of their own."""
    for _ in range(count):
        yield asyncio.run(read(page))


def main() -> None:
    """Print the figures as JSON: medians of the readers, and the slowest."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--answer", type=int, default=60, help="mean words of an answer")
    parser.add_argument("--readers", type=int, default=3)
    parser.add_argument("--words", type=Path, nargs="*", default=[ROOT / "README.md", *ROOT.glob("principles/*.yaml")])
    parser.add_argument("--keep", type=Path, help="write the page there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, page = Path(folder) / "run", given.keep or Path(folder) / "report.html"
        made(run, given.rows, given.answer, Words(given.words))
        began = time.monotonic()
        write_report(run, page)
        seconds = time.monotonic() - began
        readers = list(rounds(page, given.readers))
        book = json.loads(page.read_text(encoding="utf-8").partition('id="book">')[2].partition("</script>")[0])
        held = {table["name"]: table["rows"] for table in book["tables"]}
        figures = {
            "rows": given.rows,
            "rows_held": held,
            "written_s": round(seconds, 1),
            "page_mb": round(page.stat().st_size / 1e6, 2),
        }
        for name in readers[0]:
            values = [each[name] for each in readers]
            figures[name] = [round(statistics.median(values), 3), round(max(values), 3)]
        print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
