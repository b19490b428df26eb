"""Chromium without a window, driven over its debugging protocol: what a page shows is looked at as a reader's browser has it.

    async with opened(path) as tab:
        await tab.ready()
        rows = await tab.value("document.querySelectorAll('tbody tr').length")

Used by the tests of the report and by ``report_page.py``. Nothing sleeps: a call ends with its answer, a wait with an event.
"""

import asyncio
import base64
import json
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60
"""That any one answer may take."""
READY = """new Promise(resolve => {
  const root = document.documentElement, look = () => root.dataset.ready && resolve(root.dataset.ready);
  new MutationObserver(look).observe(root, {attributes: true});
  look();
})"""
"""Settles once the page has unpacked what it holds, with its own word for whether it could."""


def executable() -> str | None:
    """The browser on this machine; None where there is none."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


class Tab:
    """A page that is open.

    Attributes:
        said: what it wrote to its console, and what the browser reported of it: errors, and what its policy refused.
    """

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._events: dict[str, asyncio.Event] = {}
        self.said: list[str] = []
        self.requests: list[str] = []

    async def listen(self) -> None:
        """Take what comes from the browser, until it is closed."""
        async for message in self._socket:
            data = json.loads(message.data)
            if "id" in data:
                self._answers.pop(data["id"]).set_result(data)
                continue
            self._note(data["method"], data["params"])
            self._events.setdefault(data["method"], asyncio.Event()).set()

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Log.entryAdded":
            self.said.append(params["entry"]["text"])
        elif method == "Runtime.exceptionThrown":
            self.said.append(str(params["exceptionDetails"].get("exception", params["exceptionDetails"])))
        elif method == "Runtime.consoleAPICalled":
            self.said += [str(each.get("value", each.get("description"))) for each in params["args"]]
        elif method == "Network.requestWillBeSent":
            self.requests.append(params["request"]["url"])

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """A command of the protocol, and its result."""
        self._number += 1
        answer = self._answers[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": params})
        data = await asyncio.wait_for(answer, SECONDS)
        assert "error" not in data, data["error"]
        return data["result"]

    async def value(self, expression: str) -> Any:
        """What an expression of the page comes to; a promise is awaited."""
        result = await self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def go(self, url: str) -> None:
        """Open another address, and wait until it has loaded."""
        event = self._events["Page.loadEventFired"] = asyncio.Event()
        await self.call("Page.navigate", url=url)
        await asyncio.wait_for(event.wait(), SECONDS)

    async def ready(self) -> str:
        """Wait until the page is live; "yes", or "no" where it could not unpack what it holds."""
        return await self.value(READY)

    async def press(self, key: str, text: str = "") -> None:
        """Press a key and let it go."""
        code = {"Enter": 13, "Tab": 9}.get(key, ord(key[0].upper()))
        await self.call("Input.dispatchKeyEvent", type="keyDown", key=key, text=text, windowsVirtualKeyCode=code)
        await self.call("Input.dispatchKeyEvent", type="keyUp", key=key, windowsVirtualKeyCode=code)

    async def picture(self, path: Path, width: int, height: int = 1400, whole: bool = False) -> None:
        """Write what is seen of the page as a PNG."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        path.write_bytes(base64.b64decode(shot["data"]))


@asynccontextmanager
async def opened(page: Path | str, *before: tuple[str, dict[str, Any]]) -> AsyncIterator[Tab]:
    """The browser with a page from disk, or an address; it ends with the block.

    Args:
        before: commands of the protocol that come before the page, with their parameters.
    """
    browser = executable()
    assert browser, "no Chromium on this machine"
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        line = [
            browser,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--remote-debugging-port=0",
            f"--user-data-dir={folder}",
        ]
        child = await asyncio.create_subprocess_exec(*line, "about:blank", stderr=asyncio.subprocess.PIPE)
        try:
            assert child.stderr
            port = await asyncio.wait_for(_port(child.stderr), SECONDS)
            async with aiohttp.ClientSession() as session, _tab(session, port) as tab:
                for method, params in before:
                    await tab.call(method, **params)
                await tab.go(page if isinstance(page, str) else page.resolve().as_uri())
                yield tab
        finally:
            child.kill()
            await child.wait()


async def _port(lines: asyncio.StreamReader) -> int:
    """Where the browser listens, which it says on its standard error."""
    async for line in lines:
        if b"ws://" in line:
            return int(line.rpartition(b":")[2].partition(b"/")[0])
    raise AssertionError("the browser ended before it listened")


@asynccontextmanager
async def _tab(session: aiohttp.ClientSession, port: int) -> AsyncIterator[Tab]:
    async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
        tabs = [each for each in await answer.json() if each["type"] == "page"]
    async with session.ws_connect(tabs[0]["webSocketDebuggerUrl"], max_msg_size=0) as socket:
        tab = Tab(socket)
        listening = asyncio.create_task(tab.listen())
        try:
            for domain in ("Page", "Runtime", "Log", "Network"):
                await tab.call(f"{domain}.enable")
            yield tab
        finally:
            listening.cancel()
