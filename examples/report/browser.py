"""A page opened in headless Chromium, spoken to over a pipe: its protocol is JSON between zero bytes.

See: https://chromedevtools.github.io/devtools-protocol/
"""

import base64
import json
import os
import select
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

SECONDS = 60
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--remote-debugging-pipe",
)


@dataclass
class Opened:
    """What the page asked for, what it complained of, and what a script in it sees."""

    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    seen: Any = None
    picture: bytes = b""


class Browser:
    """One Chromium with an empty profile; every page is opened in a new tab of it."""

    def __init__(self, executable: str, profile: Path) -> None:
        to_browser, self._out = os.pipe()
        self._in, from_browser = os.pipe()
        # Chromium reads file descriptor 3 and writes 4.
        started = (executable, *FLAGS, f"--user-data-dir={profile}")
        command = 'exec 3<&"$1" 4>&"$2"; shift 2; exec "$@"'
        self._process = subprocess.Popen(
            ["bash", "-c", command, "bash", str(to_browser), str(from_browser), *started],
            pass_fds=(to_browser, from_browser),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(to_browser)
        os.close(from_browser)
        self._rest = b""
        self._number = 0
        self._page = Opened()
        self._loaded = False

    def close(self) -> None:
        self._call("Browser.close")
        self._process.wait()
        os.close(self._in)
        os.close(self._out)

    def open(self, page: Path, script: str, scheme: str = "light", width: int = 1280) -> Opened:
        """Load the page and evaluate the script, a promise's value waited for."""
        self._page, self._loaded = Opened(), False
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        tab = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Network", "Runtime", "Log", "Page"):
            self._call(f"{domain}.enable", tab)
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self._call("Emulation.setEmulatedMedia", tab, features=[feature])
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", tab, **size)
        self._call("Page.navigate", tab, url=page.as_uri())
        while not self._loaded:
            self._read()
        response = self._call(
            "Runtime.evaluate", tab, expression=script, awaitPromise=True, returnByValue=True
        )
        self._page.seen = response["result"].get("value")
        shot = self._call("Page.captureScreenshot", tab, captureBeyondViewport=True)
        self._page.picture = base64.b64decode(shot["data"])
        self._call("Target.closeTarget", targetId=target)
        return self._page

    def _call(self, method: str, tab: str | None = None, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message = {"id": self._number, "method": method, "params": parameters}
        if tab:
            message["sessionId"] = tab
        os.write(self._out, json.dumps(message).encode() + b"\0")
        while True:
            response = self._read()
            if response.get("id") == self._number:
                assert "error" not in response, response
                return dict(response["result"])

    def _read(self) -> dict[str, Any]:
        while b"\0" not in self._rest:
            ready, _, _ = select.select([self._in], [], [], SECONDS)
            assert ready, "Chromium said nothing for a minute"
            more = os.read(self._in, 1 << 20)
            assert more, "Chromium ended"
            self._rest += more
        line, self._rest = self._rest.split(b"\0", 1)
        message: dict[str, Any] = json.loads(line)
        match message.get("method"):
            case "Network.requestWillBeSent":
                self._page.requests.append(message["params"]["request"]["url"])
            case "Runtime.exceptionThrown" | "Log.entryAdded" | "Runtime.consoleAPICalled":
                self._page.complaints.append(json.dumps(message["params"]))
            case "Page.loadEventFired":
                self._loaded = True
        return message
