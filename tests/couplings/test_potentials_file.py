"""Potentials in files: equal after loading, and refused if damaged."""

import pytest
import torch
from safetensors.torch import save_file

from cellflow._errors import FileError
from cellflow.couplings import fit_potentials
from cellflow.couplings.atoms import fingerprint
from cellflow.couplings.dual_potentials import Potentials
from cellflow.marginals import Gaussian
from tests.seeds import randn, seeded

F64 = torch.float64


@pytest.mark.parametrize("epsilon", [0.0, 0.5])
def test_saved_potentials_come_back_the_same(epsilon, tmp_path, generator):
    path = tmp_path / "potentials.safetensors"
    atoms = randn(9, 2).float()
    saved = fit_potentials(Gaussian(torch.zeros(1, 2)), atoms, epsilon=epsilon, generator=generator)
    saved.save(path)
    loaded = Potentials.load(path)
    loaded.check_atoms(atoms, torch.ones(9))
    x = randn(50, 2).float()
    assert torch.equal(loaded.draw(x, seeded()), saved.draw(x, seeded()))
    values = ("epsilon", "fingerprint", "reached", "n_steps", "chunk")
    assert [getattr(loaded, name) for name in values] == [getattr(saved, name) for name in values]
    with pytest.raises(FileError, match="exists already"):
        saved.save(path)
    saved.save(path, overwrite=True)


def test_foreign_and_damaged_files_are_refused(tmp_path):
    path = tmp_path / "potentials.safetensors"
    with pytest.raises(FileError, match="does not exist"):
        Potentials.load(path)
    path.write_text("no potentials")
    with pytest.raises(FileError, match="cannot be read as potentials"):
        Potentials.load(path)
    save_file({"atoms": torch.zeros(2, 2)}, path)
    with pytest.raises(FileError, match="is not a file of semidiscrete potentials"):
        Potentials.load(path)
    with pytest.raises(FileError, match="is a folder, not a file"):
        Potentials.load(tmp_path)


@pytest.mark.parametrize("place", [-1, -200])
def test_a_changed_byte_is_noticed(place, tmp_path):
    path = tmp_path / "potentials.safetensors"
    Potentials.of(randn(30, 2)).save(path)
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(FileError, match="was altered"):
        Potentials.load(path)


def test_tensors_of_shapes_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "potentials.safetensors"
    good = Potentials.of(randn(30, 2))
    bad = object.__new__(Potentials)
    vars(bad).update(vars(good), g=good.g[:-1])
    bad.save(path)
    with pytest.raises(FileError, match="its tensors are"):
        Potentials.load(path)


def test_points_of_equal_bytes_differ_by_shape_and_precision():
    points = [torch.zeros(4, 2), torch.zeros(4, 4), torch.zeros(4, 2, dtype=F64)]
    assert len({fingerprint(each) for each in points}) == 3
