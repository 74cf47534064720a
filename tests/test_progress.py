"""Work that takes long shows progress on stderr."""

import numpy as np
import pytest

import cellflow as cf
from cellflow.representation import chunks


@pytest.fixture
def at_once(monkeypatch):
    """Bars are shown from the first moment."""
    monkeypatch.setattr("cellflow._log._DELAY", 0.0)


def test_the_couplings_of_a_fit_are_counted(course, quick, at_once, capsys):
    cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    assert "couple:" in capsys.readouterr().err


def test_chunks_of_expression_are_counted(at_once, monkeypatch, capsys):
    monkeypatch.setattr(chunks, "_rows", lambda _x: 4)
    sums = list(chunks.map_chunks(np.ones((10, 3)), np.sum))
    assert sums == [12, 12, 6]
    assert "expression:" in capsys.readouterr().err
