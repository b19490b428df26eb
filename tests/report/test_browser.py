"""The page as a reader's browser has it: nothing that a model says ever runs, and rows are found, opened and sent on."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import browser
import pytest
from rich.console import Console

from cai.flow.screen import Screen
from cai.recipe.read import load_recipe
from cai.report.page import write_report, write_reports
from cai.run.walk import start
from cai.store.ledger import Fingerprint, Tally
from cai.store.stage import Stage

pytestmark = pytest.mark.skipif(browser.executable() is None, reason="no Chromium on this machine")

TAKEN = "document.documentElement.dataset.taken = 1"
HOSTILE = (
    f"</script><script>{TAKEN}</script><img src=x onerror='{TAKEN}'><svg onload='{TAKEN}'></svg>"
    f"<a href='javascript:{TAKEN}'>click</a><iframe srcdoc='<script>parent.{TAKEN}</script>'></iframe></details></textarea>"
    "<style>*{display:none}</style><base href='https://x.invalid/'><meta http-equiv=refresh content='0;url=https://x.invalid'>"
    "{{ 7 * 7 }} --> ]]> \u2028 \u2029 \u202egnp.exe \u200f \u2066 &lt;b&gt; javascript:alert(1) 'quoted' \"twice\" <!-- "
)
WORD = "gnp.exe"
RECIPE = """\
name: hostile
constitution: c.yaml
models: {m: {scripted: m.yaml}, o: {scripted: o.yaml}, j: {scripted: j.yaml}}
stages:
  - prompts: {redteam: p.jsonl, helpful: h.jsonl, heldout: 0.5}
  - revise: {model: m, rounds: 1}
  - sample: {model: m}
  - label: {model: j, method: cot}
  - evaluate: {models: [m, o], judge: j, method: cot}
"""
STRANGERS = """[
  [...document.querySelectorAll("img, iframe, object, embed, base, link, main style, meta[http-equiv=refresh]")].length,
  [...document.scripts].filter(each => !each.id && !each.dataset.ours).length,
  [...document.querySelectorAll("*")].filter(each => each.getAttributeNames().some(name => name.startsWith("on"))).length,
  [...document.links].filter(each => !each.getAttribute("href").startsWith("#")).length,
  document.documentElement.dataset.taken || 0,
]"""
"""Elements and attributes that the page never has, however they came about."""


Reader = Callable[..., None]
"""Opens a page and looks at it."""


@pytest.fixture(scope="module")
def read() -> Iterator[Reader]:
    """One browser for all of these; nothing is fetched but the page, and the browser has nothing to say of it."""
    with asyncio.Runner() as runner:
        session = browser.opened("about:blank")
        tab = runner.run(session.__aenter__())

        def look_at(page: Path, look: Callable[[browser.Tab], Awaitable[None]], quiet: bool = True) -> None:
            async def looks() -> None:
                tab.said.clear()
                tab.requests.clear()
                await tab.go(page.resolve().as_uri())
                await look(tab)
                assert not [each for each in tab.requests if not each.startswith(("file:", "data:", "about:"))]
                assert not (quiet and tab.said), tab.said

            runner.run(looks())

        yield look_at
        runner.run(session.__aexit__(None, None, None))


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which every text that somebody else writes is markup."""
    folder = tmp_path_factory.mktemp("hostile")
    asks = {"critique": HOSTILE, "revision": HOSTILE, "judgment": HOSTILE}
    principles = [{"id": id, "title": f"{id} {HOSTILE}", **asks} for id in ("one", "two")]
    files: dict[str, Any] = {"c.yaml": {"name": "c", "version": HOSTILE, "principles": principles}}
    files["m.yaml"] = [
        {"say": [f"<think>thought {HOSTILE}</think>answer {{seed}} {HOSTILE}", f"other {{seed}} {HOSTILE}"]}
    ]
    files["o.yaml"] = [{"say": [f"arabic مرحبا {{seed}} {HOSTILE}"]}]
    files["j.yaml"] = [{"say": [f"reason {HOSTILE}"], "choose": {"A": 0.9, "B": 0.05}}]
    for name, data in files.items():
        (folder / name).write_text(json.dumps(data), encoding="utf-8")
    for name in ("p", "h"):
        rows = [
            {"id": f"{name}{number}{HOSTILE}", "prompt": f"prompt {name}{number} {HOSTILE}"} for number in range(60)
        ]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    (folder / "hostile.yaml").write_text(RECIPE, encoding="utf-8")
    start(load_recipe(folder / "hostile.yaml", []), folder / "run", Screen(Console(quiet=True)))
    _trained(folder / "run")
    return folder / "run"


