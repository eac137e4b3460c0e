"""A real browser for tests of pages: Chromium, spoken to over a pipe, with nothing to install."""

from __future__ import annotations

import base64
import json
import os
import select
import shutil
import subprocess
from pathlib import Path
from types import TracebackType
from typing import Any, Self

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_SECONDS = 120  # that an answer may take on a busy machine


def browser_path() -> str | None:
    """Return where a browser is installed, if one is."""
    return next((found for name in _NAMES if (found := shutil.which(name))), None)


class Browser:
    """One window of a headless browser, of any width, in light or dark.

    It speaks the DevTools protocol over two pipes: JSON that ends in a null byte.
    """

    def __init__(self, profile: Path) -> None:
        path = browser_path()
        assert path is not None
        to_child, ours = os.pipe()
        theirs, from_child = os.pipe()
        mine = ours, theirs

        def as_3_and_4() -> None:  # where the browser expects its ends
            high = os.dup(to_child), os.dup(from_child)  # either may be 3 or 4 itself
            os.dup2(high[0], 3)
            os.dup2(high[1], 4)

        flags = ("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage")
        quiet = ("--no-first-run", "--disable-background-networking", "--disable-extensions")
        self._process = subprocess.Popen(
            [path, *flags, *quiet, "--remote-debugging-pipe", f"--user-data-dir={profile}"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(3, 4, to_child, from_child),
            preexec_fn=as_3_and_4,
        )
        os.close(to_child)
        os.close(from_child)
        self._write, self._read = os.fdopen(mine[0], "wb", 0), os.fdopen(mine[1], "rb")
        self._count = 0
        self._rest = b""
        self._session: str | None = None
        self.requests: list[str] = []
        self.errors: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Network"):
            self.call(f"{domain}.enable")
        self.call("Emulation.setScrollbarsHidden", hidden=True)  # they would take of the width

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._write.close()  # the browser ends when its pipe does
        self._read.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._count += 1
        message: dict[str, Any] = {"id": self._count, "method": method, "params": params}
        if self._session is not None:
            message["sessionId"] = self._session
        self._write.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._count:
                assert "error" not in answer, (method, answer)
                return answer["result"]

    def show(
        self,
        page: Path,
        *,
        width: int = 1400,
        height: int = 900,
        dark: bool = False,
        query: str = "",
    ) -> None:
        """Load a file in a window of so many pixels; wait until it is there."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=False,
        )  # fmt: skip
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.requests.clear()
        self.errors.clear()
        answer = self.call("Page.navigate", url=page.absolute().as_uri() + query)
        if "loaderId" in answer:  # else only what follows the # is new, and nothing is loaded
            while self._next().get("method") != "Page.loadEventFired":
                pass

    def run(self, script: str) -> Any:
        """Return the value of an expression in the page; a promise is waited for."""
        answer = self.call(
            "Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def faults(self) -> list[str]:
        """Return what is wrong with how the page is shown; see ``page_faults.js``."""
        return self.run((Path(__file__).parent / "page_faults.js").read_text())

    def press(self, key: str) -> None:
        """Press and release a key, as a reader would."""
        code, text = {"ArrowRight": (39, ""), "Tab": (9, ""), "Enter": (13, "\r")}[key]
        for kind in ("keyDown" if text else "rawKeyDown", "keyUp"):
            self.call(
                "Input.dispatchKeyEvent", type=kind, key=key, text=text, windowsVirtualKeyCode=code
            )

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """Write what is shown as PNG, for people to look at."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=whole)
        file.write_bytes(base64.b64decode(shot["data"]))

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            assert select.select([self._read], [], [], _SECONDS)[0], "the browser does not answer"
            more = os.read(self._read.fileno(), 1 << 20)
            assert more, "the browser has ended"
            self._rest += more
        text, _, self._rest = self._rest.partition(b"\0")
        event: dict[str, Any] = json.loads(text)
        if event.get("method") == "Network.requestWillBeSent":
            self.requests.append(event["params"]["request"]["url"])
        elif event.get("method") == "Runtime.exceptionThrown":
            self.errors.append(str(event["params"]["exceptionDetails"]))
        return event
