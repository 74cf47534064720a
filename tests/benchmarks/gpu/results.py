"""Rows of results, one JSON object a line, written as they come."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

Row = dict[str, Any]

#: Job of the row that ends a part.
WHOLE = "whole part"


@dataclass(frozen=True)
class Results:
    """Rows in a file; each names its part, its job and what became of it.

    Attributes
    ----------
    path
        The file.
    """

    path: Path

    def rows(self, part: str | None = None) -> list[Row]:
        """Return the rows of a part, or all."""
        if not self.path.exists():
            return []
        found = [_parse(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        return [row for row in found if row and part in (None, row["part"])]

    def append(self, part: str, job: str, status: str, **values: object) -> None:
        """Write a row at once, so that it survives the end of the process."""
        line = json.dumps({"part": part, "job": job, "status": status, **values})
        # A process that was killed may have left half a line.
        torn = self.path.exists() and not self.path.read_bytes().endswith(b"\n")
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" * torn + line + "\n")
        print(line, file=sys.stderr, flush=True)

    def last(self, part: str) -> dict[str, Row]:
        """Return the last row of each job of a part."""
        return {row["job"]: row for row in self.rows(part)}

    def is_done(self, part: str, job: str = WHOLE) -> bool:
        """Return whether the last row of a job says that it is done."""
        return self.last(part).get(job, {}).get("status") == "done"

    def run(self, part: str, jobs: Mapping[str, Callable[[], Row]]) -> bool:
        """Run the jobs that are not done, one after another; return whether all are done now."""
        missing = [job for job in jobs if not self.is_done(part, job)]
        for job in missing:
            start = perf_counter()
            try:
                row = jobs[job]()
            except Exception as error:
                # The next job is tried all the same: time on the device is short.
                traceback.print_exc()
                self.append(part, job, "failed", error=f"{type(error).__name__}: {error}")
            else:
                self.append(part, job, "done", seconds=round(perf_counter() - start, 2), **row)
        done = all(self.is_done(part, job) for job in jobs)
        self.append(part, WHOLE, "done" if done else "failed")
        return done


def _parse(line: str) -> Row | None:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None
