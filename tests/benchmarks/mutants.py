"""Put small faults into a package, one at a time, and count those that its tests find.

    python -m tests.benchmarks.mutants metrics --sample 150

`[tool.mutants]` in pyproject.toml names the tests of each package, equivalent_mutants.toml the
faults that were judged to change no number that matters. Survivors are printed, all results are
written to .mutants as they come, and after a change of tests `--again` tries the last run's
survivors only.

cosmic-ray starts a process for each fault, and loads torch in it. mutmut forks, but its changes
cannot be chosen (texts, arguments turned into None) and it passes over properties and others with
decorators. Here tests are collected once; each fault is a fork in which the code of a function is
exchanged under its decorators, and only tests that reach the changed statement run, the quickest
first, until one fails or they took 30 s.
"""

from __future__ import annotations

import argparse
import csv
import gc
import hashlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import tomllib
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np
import pytest
from _pytest.runner import runtestprotocol
from _pytest.warnings import catch_warnings_for_item

from tests.benchmarks.faults import PATH, REACHED, Fault, faults, last_line, marked

_ROOT = Path(__file__).parents[2]
_RESULTS = _ROOT / ".mutants"
_EQUIVALENT = Path(__file__).with_name("equivalent_mutants.toml")
_MEMORY = 4 * 2**30


