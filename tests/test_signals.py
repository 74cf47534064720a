"""Every signal is heard, wherever it falls, and nothing of the stopped process stays behind."""

import contextlib
import ctypes
import hashlib
import os
import signal
import sys
import threading
import time
import weakref
from pathlib import Path

import pytest

from cellflow._files import atomic_file, atomic_folder, end_process, temporary_folder
from cellflow._signals import Stopped, defer_signals, end_with_parent, stoppable
from tests.forks import fork

SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(autouse=True)
def _ctrl_c():
    """Ctrl-C reaches these processes, though they may have been started in the background."""
    before = {number: signal.getsignal(number) for number in SIGNALS}
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send():
    signal.raise_signal(signal.SIGTERM)


class Ends:
    def __del__(self):
        send()


def drop_in_weak_reference():
    thing = threading.Event()
    weakref.finalize(thing, send).atexit = False
    del thing


def drop_in_del():
    ends = Ends()
    del ends


def drop_in_callback_of_c():
    ctypes.CFUNCTYPE(None)(send)()


def drop_in_library():
    with contextlib.suppress(BaseException):
        send()


DROPS = [drop_in_weak_reference, drop_in_del, drop_in_callback_of_c, drop_in_library]


@pytest.mark.parametrize("drop", DROPS)
def test_a_dropped_signal_is_raised_again_and_not_printed(drop, capsys):
    def work():
        drop()
        reached.append("after the drop")
        time.sleep(30)
        reached.append("the end")

    reached = []
    with pytest.raises(Stopped), stoppable(lambda _: None):
        work()
    assert reached == ["after the drop"]
    assert capsys.readouterr().err == ""


def test_a_signal_while_files_are_removed_waits():
    def work():
        try:
            send()
        finally:
            send()
            time.sleep(0.2)
            steps.append("removed")

    steps = []
    with pytest.raises(Stopped), stoppable(lambda _: None):
        work()
    assert steps == ["removed"]


def test_what_is_set_for_signals_is_restored():
    def state():
        handlers = [signal.getsignal(number) for number in SIGNALS]
        descriptor = signal.set_wakeup_fd(-1)
        signal.set_wakeup_fd(descriptor)
        threads = [each for each in threading.enumerate() if each.name.startswith("cellflow")]
        return handlers, descriptor, threads, sys.unraisablehook

    before = state()
    with stoppable(lambda _: None):
        assert state() != before
    assert state() == before


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_that_is_ignored_from_the_start_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    with stoppable(lambda _: pytest.fail("it was heard")), defer_signals() as deferred:
        signal.raise_signal(number)
    assert deferred.caught is None
    assert signal.getsignal(number) == signal.SIG_IGN


def test_without_a_command_ctrl_c_is_the_exception_that_python_raises():
    with pytest.raises(KeyboardInterrupt), defer_signals():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", SIGNALS)
def test_the_exit_code_of_a_command_is_128_and_the_signal(number, run, monkeypatch):
    monkeypatch.setattr("cellflow.datasets.semrau2017", lambda: signal.raise_signal(number))
    # Under nohup SIGHUP is ignored, and a command leaves it so.
    inherited = signal.signal(number, signal.SIG_DFL)
    try:
        assert run("demo") == (SIGNALS[number], "", "cellflow: stopped\n")
    finally:
        signal.signal(number, inherited)


def test_an_error_that_a_library_makes_of_a_signal_is_no_bug(run, monkeypatch):
    def swallow():
        drop_in_library()
        raise RuntimeError("the library was interrupted")

    monkeypatch.setattr("cellflow.datasets.semrau2017", swallow)
    code, _, err = run("demo")
    assert (code, err) == (143, "cellflow: stopped\n")


def test_a_signal_between_the_renames_of_a_folder_comes_after_them(tmp_path, monkeypatch):
    rename = Path.rename
    monkeypatch.setattr(Path, "rename", lambda *given: (send(), send(), rename(*given))[-1])
    (tmp_path / "flow").mkdir()
    with (
        pytest.raises(Stopped),
        stoppable(lambda _: None),
        atomic_folder(tmp_path / "flow", overwrite=True) as staged,
    ):
        (staged / "new").write_text("whole")
    assert [each.relative_to(tmp_path).as_posix() for each in tmp_path.rglob("*")] == [
        "flow", "flow/new"
    ]  # fmt: skip


# Processes of their own


def hash_for_long():
    """A call of C that no signal ends; seconds of work."""
    hashlib.pbkdf2_hmac("sha256", b"", b"", 40_000_000)


def write_for_long(ready):
    with (
        stoppable(end_process),
        atomic_folder(Path("flow"), overwrite=False),
        atomic_file(Path("a.csv"), overwrite=False),
        temporary_folder(),
    ):
        # Ready when the main thread is in C.
        threading.Timer(0.5, ready).start()
        hash_for_long()


def keep_the_exception(ready):
    with stoppable(end_process), atomic_file(Path("a.csv"), overwrite=False):
        try:
            ready()
            time.sleep(60)
        except BaseException as error:
            kept = error
            time.sleep(60)
            raise kept from None


def work_for_a_pool(ready):
    end_with_parent(end_process)
    with atomic_file(Path("a.csv"), overwrite=False):
        ready()
        hash_for_long()
        ready()


LONG = [write_for_long, keep_the_exception, work_for_a_pool]


@pytest.mark.parametrize("work", LONG)
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_that_cannot_stop_itself_is_ended_and_leaves_nothing(work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    child, ready = fork(work)
    assert os.read(ready, 1) == b"r"
    assert list(tmp_path.iterdir())
    os.kill(child, signal.SIGTERM)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 143
    assert not list(tmp_path.iterdir())
    os.close(ready)


def follow_the_parent(ready):
    with stoppable(end_process, with_parent=True):
        ready()
        time.sleep(60)
        ready()


@pytest.mark.parametrize("work", [follow_the_parent, work_for_a_pool])
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_worker_whose_parent_was_killed_ends(work, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def launch(ready):
        # The pipe is closed when the last process that has it ends.
        fork(lambda _: work(ready))
        time.sleep(60)

    launcher, alive = fork(launch)
    assert os.read(alive, 1) == b"r"
    os.kill(launcher, signal.SIGKILL)
    os.waitpid(launcher, 0)
    assert os.read(alive, 1) == b"", "it went on to the end of its work"
    assert not list(tmp_path.iterdir())
    os.close(alive)