def _trained(run: Path) -> None:
    """A trainer with curves, bounds and a text in its alarms, as one leaves them."""
    known = json.loads((run / "run.json").read_text(encoding="utf-8"))
    known["stages"].append({"name": "ppo", "kind": "ppo", "reads": "prompts"})
    (run / "run.json").write_text(json.dumps(known), encoding="utf-8")
    stage, settings = Stage(run / "ppo"), Fingerprint("ppo", {}, 0, "", {}, {})
    stage.begin(settings)
    lines = [
        {
            "step": n,
            "steps": 9,
            "reward": n / 9,
            "kl": n,
            "guard/words": 20 + n,
            "guard/reward": n / 9,
            "guard/judge": -n,
        }
        for n in range(1, 10)
    ]
    lines[3]["alarms"] = [f"length 3 {HOSTILE}"]
    (stage.folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    manifest = {
        "config": {"guards": {"length": {"stop": [0.2, 4.0]}}},
        "metrics": {},
        "rows": {"train": 9, "test": 0},
        "seconds": 1,
        "steps": 9,
    }
    (stage.folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    stage.close(settings, Tally())


@pytest.fixture(scope="module")
def page(hostile: Path) -> Path:
    """Its page."""
    write_report(hostile, hostile / "report.html")
    return hostile / "report.html"


def test_nothing_that_a_model_says_runs_or_becomes_markup(page: Path, read: Reader) -> None:
    """Neither what the page shows at once nor any row, of any table, when it is opened."""

    async def look(tab: browser.Tab) -> None:
        assert await tab.ready() == "yes", tab.said
        assert await tab.value(STRANGERS) == [0, 0, 0, 0, 0]
        tables = await tab.value("[...document.getElementById('rows-table').options].map(each => each.value)")
        assert tables == ["evaluate", "revise", "label", "dropped"]
        for name in tables:
            await tab.value(
                f"""(() => {{
                  const choice = document.getElementById('rows-table');
                  choice.value = {json.dumps(name)};
                  choice.dispatchEvent(new Event('change'));
                  document.querySelector('#rows-body button').click();
                }})()"""
            )
            text = await tab.value("document.querySelector('#rows-body .card').textContent")
            assert "</script><script>" in text and "onerror='" in text and "49" not in text.partition(WORD)[0]
            assert await tab.value(STRANGERS) == [0, 0, 0, 0, 0]
        whole = await tab.value("document.body.textContent")
        assert not {"\u202e", "\u2066", "\x1b"} & {*whole}
        assert whole.count("<img src=x onerror=") > 20

    read(page, look)


def test_markup_that_got_in_all_the_same_is_stopped_by_the_policy(page: Path, tmp_path: Path, read: Reader) -> None:
    """Should escaping ever fail: scripts, handlers, addresses and styles of others, and our own script writing markup."""
    let_in = HOSTILE.removeprefix("</script>").partition("<meta")[0]
    text = page.read_text(encoding="utf-8").replace("<main ", f"{let_in}<main ", 1)
    (tmp_path / "let-in.html").write_text(text, encoding="utf-8")

    async def look(tab: browser.Tab) -> None:
        assert await tab.ready() == "yes"
        assert (
            await tab.value("document.querySelectorAll('img[onerror], svg[onload], a[href^=javascript]').length") == 3
        )
        await tab.value("document.querySelector('a[href^=javascript]').click()")
        write = "(() => { try { document.body.innerHTML += '<b>x</b>' } catch (error) { return error.name } })()"
        assert await tab.value(write) == "TypeError"
        assert await tab.value("document.documentElement.dataset.taken || 0") == 0
        assert await tab.value("getComputedStyle(document.querySelector('main')).display") == "block"
        assert any("Content Security Policy" in each for each in tab.said)

    read(tmp_path / "let-in.html", look, quiet=False)


def test_rows_are_searched_filtered_sorted_paged_and_sent_on(page: Path, read: Reader) -> None:
    """By hand and by keyboard; the address alone brings another reader to the same row."""

    async def look(tab: browser.Tab) -> None:
        assert await tab.ready() == "yes", tab.said
        count = "document.getElementById('rows-count').textContent"
        total = int((await tab.value(count)).partition(" ")[0])
        assert total > 40
        await tab.press("/")
        assert await tab.value("document.activeElement.id") == "rows-q"
        for letter in "prompt h1":
            await tab.press(letter, letter)
        few = int((await tab.value(count)).partition(" ")[0])
        assert 0 < few < total
        shown = await tab.value("[...document.querySelectorAll('#rows-body th')].map(each => each.textContent)")
        assert len(shown) == min(few, 20) and all("prompt h1" in each for each in shown)
        await tab.value("history.replaceState(null, '', '#x'); location.hash = 'track=redteam&sort=-words&page=2'")
        await tab.value("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        assert "page 2 of" in await tab.value(count)
        assert await tab.value("document.getElementById('rows-track').value") == "redteam"
        words = await tab.value(
            "[...document.querySelectorAll('#rows-body td:last-child')].map(each => +each.textContent)"
        )
        assert words == sorted(words, reverse=True)
        await tab.value("document.querySelector('#rows-body button').focus()")
        await tab.press("Enter", "\r")
        opened = await tab.value("document.querySelector('#rows-body button[aria-expanded=true]').textContent")
        assert await tab.value("document.activeElement.getAttribute('aria-expanded')") == "true"
        link = await tab.value("document.querySelector('.card a').getAttribute('href')")
        await tab.go("about:blank")
        await tab.go(page.resolve().as_uri() + link)
        assert await tab.ready() == "yes"
        assert await tab.value("document.querySelector('#rows-body button[aria-expanded=true]').textContent") == opened
        votes = await tab.value("[...document.querySelectorAll('.card .vote .label')].map(each => each.textContent)")
        assert [bool(re.match(f"{role} shown first", vote)) for role, vote in zip(("m", "o"), votes, strict=True)] == [
            True,
            True,
        ]

    read(page, look)


def test_curves_have_axes_and_everything_has_words_for_who_does_not_see_it(page: Path, read: Reader) -> None:
    async def look(tab: browser.Tab) -> None:
        assert await tab.ready() == "yes", tab.said
        await tab.value(
            "document.querySelectorAll('.plot-place').forEach(each => each.closest('details')?.setAttribute('open', ''))"
        )
        await tab.value("window.dispatchEvent(new Event('beforeprint'))")
        drawn = (
            "[...document.querySelectorAll('figure')].map(each => each.querySelectorAll('.plot-place canvas').length)"
        )
        assert set(await tab.value(drawn)) == {1}
        both = "document.querySelector('figure.broad .u-legend').textContent"
        assert "the reward it learns from" in await tab.value(both) and "the held-out judge" in await tab.value(both)
        assert "stops at 4" in await tab.value("document.getElementById('run-run-training').textContent")
        bare = """[
          [...document.querySelectorAll("th")].filter(each => !each.scope).length,
          [...document.querySelectorAll("select, input")].filter(each => !each.labels.length).length,
          [...document.querySelectorAll("svg, canvas")].filter(each => !each.closest("[aria-hidden]") && !each.ariaLabel).length,
          [...document.querySelectorAll("figure")].filter(each => !each.querySelector("figcaption table")).length,
          [...document.querySelectorAll(".wide")].filter(each => !each.getAttribute("aria-label")).length,
        ]"""
        assert await tab.value(bare) == [0, 0, 0, 0, 0]
        style = "getComputedStyle(document.querySelector('{}')).textDecorationLine"
        assert await tab.value(style.format("ins")) == "underline"
        await tab.call("Emulation.setDeviceMetricsOverride", width=390, height=800, deviceScaleFactor=1, mobile=True)
        assert await tab.value("document.documentElement.scrollWidth") <= 390

    read(page, look)


def test_a_browser_that_cannot_unpack_shows_the_answer_and_says_what_it_lacks(page: Path, read: Reader) -> None:
    async def look(tab: browser.Tab) -> None:
        script = await tab.call("Page.addScriptToEvaluateOnNewDocument", source="delete window.DecompressionStream")
        await tab.go(page.resolve().as_uri())
        await tab.call("Page.removeScriptToEvaluateOnNewDocument", **script)
        assert await tab.ready() == "no"
        assert await tab.value("document.getElementById('rows-none').hidden") is False
        assert "held-out" in await tab.value("document.querySelector('main').textContent")
        assert await tab.value("document.querySelectorAll('details.row').length") > 4

    read(page, look, quiet=False)


def test_runs_stand_side_by_side_with_their_curves_in_one_frame(hostile: Path, tmp_path: Path, read: Reader) -> None:
    import shutil

    other = tmp_path / "other"
    shutil.copytree(hostile, other)
    write_reports([hostile, other], tmp_path / "both.html")

    async def look(tab: browser.Tab) -> None:
        assert await tab.ready() == "yes", tab.said
        assert await tab.value("document.querySelectorAll('#rows-table option').length") == 8
        assert await tab.value("document.querySelectorAll('#side-by-side figure').length") > 0
        legend = "document.querySelector('#side-by-side .u-legend').textContent"
        await tab.value("document.querySelector('#side-by-side figure').scrollIntoView()")
        await tab.value("window.dispatchEvent(new Event('beforeprint'))")
        assert "run" in await tab.value(legend) and "other" in await tab.value(legend)
        assert await tab.value(STRANGERS) == [0, 0, 0, 0, 0]

    read(tmp_path / "both.html", look)
