"""Pipes, sockets and devices in place of inputs: refused, not waited for."""

import os
import shutil
import signal
import socket
from pathlib import Path

import pytest

import cellflow as cf
from cellflow import FileError
from cellflow._tensors import read_tensors
from cellflow.evaluation.benchmark_plan import read_plan
from cellflow.images._read import read
from cellflow.images.samples import cost_of
from cellflow.images.scoring import scores
from cellflow.images.scoring.feature_nets import read_weights
from cellflow.images.scoring.inception import _graph_bytes
from cellflow.io import open_cells, read_course, read_h5ad, read_scores, read_table
from cellflow.methods.config import read_config
from cellflow.training import Checkpoint
from tests.flows import constant_flow

#: Seconds that a reader may take to refuse.
LIMIT = 20


def pipe(path):
    os.mkfifo(path)


def device(path):
    path.symlink_to("/dev/zero")


def unix_socket(path):
    # Paths of sockets have at most 108 bytes.
    with socket.socket(socket.AF_UNIX) as it:
        it.bind(os.path.relpath(path))


READERS = {
    "a.h5ad": read_h5ad,
    "b.h5ad": open_cells,
    "a.zarr": open_cells,
    "a.zarr.zip": open_cells,
    "a.npz": read_course,
    "a.csv": read_table,
    "a.json": read_scores,
    "b.json": scores.read_table,
    "a.yaml": read_config,
    "b.yaml": read_plan,
    "state": lambda path: Checkpoint(path, resume=True).load(),
    "a.safetensors": lambda path: read_tensors(path, "potentials"),
    "a.pt": read_weights,
    "a.whl": _graph_bytes,
    "b.npz": read,
    "a.npy": read,
    "a.png": read,
    "a.zip": read,
    "a.parquet": read,
    "c.npz": cost_of,
    "flow": cf.Flow.load,
    "a": read,
}


@pytest.fixture(autouse=True)
def _limit():
    """A reader that waits for a pipe, or reads a device for ever, fails."""

    def stop(*_):
        raise AssertionError("it waits")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("make", [pipe, device, unix_socket])
@pytest.mark.parametrize("name", READERS)
def test_no_reader_waits_for_what_is_no_file(name, make, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make(Path(name))
    with pytest.raises(FileError, match=r"not a file|not a folder"):
        READERS[name](Path(name))


@pytest.mark.parametrize("make", [pipe, device, lambda path: path.symlink_to("../outside")])
@pytest.mark.parametrize("name", ["flow.json", "tensors.safetensors"])
def test_the_folder_of_a_flow_holds_its_own_files(name, make, course, tmp_path):
    folder = tmp_path / "flow"
    constant_flow(course, [1.0, 0.0, 0.0]).save(folder)
    shutil.move(folder / name, tmp_path / "outside")
    make(folder / name)
    with pytest.raises(FileError, match=f"{name} is a (link|pipe)"):
        cf.Flow.load(folder)


def test_members_of_a_folder_of_images_that_are_no_files_are_left_out(tmp_path):
    from PIL import Image

    Image.new("L", (4, 4)).save(tmp_path / "a.png")
    os.mkfifo(tmp_path / "b.png")
    (tmp_path / "c.png").symlink_to("/dev/zero")
    assert len(read(tmp_path)) == 1


def test_a_command_names_it_in_one_line(run):
    os.mkfifo("x.h5ad")
    for path in ("x.h5ad", "/dev/zero"):
        code, out, err = run("info", path)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(f"cellflow: {path} is a pipe, a socket or a device")
