"""Weights files: nothing but tensors comes out."""

from pathlib import Path

import pytest
import torch

from cellflow import FileError
from cellflow.images.scoring.features import SPACES, space_of


class Malicious:
    def __reduce__(self):
        return Path.touch, (Path("touched-by-a-pickle"),)


@pytest.mark.parametrize("name", SPACES[2:])
def test_weights_files_that_are_none_are_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    missing, text, pickled, numbers, other, sparse = (tmp_path / f"{k}.pth" for k in range(6))
    text.write_text("no weights")
    torch.save(Malicious(), pickled)
    torch.save([1, 2], numbers)
    torch.save({"conv1.weight": torch.zeros(3)}, other)
    torch.save({"conv1.weight": torch.eye(3).to_sparse()}, sparse)
    for path in (missing, text, pickled, numbers, other, sparse):
        with pytest.raises(FileError, match=path.name):
            space_of(name, weights=path)
    assert not (tmp_path / "touched-by-a-pickle").exists()
