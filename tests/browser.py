"""A headless Chromium that opens one page, driven through its DevTools protocol.

The protocol is JSON, each message ended by a zero byte, over two pipes: nothing but the browser is
needed. Clicks and keys are those of a user, dispatched by the browser itself.
"""

import base64
import itertools
import json
import os
import select
import shutil
import subprocess
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

#: Seconds to wait for a page or an answer.
PATIENCE = 120


def find_browser():
    """The program of Chromium, or None."""
    given = os.environ.get("CELLFLOW_CHROMIUM")
    return given or next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One page of a headless Chromium, without a network; a context that ends it."""

    def __init__(self, folder, *, width=1400, height=900, webgl=True):
        here, theirs = os.pipe(), os.pipe()
        graphics = ["--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
        switches = [
            "--headless=new", "--no-sandbox", "--remote-debugging-pipe", "--no-first-run",
            "--disable-background-networking", "--hide-scrollbars",
            "--disable-dev-shm-usage", "--host-resolver-rules=MAP * ~NOTFOUND",
            f"--user-data-dir={folder}/profile", f"--window-size={width},{height}",
            *(graphics if webgl else ["--disable-gpu", "--disable-3d-apis"]),
        ]  # fmt: skip
        words = [find_browser(), *switches, "about:blank"]
        # The browser reads from its descriptor 3 and writes to 4.
        script = f'exec "$@" 3<&{here[0]} 4>&{theirs[1]}'
        self.process = subprocess.Popen(
            ["bash", "-c", script, "bash", *words],
            pass_fds=(here[0], theirs[1]),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(here[0])
        os.close(theirs[1])
        self.writer, self.reader = here[1], theirs[0]
        self.numbers, self.unread, self.events = itertools.count(1), b"", []
        self.session = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)[
            "sessionId"
        ]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.resize(width, height)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()
        os.close(self.writer)
        os.close(self.reader)

    def call(self, method, **parameters):
        """Send a command; return its result."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writer, json.dumps(message).encode() + b"\0")
        while (answer := self._read()).get("id") != number:
            self.events.append(answer)
        assert "error" not in answer, (method, answer)
        return answer["result"]

    def _read(self):
        while b"\0" not in self.unread:
            assert select.select([self.reader], [], [], PATIENCE)[0], "the browser does not answer"
            part = os.read(self.reader, 1 << 20)
            assert part, "the browser has ended"
            self.unread += part
        message, _, self.unread = self.unread.partition(b"\0")
        return json.loads(message)

    def resize(self, width, height):
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width, height=height, deviceScaleFactor=1, mobile=width < 600,
        )  # fmt: skip

    def open(self, path, *, media=None):
        """Open a file, and wait until it says that it is ready, or cannot be."""
        if media:
            features = [{"name": name, "value": value} for name, value in media.items()]
            self.call("Emulation.setEmulatedMedia", features=features)
        self.call("Page.navigate", url=path.resolve().as_uri())
        self.wait("document.body && document.body.dataset.ready")

    def run(self, script):
        """The value of a JavaScript expression."""
        given = {"expression": script, "returnByValue": True, "awaitPromise": True}
        answer = self.call("Runtime.evaluate", **given)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, script):
        """Wait until an expression is true."""
        end = time.monotonic() + PATIENCE
        while not self.run(script):
            assert time.monotonic() < end, script
            time.sleep(0.05)

    def text(self, selector):
        """The text that is seen of an element."""
        return self.run(f"document.querySelector({json.dumps(selector)}).innerText")

    def click(self, x, y):
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def click_on(self, selector):
        """Click the middle of an element."""
        name = json.dumps(selector)
        self.run(f"document.querySelector({name}).scrollIntoView({{block: 'center'}})")
        box = f"document.querySelector({name}).getBoundingClientRect()"
        self.click(*self.run(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})"))

    def press(self, key, *, text="", shift=False):
        for kind in ("keyDown", "keyUp"):
            typed = {"text": text} if kind == "keyDown" else {}
            self.call("Input.dispatchKeyEvent", type=kind, key=key, modifiers=8 * shift, **typed)

    def choose(self, selector, value):
        """Choose an option of a list."""
        script = "(e, v) => { e.value = v; e.dispatchEvent(new Event('change', {bubbles: true})); }"
        self.run(f"({script})(document.querySelector({json.dumps(selector)}), {json.dumps(value)})")

    def picture(self, path=None):
        """A picture of what is seen, as PNG; it is also written to `path`."""
        data = base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"])
        if path is not None:
            path.write_bytes(data)
        return data

    def complaints(self):
        """What the page or the browser reported as an error, and every request but for the file."""
        self.run("0")
        found = []
        for event in self.events:
            method, given = event.get("method"), event.get("params", {})
            if method == "Runtime.exceptionThrown":
                details = given["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            elif method == "Runtime.consoleAPICalled" and given["type"] in ("error", "assert"):
                found.append(str([each.get("value") for each in given["args"]]))
            elif method == "Log.entryAdded" and given["entry"]["level"] == "error":
                found.append(given["entry"]["text"])
            elif method == "Network.requestWillBeSent":
                url = given["request"]["url"]
                if not url.startswith(("file:", "blob:", "data:")):
                    found.append(url)
        return found
