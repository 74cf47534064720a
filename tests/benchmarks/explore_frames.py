"""Measure what a frame of the page of `cellflow explore` costs, in a headless Chromium.

    python -m tests.benchmarks.explore_frames PAGE.html

The slider goes through the course in 24 steps, and each frame is waited for with its drawing.
Prints per frame the processor time of the script of the page, which every machine spends, and of
the browser with all that draws. Without a graphics card that is SwiftShader, software on the
processor, so that the second number is not that of a computer with one. Processor time, unlike the
time that passes, can be measured where other programs run. Linux only.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from tests import browser as browsers
from tests.browser import Browser

#: Frames, and frames of one answer of the browser.
N_FRAMES, AT_ONCE = 24, 4

SCRIPT = """
(async () => {
  const gl = document.querySelector("#top canvas").getContext("webgl2");
  const pixel = new Uint8Array(4), slider = document.querySelector("#time");
  for (let k = FIRST; k < FIRST + COUNT; k++) {
    explorer.setTime(Number(slider.min) + (k / LAST) * (slider.max - slider.min));
    await new Promise(requestAnimationFrame);
    gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, pixel);
  }
})()
"""

RENDERER = """
(() => {
  const gl = document.createElement("canvas").getContext("webgl2");
  const about = gl.getExtension("WEBGL_debug_renderer_info");
  return about ? gl.getParameter(about.UNMASKED_RENDERER_WEBGL) : "not told";
})()
"""


def spent(root: int) -> float:
    """Processor seconds of a process and all below it that run."""
    parents, seconds = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        number = int(folder.name)
        parents[number] = int(words[1])
        seconds[number] = (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")
    family, more = {root}, {root}
    while more:
        more = {number for number, parent in parents.items() if parent in more} - family
        family |= more
    return sum(seconds.get(number, 0.0) for number in family)


def script_time(browser: Browser) -> float:
    """Processor seconds of the script of the page."""
    metrics = browser.call("Performance.getMetrics")["metrics"]
    return {each["name"]: each["value"] for each in metrics}["ScriptDuration"]


def frames(browser: Browser) -> tuple[float, float]:
    """Processor seconds per frame of the script, and of the browser."""
    before = script_time(browser), spent(browser.process.pid)
    for first in range(0, N_FRAMES, AT_ONCE):
        script = SCRIPT.replace("FIRST", str(first)).replace("COUNT", str(AT_ONCE))
        browser.run(script.replace("LAST", str(N_FRAMES - 1)))
    after = script_time(browser), spent(browser.process.pid)
    one, other = ((b - a) / N_FRAMES for a, b in zip(before, after, strict=True))
    return one, other


def main(page: Path) -> None:
    """Measure one page."""
    browsers.PATIENCE = 600
    with tempfile.TemporaryDirectory() as folder, Browser(folder) as browser:
        browser.call("Performance.enable", timeDomain="threadTicks")
        browser.open(page)
        opening = script_time(browser)
        about = "JSON.parse(document.getElementById('about').textContent)"
        n = browser.run(f"(a => [a.n_drawn, a.n_paths])({about})")
        print(f"{n[0]:,} cells, {n[1]:,} with paths; drawn by {browser.run(RENDERER)}")
        print(f"opening: {1000 * opening:.0f} ms of the script")
        for mode in ("first", "all"):
            browser.choose("#mode", mode)
            for background in ("grey", "hidden"):
                browser.choose("#background", background)
                script, everything = frames(browser)
                print(
                    f"moving {mode}, measured {background}: {1000 * script:.1f} ms of the script, "
                    f"{1000 * everything:.0f} ms in all"
                )


if __name__ == "__main__":
    main(Path(sys.argv[1]))