class Mutants:
    """Pytest plugin that runs collected tests on faults instead of once."""

    def __init__(
        self, tried: list[Fault], report: Callable[[Fault, str], None], seconds: float
    ) -> None:
        self.tried = tried
        self.report = report
        self.seconds = seconds

    def pytest_sessionstart(self) -> None:
        """Try fewer examples, and do not look for the smallest one that fails."""
        import hypothesis

        phases = [hypothesis.Phase.explicit, hypothesis.Phase.generate]
        # A busy machine is no fault.
        checks = list(hypothesis.HealthCheck)
        hypothesis.settings.register_profile(
            "mutants", max_examples=12, phases=phases, suppress_health_check=checks
        )
        hypothesis.settings.load_profile("mutants")

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Find out which tests reach which lines, then try each fault."""
        if session.testsfailed:
            raise session.Interrupted("tests cannot be collected")
        files = {str(_ROOT / fault.path) for fault in self.tried}
        functions = [object for object in gc.get_objects() if type(object) is FunctionType]
        self.functions = [f for f in functions if f.__code__.co_filename in files]
        gc.collect()
        gc.freeze()
        seconds, lines = _forked(lambda: self._measure(session.items))
        for name in [name for name, spent in seconds.items() if spent is None]:
            print(f"left out, fails without a fault: {name}", flush=True)
        reaching = defaultdict(set)
        for name, reached in lines.items():
            for path, line in reached:
                reaching[path, line].add(name)
        passed = [item for item in session.items if seconds[item.nodeid] is not None]
        order = sorted(passed, key=lambda item: seconds[item.nodeid])
        for fault in self.tried:
            names = reaching[str(_ROOT / fault.path), fault.lines.start]
            chosen = [i for i in order if i.nodeid in names or not fault.in_function]
            spent = np.cumsum([seconds[item.nodeid] for item in chosen])
            chosen = chosen[: 1 + int((spent < self.seconds).sum())]
            limit = 10 + 4 * float(spent[: len(chosen)].max(initial=0))
            found = self._try(fault, chosen, limit) if chosen else "not reached"
            self.report(fault, found)
        return True

    def _measure(self, items: list[pytest.Item]) -> tuple[dict, dict]:
        """Return for each test its time, None where it fails, and the statements it reaches."""
        reached: set[tuple[str, int]] = set()
        for function in self.functions:
            function.__globals__[REACHED] = reached
            function.__globals__[PATH] = function.__code__.co_filename
        for path in {fault.path for fault in self.tried}:
            if lost := [each.name for each in marked(_ROOT / path, _ROOT) if not self._place(each)]:
                raise SystemExit(f"not in memory: {lost}")
        seconds: dict[str, float | None] = {}
        lines: dict[str, list[tuple[str, int]]] = {}
        for item, following in zip(items, [*items[1:], None], strict=True):
            reached.clear()
            began = time.perf_counter()
            passed = _passes(item, following)
            spent = time.perf_counter() - began
            seconds[item.nodeid] = spent if passed else None
            lines[item.nodeid] = sorted(reached)
        return seconds, lines

    def _try(self, fault: Fault, items: list[pytest.Item], limit: float) -> str:
        """Run tests on a fault in a fork: killed, survived, or killed by time or memory."""
        if not (child := os.fork()):
            _be_quiet()
            _limit(limit)
            code = 3
            try:
                code = self._run(fault, items)
            finally:
                os._exit(code)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            return "killed by time or crash"
        return {0: "survived", 1: "killed"}.get(os.WEXITSTATUS(status), "not placed")

    def _run(self, fault: Fault, items: list[pytest.Item]) -> int:
        if not (self._place(fault) if fault.in_function else _place_constant(fault)):
            return 2
        following = [*items[1:], None]
        return int(not all(map(_passes, items, following)))

    def _place(self, fault: Fault) -> bool:
        """Exchange the code of the function, under whatever decorators it has."""
        path = str(_ROOT / fault.path)
        code = fault.code().replace(co_filename=path)
        placed = False
        for function in self.functions:
            old = function.__code__
            same = (old.co_filename, old.co_qualname) == (path, fault.function)
            if same and last_line(old) == fault.end:
                function.__code__ = code
                placed = True
        return placed


def _passes(item: pytest.Item, following: pytest.Item | None) -> bool:
    """Run a test under its own filters of warnings."""
    with catch_warnings_for_item(item.config, item.ihook, "runtest", item):
        reports = runtestprotocol(item, log=False, nextitem=following)
    return not any(report.failed for report in reports)


def _forked(work: Callable[[], Any]) -> Any:
    """Return what a function returns in a fork, which leaves nothing in this process."""
    with tempfile.NamedTemporaryFile("w+") as file:
        if not (child := os.fork()):
            _be_quiet()
            try:
                file.write(json.dumps(work()))
            except BaseException as error:
                file.write(repr(error))
            file.flush()
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if status:
            raise SystemExit(f"the tests end their process: {status}")
        file.seek(0)
        text = file.read()
    if not text.startswith("["):
        raise SystemExit(text)
    return json.loads(text)


def _be_quiet() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


def _limit(seconds: float) -> None:
    """Bound the time and the memory of this process."""
    resource.setrlimit(resource.RLIMIT_CPU, (int(seconds), int(seconds) + 5))
    pages = int(Path("/proc/self/statm").read_text(encoding="utf-8").split()[0])
    memory = pages * resource.getpagesize() + _MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 10 * seconds)


def _place_constant(fault: Fault) -> bool:
    """Assign changed constants of a module, wherever they were imported."""
    modules = [module for module in list(sys.modules.values()) if hasattr(module, "__dict__")]
    path = str(_ROOT / fault.path)
    home = vars(next(module for module in modules if getattr(module, "__file__", None) == path))
    before = dict(home)
    exec(fault.code(), home)
    for name in [name for name, value in home.items() if before.get(name, value) is not value]:
        for module in modules:
            if vars(module).get(name) is before[name]:
                vars(module)[name] = home[name]
    return True


def _judged() -> dict[str, str]:
    """Return the reasons of faults judged equivalent, by name of fault or function."""
    reasons = {}
    for entry in tomllib.loads(_EQUIVALENT.read_text(encoding="utf-8")).get("equivalent", []):
        where = f"{entry['file']}::{entry['function']}"
        for change in entry.get("changes", [""]):
            reasons[f"{where}::{change}" if change else where] = entry["reason"]
    return reasons


def _is_judged(fault: Fault, reasons: dict[str, str]) -> bool:
    return fault.name in reasons or f"{fault.path}::{fault.function}" in reasons


def _sample(found: list[Fault], size: int | None) -> list[Fault]:
    """Return faults drawn by their names, so that a changed line changes no other draw."""

    def draw(fault: Fault) -> str:
        return hashlib.sha256(fault.name.encode()).hexdigest()

    chosen = sorted(found, key=draw)[:size]
    return sorted(chosen, key=lambda fault: (fault.path, fault.lines.stop))


def _read(package: str) -> dict[str, str]:
    """Return the results of the last run, by name of fault."""
    with (_RESULTS / f"{package}.csv").open(encoding="utf-8") as file:
        return {row["fault"]: row["result"] for row in csv.DictReader(file)}


def _write(package: str, results: dict[str, str]) -> None:
    _RESULTS.mkdir(parents=True, exist_ok=True)
    with (_RESULTS / f"{package}.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("fault", "result"), *results.items()])


def _check_judged(reasons: dict[str, str], found: list[Fault]) -> None:
    """Print judged faults of these files that exist no longer."""
    paths = {fault.path for fault in found}
    names = {name for fault in found for name in (fault.name, f"{fault.path}::{fault.function}")}
    for name in reasons:
        if name.split("::")[0] in paths and name not in names:
            print(f"judged, but no longer a fault: {name}")


def run(package: str, settings: dict[str, list[str]], options: argparse.Namespace) -> str:
    """Try the faults of one package, and return its line of the table."""
    paths = [path for source in settings["sources"] for path in sorted(_ROOT.glob(source))]
    found = [fault for path in paths for fault in faults(path, _ROOT)]
    reasons = _judged()
    _check_judged(reasons, found)
    last = _read(package) if options.again else {}
    drawn = [fault for fault in found if fault.name in last] or _sample(found, options.sample)
    counted = [fault for fault in drawn if not _is_judged(fault, reasons)]
    tried = [fault for fault in counted if not last.get(fault.name, "").startswith("killed")]

    began, done = time.perf_counter(), 0

    def report(fault: Fault, result: str) -> None:
        nonlocal done
        done += 1
        last[fault.name] = result
        _write(package, last)
        if not result.startswith("killed"):
            where = f"{fault.path}:{fault.lines[-1]} {fault.function}"
            print(f"{result}: {where}: {fault.change}", flush=True)
        if done % 10 == 0:
            spent = time.perf_counter() - began
            print(f"{done} of {len(tried)} faults tried in {spent:.0f} s", flush=True)

    with tempfile.TemporaryDirectory() as folder:
        words = [
            "-p",
            "no:randomly",
            "-p",
            "no:cacheprovider",
            "-n",
            "0",
            "-s",
            "-q",
            "--no-header",
        ]
        words += [f"--basetemp={folder}/tests", *settings["tests"]]
        if tried and (
            code := pytest.main(words, plugins=[Mutants(tried, report, options.seconds)])
        ):
            raise SystemExit(code)
    killed = sum(last.get(fault.name, "").startswith("killed") for fault in counted)
    return (
        f"{package}: {len(found)} faults, {len(drawn)} drawn, {len(drawn) - len(counted)} judged "
        f"equivalent, {killed} of {len(counted)} killed, {killed / max(len(counted), 1):.1%}"
    )


def main() -> None:
    """Try the faults of the package named on the command line."""
    table = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = table["tool"]["mutants"]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", choices=packages)
    parser.add_argument("--sample", type=int, help="so many faults of each package, not all")
    parser.add_argument(
        "--seconds", type=float, default=30, help="of tests for each fault, the quickest first"
    )
    parser.add_argument("--again", action="store_true", help="only the last run's survivors")
    options = parser.parse_args()
    print(run(options.package, packages[options.package], options))


if __name__ == "__main__":
    main()
