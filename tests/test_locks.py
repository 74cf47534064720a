"""Two processes with one output: one of them is told before it works."""

import fcntl
import os
import signal
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from cellflow import FileError, _files
from cellflow._files import atomic_file, atomic_folder
from cellflow._locks import reserve
from tests.forks import fork

pytestmark = pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")


def reserving(*names):
    """Work that reserves outputs and does not end."""

    def work(ready):
        with ExitStack() as stack:
            for name in names:
                stack.enter_context(reserve(Path(name)))
            ready()
            time.sleep(60)

    return work


@pytest.fixture
def other(monkeypatch, tmp_path):
    """Start another process that reserves outputs; end it."""
    monkeypatch.chdir(tmp_path)
    children = []

    def start(*names):
        child, ready = fork(reserving(*names))
        children.append(child)
        assert os.read(ready, 1) == b"r"
        os.close(ready)
        return child

    yield start
    for child in children:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)


def test_an_output_is_reserved_until_its_process_ends(other, tmp_path):
    child = other("flow")
    message = f"cannot write flow: another process \\({child} on "
    with pytest.raises(FileError, match=message), reserve(Path("flow")):
        pass
    with reserve(Path("flow2")), reserve(Path("flow2")):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitid(os.P_PID, child, os.WEXITED | os.WNOWAIT)
    (tmp_path / "link").symlink_to("flow")
    with reserve(Path("link")), reserve(Path("flow")):
        assert len(list(tmp_path.glob(".*"))) == 1
    assert not list(tmp_path.glob(".*"))


def test_commands_reserve_their_output_and_checkpoint(other, run, course, tmp_path):
    course.write_h5ad(tmp_path / "c.h5ad")
    other("flow", "kept", "c.h5ad", "demo")
    fit = ["fit", "c.h5ad", "--use-rep", "X_pca"]
    before = sorted(tmp_path.iterdir())
    for words, name in (
        ([*fit, "--output", "flow", "--force"], "flow"),
        ([*fit, "--output", "new", "--checkpoint", "kept", "--resume"], "kept"),
        (["embed", "c.h5ad", "--output", "c.h5ad", "--force"], "c.h5ad"),
        (["benchmark", "c.h5ad", "--output", "flow"], "flow"),
        (["demo", "--output", "demo"], "demo"),
        (["image", "couple", "--data", "digits", "--output", "demo"], "demo"),
    ):
        code, _, err = run(*words)
        assert (code, err.count("\n")) == (2, 1)
        assert err.startswith(f"cellflow: cannot write {name}: another process (")
    assert sorted(tmp_path.iterdir()) == before


def test_without_locks_nothing_is_reserved(monkeypatch, tmp_path):
    def refuse(*_):
        raise OSError(37, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with reserve(tmp_path / "flow"), reserve(tmp_path / "none" / "flow"):
        pass
    assert not list(tmp_path.iterdir())


def write_file(path, text, *, overwrite):
    with atomic_file(path, overwrite=overwrite) as staged:
        staged.write_text(text)


def write_folder(path, text, *, overwrite):
    with atomic_folder(path, overwrite=overwrite) as staged:
        (staged / "text").write_text(text)


@pytest.mark.parametrize("write", [write_file, write_folder])
def test_an_output_that_another_process_wrote_in_the_meantime_is_not_replaced(
    write, tmp_path, monkeypatch
):
    """The other one writes between the check of the second and its last move."""
    path, stage = tmp_path / "output", _files._scratch_folder

    @contextmanager
    def stage_late(target):
        with stage(target) as scratch:
            monkeypatch.setattr(_files, "_scratch_folder", stage)
            write(path, "first", overwrite=False)
            yield scratch

    monkeypatch.setattr(_files, "check_target", lambda *_, **__: None)
    monkeypatch.setattr(_files, "_scratch_folder", stage_late)
    with pytest.raises(FileError, match="another process wrote it in the meantime"):
        write(path, "later", overwrite=False)
    assert (path if path.is_file() else path / "text").read_text() == "first"
    assert [each.name for each in tmp_path.iterdir()] == ["output"]


def test_of_two_that_replace_a_folder_one_is_whole_and_the_other_told(tmp_path, monkeypatch):
    """The second one puts its folder between the two renames of the first."""
    path = tmp_path / "flow"
    write_folder(path, "old", overwrite=False)
    rename = Path.rename

    def rename_late(self, target):
        if target == path and (self / "text").read_text() == "first":
            monkeypatch.setattr(Path, "rename", rename)
            write_folder(path, "second", overwrite=True)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", rename_late)
    with pytest.raises(FileError, match="another process wrote it in the meantime"):
        write_folder(path, "first", overwrite=True)
    assert (path / "text").read_text() == "second"
    assert [each.name for each in tmp_path.iterdir()] == ["flow"]
