"""A process that reads files for others, since C code that is misled may crash it or never end."""

import subprocess
import sys
import threading

from cellflow._errors import CellflowError

#: Seconds that a file of some kilobytes may take, on a machine that has much else to do.
LIMIT = 60

#: Bytes of memory that it may ask for: a length that was changed may say 4 GB.
MEMORY = 3 * 2**30

SCRIPT = """
import resource, sys, warnings
from cellflow import CellflowError
from cellflow.io import open_cells, read_course, time_points_of

warnings.simplefilter("ignore")
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[1]),) * 2)
for line in sys.stdin:
    said = ""
    for reader in (read_course, open_cells):
        try:
            time_points_of(reader(line.rstrip()), "day")
        except CellflowError as error:
            said = " ".join(str(error).split())
    print(said, flush=True)
"""


class Elsewhere:
    """Reads cells and their times in a process of its own, which is there from the first file."""

    def __init__(self):
        self._process = None

    def read(self, path):
        """Read a file; errors of ours come back, and what ends or holds the process fails."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-c", SCRIPT, str(MEMORY)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            )  # fmt: skip
        process = self._process
        print(path, file=process.stdin, flush=True)
        watch = threading.Timer(LIMIT, process.kill)
        watch.start()
        said = process.stdout.readline()
        watch.cancel()
        if not said:
            self.close()
            raise AssertionError(f"{path} ended its reader with {process.returncode}")
        if said.strip():
            raise CellflowError(said.strip())

    def close(self):
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.stdin.close()
            self._process.stdout.close()
            self._process.wait()
            self._process = None
