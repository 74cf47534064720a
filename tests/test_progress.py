"""Work that takes long shows progress on stderr."""

import io
import subprocess
import sys

import numpy as np
import pytest

import cellflow as cf
from cellflow._log import log_info, progress_bar
from cellflow.representation import chunks


@pytest.fixture
def at_once(monkeypatch):
    """Bars are shown from the first moment."""
    monkeypatch.setattr("cellflow._log._DELAY", 0.0)


@pytest.mark.parametrize("shown", [True, False])
def test_the_couplings_of_a_fit_are_counted_unless_progress_is_off(
    course, quick, at_once, capsys, shown
):
    cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=shown)
    assert ("couple:" in capsys.readouterr().err) == shown


def test_frames_of_an_animation_are_counted(fitted_course, at_once, capsys, tmp_path):
    adata, flow = fitted_course
    paths = cf.tl.trajectories(adata, flow, n_cells=3, times=2)
    capsys.readouterr()
    cf.pl.save(cf.pl.animate(adata, paths), tmp_path / "film.html")
    assert "draw:" in capsys.readouterr().err


def test_chunks_of_expression_are_counted(at_once, monkeypatch, capsys):
    monkeypatch.setattr(chunks, "_rows", lambda _x: 4)
    sums = list(chunks.map_chunks(np.ones((10, 3)), np.sum))
    assert sums == [12, 12, 6]
    assert "expression:" in capsys.readouterr().err


def test_bars_inside_another_one_wait_less(monkeypatch):
    monkeypatch.setattr("cellflow._log._DELAY", 100.0)
    alone = progress_bar(1, "alone", "part")
    alone.close()
    with progress_bar(1, "whole", "part") as whole:
        whole.start_t -= 60
        with progress_bar(1, "inside", "part") as inside:
            assert inside.delay == pytest.approx(40, abs=5)
        whole.start_t -= 60
        with progress_bar(1, "inside", "part") as inside:
            assert inside.delay == 0.5
    with progress_bar(1, "after", "part") as after:
        assert after.delay == alone.delay == 100


def screen_of(text):
    """The lines of a terminal after some text: what follows a carriage return replaces a line."""
    lines = []
    for line in text.split("\n"):
        shown = ""
        for part in line.split("\r"):
            shown = part + shown[len(part) :]
        lines.append(shown.rstrip())
    return lines


def test_lines_of_the_log_do_not_mix_with_a_bar(monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(4, "work", "part", at_once=True) as bar:
        bar.update(2)
        log_info("a line of the log that is short")
        *above, last = screen_of(stream.getvalue())
        assert above == ["a line of the log that is short"]
        assert last.startswith("work:")
    assert screen_of(stream.getvalue()) == ["a line of the log that is short", ""]


def test_a_bar_that_waits_is_not_drawn_by_a_line_of_the_log(monkeypatch):
    monkeypatch.setattr("cellflow._log._DELAY", 100.0)
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stderr", stream)
    with progress_bar(4, "work", "part") as bar:
        bar.update(2)
        log_info("a line")
    assert stream.getvalue() == "a line\n"


def test_notebooks_without_ipywidgets_are_not_asked_to_install_them():
    """A kernel is recognised by its modules; its warning would come before the first bar."""
    code = """
import sys, types
sys.modules["ipywidgets"] = None
shell = types.ModuleType("IPython")
shell.get_ipython = lambda: types.SimpleNamespace()
sys.modules["IPython"] = shell
sys.modules["ipykernel.zmqshell"] = types.ModuleType("ipykernel.zmqshell")
from cellflow._log import progress_bar
with progress_bar(1, "work", "part", at_once=True) as bar:
    bar.update()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "work:" in done.stderr
    assert "ipywidgets" not in done.stderr
