"""Places of predicted points in an embedding: laws, closed forms, and the nearest cell as rival."""

import anndata
import numpy as np
import pytest

import cellflow as cf
from cellflow.representation import Placement, find_basis


def bend(points):
    """A smooth map that is not affine, such as a UMAP may be near a cell."""
    return np.stack([np.sin(points[:, 0]) + points[:, 1] ** 2, np.exp(points[:, 1] / 2)], axis=1)


@pytest.fixture
def measured(rng):
    return rng.normal(size=(400, 3))


def test_an_affine_map_of_the_representation_gets_the_exact_image(measured, rng):
    matrix = rng.normal(size=(3, 2))
    placement = Placement.fit(measured.astype(np.float32), measured @ matrix + [5, -1])
    points = 10 * rng.normal(size=(20, 3))
    np.testing.assert_allclose(placement.place(points), points @ matrix + [5, -1], atol=1e-3)


def test_a_point_on_a_measured_cell_has_its_place(measured):
    places = bend(measured)
    placement = Placement.fit(measured, places)
    np.testing.assert_allclose(placement.place(measured[:50]), places[:50], atol=1e-6)


def test_places_are_within_those_of_the_cells_and_do_not_jump(measured, rng):
    places = bend(measured)
    placement = Placement.fit(measured, places)
    along = np.linspace(0, 1, 4001)[:, None] * [1.0, 1.0, 0.0]
    placed = placement.place(along)
    steps = np.linalg.norm(np.diff(placed, axis=0), axis=1)
    assert steps.max() < 0.02 * np.linalg.norm(np.ptp(places, axis=0))
    far = placement.place(100 * rng.normal(size=(50, 3)))
    assert (far >= places.min(axis=0) - 1e-9).all()
    assert (far <= places.max(axis=0) + 1e-9).all()


def test_left_out_cells_are_placed_better_than_at_their_nearest_cell(measured):
    """The trivial rival is a copy of the place of the nearest measured cell."""
    places = bend(measured)
    known, left_out = slice(0, 300), slice(300, 400)
    placed = Placement.fit(measured[known], places[known]).place(measured[left_out])
    away = np.linalg.norm(measured[left_out, None] - measured[None, known], axis=2)
    copied = places[known][away.argmin(axis=1)]
    error = np.linalg.norm(placed - places[left_out], axis=1).mean()
    assert error < 0.9 * np.linalg.norm(copied - places[left_out], axis=1).mean()


def test_cells_that_are_few_or_all_as_far_have_a_place():
    square = np.array([[1.0, 0], [-1, 0], [0, 1], [0, -1]])
    placement = Placement.fit(square, bend(square))
    np.testing.assert_allclose(placement.place(np.zeros((1, 2)))[0], bend(square).mean(axis=0))
    twins = Placement.fit(np.zeros((3, 2)), np.arange(6.0).reshape(3, 2))
    np.testing.assert_allclose(twins.place(np.zeros((1, 2))), [[2, 3]])


def test_an_embedding_is_found_with_or_without_its_prefix(measured):
    adata = anndata.AnnData(obsm={"X_umap": measured[:, :2]})
    assert find_basis(adata, "umap") == find_basis(adata, "X_umap") == "X_umap"
    with pytest.raises(cf.InputError, match="no obsm key 'tsne'; there are: X_umap"):
        find_basis(adata, "tsne")
