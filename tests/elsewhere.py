"""A process that reads and uses files for others, since C code that is misled may crash it.

Run as a script, it is that process: it reads lines of a task and a path, and answers each with a
line: empty if all went well, the message of an error of ours, or FAULT and any other error.
"""

import subprocess
import sys
import threading
from pathlib import Path

from cellflow._errors import CellflowError

#: Seconds that a file of some kilobytes may take, on a machine that has much else to do.
LIMIT = 60

#: Bytes of memory that it may ask for once its libraries are loaded: a length that was changed may
#: say 4 GB, and the libraries of torch with CUDA take 3 GB of addresses themselves.
MEMORY = 3 * 2**30

#: Begins the answer for an error that is none of ours.
FAULT = "FAULT "


class Elsewhere:
    """Reads and uses cells in a process of its own, which is there from the first file."""

    def __init__(self):
        self._process = None

    def read(self, path):
        """Read cells and their times."""
        self._ask("read", path)

    def use(self, path):
        """Read cells, embed them, fit a flow, and predict cells by it."""
        self._ask("use", path)

    def _ask(self, task, path):
        """Errors of ours come back; others, and what ends or holds the process, fail."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.elsewhere", str(MEMORY)],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                cwd=Path(__file__).parents[1],
            )  # fmt: skip
        process = self._process
        print(f"{task} {path}", file=process.stdin, flush=True)
        watch = threading.Timer(LIMIT, process.kill)
        watch.start()
        said = process.stdout.readline()
        watch.cancel()
        if not said:
            self.close()
            raise AssertionError(f"{path} ended the process with {process.returncode}")
        assert not said.startswith(FAULT), said
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


def _read(path):
    from cellflow.io import open_cells, read_course, time_points_of

    refusals = []
    for reader in (read_course, open_cells):
        try:
            time_points_of(reader(path), "day")
        except CellflowError as error:
            refusals.append(error)
    if refusals:
        raise refusals[-1]


def _use(path):
    """Fit to expression or to an embedding with clones; what is predicted is finite."""
    import numpy as np

    import cellflow as cf
    from cellflow.io import open_cells, read_h5ad

    settings = {
        "time_key": "day",
        "recipe": cf.recipe("default", n_steps=2, batch_size=8, net={"width": 4, "depth": 1}),
        "progress": False,
    }
    # The name of the file chooses what is used of it.
    use = ("X", "more", "raw", "X_pca")[int(Path(path).name.partition(".")[0])]
    if use == "X_pca":
        adata = read_h5ad(path)
        options = {"use_rep": use, "lineage_key": "clones", "cost_rep": "X_cost"}
        flow = cf.tl.fit(adata, leave_out=[2], condition_keys=["kind"], **options, **settings)
        predicted = cf.tl.interpolate(adata, flow, 0.5, obs_keys=["kind"])
    else:
        adata = open_cells(path)
        cf.pp.embed(adata, layer=None if use == "X" else use, n_dims=2)
        flow = cf.tl.fit(adata, method="ot-cfm", **settings)
        predicted = cf.tl.push(adata, flow, "day=0", 1.5)
    assert np.isfinite(predicted.obsm["X_cellflow"]).all()
    assert np.isclose(predicted.obs["cellflow_weight"].sum(), 1)


def _serve():
    import resource
    import traceback
    import warnings

    import torch

    import cellflow.io
    import cellflow.pp
    import cellflow.tl  # noqa: F401

    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + int(sys.argv[1])
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    tasks = {"read": _read, "use": _use}
    for line in sys.stdin:
        task, path = line.rstrip("\n").split(" ", 1)
        said = ""
        try:
            tasks[task](path)
        except CellflowError as error:
            said = " ".join(str(error).split())
        except Exception:
            said = FAULT + " | ".join(traceback.format_exc().splitlines())
        sys.stdout.write(f"{said}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    _serve()
