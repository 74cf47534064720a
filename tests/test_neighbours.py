"""Nearest cells, against all distances."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from cellflow import _neighbours
from cellflow._neighbours import NearestCells


@pytest.fixture
def cells(rng):
    return rng.normal(size=(60, 3)).astype(np.float32)


def test_they_are_the_nearest_in_every_chunk(cells, rng, monkeypatch):
    monkeypatch.setattr(_neighbours, "_CHUNK", 16)
    points = rng.normal(size=(40, 3))
    found = np.concatenate([near for *_, near in NearestCells.among(cells).find(points, 5)])
    assert (found == cdist(points, cells).argsort(axis=1)[:, :5]).all()


def test_a_cell_is_not_its_own_neighbour_among_copies(cells):
    cells[1:4] = cells[0]
    ((_, far, near),) = NearestCells.among(cells).find(cells, 6, own=np.arange(60))
    assert (near != np.arange(60)[:, None]).all()
    assert (far[:4, :3] == 0).all()
    assert (far[:4, 3:] > 0).all()


def test_of_many_cells_a_sample_is_searched(cells, monkeypatch):
    monkeypatch.setattr(_neighbours, "MOST", 20)
    some = NearestCells.among(cells)
    assert some.rows.tolist() == NearestCells.among(cells).rows.tolist()
    ((_, far, near),) = some.find(cells, 3, own=np.arange(60))
    distances = cdist(cells, cells[some.rows])
    distances[some.rows, np.arange(20)] = np.inf
    assert (near == some.rows[distances.argsort(axis=1)[:, :3]]).all()
    np.testing.assert_allclose(far, np.sort(distances, axis=1)[:, :3], atol=1e-6)


def test_fewer_cells_than_neighbours_are_all_of_them(cells):
    ((_, _, near),) = NearestCells.among(cells[:4]).find(cells[:4], 9, own=np.arange(4))
    assert near.shape == (4, 3)
    ((_, _, near),) = NearestCells.among(cells[:1]).find(cells[:1], 9, own=np.arange(1))
    assert near.shape == (1, 0)
