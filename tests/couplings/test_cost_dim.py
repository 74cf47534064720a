"""Costs on principal components: all components change nothing, a few are a projection."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from cellflow._errors import CellflowWarning, FileError, InputError
from cellflow.couplings import SemidiscreteCoupling, atoms, fit_potentials, potentials_plan
from cellflow.couplings.dual_potentials import Potentials
from cellflow.marginals import Gaussian, Population
from tests.seeds import randn, seeded

F64 = torch.float64


def stretched(n=60, seed=1):
    """Return points with decreasing spread along the axes, away from the origin."""
    return randn(n, 5, seed=seed) * torch.tensor([4.0, 2, 1, 0.3, 0.1], dtype=F64) + 3


def noise(d):
    return Gaussian(torch.zeros(1, d, dtype=F64))


def with_basis(seed, k, epsilon=0.0, n=23):
    potentials = Potentials.of(stretched(n, seed), None, epsilon, cost_dim=k)
    return replace(potentials, g=randn(n, seed=seed + 1))


@pytest.mark.parametrize("k", [1, 3, 5])
def test_the_basis_is_orthonormal_and_keeps_the_widest_directions(k):
    points = stretched(500)
    potentials = Potentials.of(points, cost_dim=k)
    basis = potentials.basis
    torch.testing.assert_close(basis @ basis.T, torch.eye(k, dtype=F64))
    kept = potentials.atoms.square().sum()
    best = torch.linalg.svdvals(points - points.mean(dim=0))[:k].square().sum()
    torch.testing.assert_close(kept, best)


def test_projected_noise_is_standard_normal():
    potentials = Potentials.of(stretched(), cost_dim=3)
    x = potentials.coordinates(randn(100_000, 5) + potentials.origin)
    torch.testing.assert_close(torch.cov(x.T), torch.eye(3, dtype=F64), atol=0.02, rtol=0)
    assert x.mean(dim=0).abs().max() < 0.02


@pytest.mark.parametrize("epsilon", [0.0, 0.7])
@given(seed=st.integers(0, 2**31))
def test_on_all_components_everything_is_as_without_a_basis(epsilon, seed):
    turned = with_basis(seed, 5, epsilon)
    plain = replace(Potentials.of(stretched(23, seed), None, epsilon), g=turned.g)
    x = randn(40, 5, seed=seed + 2)
    assert torch.equal(turned.assign(x), plain.assign(x))
    torch.testing.assert_close(turned.marginal(x), plain.marginal(x))
    torch.testing.assert_close(turned.semidual(x), plain.semidual(x))


def test_an_ascent_on_all_components_finds_the_same_potentials():
    plain, turned = (
        fit_potentials(noise(5), stretched(), cost_dim=k, generator=seeded()) for k in (None, 5)
    )
    assert plain.n_steps == turned.n_steps
    torch.testing.assert_close(turned.g, plain.g)


@pytest.mark.parametrize("epsilon", [0.0, 0.7])
@given(seed=st.integers(0, 2**31), k=st.integers(1, 4))
def test_on_some_components_everything_is_as_on_projected_points(epsilon, seed, k):
    few = with_basis(seed, k, epsilon)
    project = lambda points: (points - few.origin) @ few.basis.T  # noqa: E731
    plain = replace(Potentials.of(project(stretched(23, seed)), None, epsilon), g=few.g)
    x = randn(40, 5, seed=seed + 2)
    assert torch.equal(few.assign(x), plain.assign(project(x)))
    torch.testing.assert_close(few.marginal(x), plain.marginal(project(x)))
    torch.testing.assert_close(few.semidual(x), plain.semidual(project(x)))


def test_pairs_looked_up_on_few_components_meet_the_masses_with_whole_points(generator):
    target = Population.of(stretched())
    potentials = fit_potentials(noise(5), target, cost_dim=2, threshold=0.01, generator=generator)
    assert potentials.reached <= 0.01
    pairs = SemidiscreteCoupling(noise(5), target, (0.0, 1.0), potentials).sample(6000, generator)
    hits = (pairs.x1[:, None] == target.points).all(dim=2).double().sum(dim=0)
    assert float(hits.sum()) == 6000
    assert float((hits * (hits - 1)).sum()) * 60 / (6000 * 5999) - 1 < 0.05


def test_a_finite_source_is_coupled_on_few_components(generator):
    source, target = Population.of(stretched(80, 5)), Population.of(stretched(60, 6))
    potentials = fit_potentials(source, target, cost_dim=2, generator=generator)
    plan = potentials_plan(potentials, source).matrix(80, 60)
    assert plan.sum(axis=1) == pytest.approx([1 / 80] * 80)
    chi_squared = (plan.sum(axis=0) ** 2).sum() * 60 - 1
    assert chi_squared == pytest.approx(potentials.reached, abs=0.01)


def test_more_components_than_dimensions_are_refused(generator):
    with pytest.raises(InputError, match="cost_dim=6 is more than the 5 dimensions"):
        fit_potentials(noise(5), stretched(), cost_dim=6, generator=generator)
    with pytest.raises(InputError, match="cost_dim must be positive, got 0"):
        fit_potentials(noise(5), stretched(), cost_dim=0, generator=generator)


def test_the_basis_is_kept_with_the_potentials(tmp_path):
    path = tmp_path / "kept.safetensors"
    saved = with_basis(0, 2)
    saved.save(path)
    loaded = Potentials.load(path)
    assert torch.equal(loaded.basis, saved.basis)
    loaded.check_atoms(stretched(23, 0), torch.ones(23, dtype=F64))
    x = randn(30, 5, seed=4)
    assert torch.equal(loaded.assign(x), saved.assign(x))
    content = bytearray(path.read_bytes())
    # The basis is among the tensors that the digest stands for.
    names = load_file(path)
    assert set(names) == {"atoms", "origin", "g", "masses", "basis"}
    place = content.find(saved.basis.numpy().tobytes())
    assert place > 0
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match="was altered"):
        Potentials.load(path)


@pytest.mark.parametrize("change", [{"basis": None}, {"basis": torch.zeros(3, 5, dtype=F64)}])
def test_a_basis_that_does_not_fit_is_refused(change, tmp_path):
    good, bad = with_basis(0, 2), object.__new__(Potentials)
    vars(bad).update(vars(good), **change)
    bad.save(tmp_path / "kept")
    with pytest.raises(FileError, match="its tensors are"):
        Potentials.load(tmp_path / "kept")


def test_files_of_an_earlier_version_are_refused_with_what_to_do(tmp_path):
    path = tmp_path / "kept.safetensors"
    save_file({"atoms": torch.zeros(2, 2)}, path, {"format": "cellflow-potentials-1"})
    with pytest.raises(FileError, match=r"earlier version .* delete it to fit them again"):
        Potentials.load(path)


def test_a_target_read_in_parts_gives_what_its_points_give(monkeypatch, generator):
    target = Population.of(stretched(), torch.rand(60, generator=generator, dtype=F64) + 0.1)
    whole = fit_potentials(noise(5), target.points, target.masses, cost_dim=3, generator=seeded())
    monkeypatch.setattr(atoms, "_CHUNK_SIZE", 60)
    parts = fit_potentials(noise(5), target, cost_dim=3, generator=seeded())
    torch.testing.assert_close(parts.g, whole.g)
    assert parts.fingerprint == whole.fingerprint
    monkeypatch.setattr(atoms, "_CHUNK_SIZE", 7)
    few = Potentials.of(target, target.masses, cost_dim=3)
    torch.testing.assert_close(few.atoms, whole.atoms)
    torch.testing.assert_close(few.basis, whole.basis)


def test_stopping_short_on_few_components_warns(generator):
    with pytest.warns(CellflowWarning, match="above 0.05"):
        fit_potentials(noise(5), stretched(300), cost_dim=2, max_steps=1, generator=generator)
