"""Atomic writing of files and folders."""

from pathlib import Path

import pytest

from cellflow import FileError
from cellflow._files import atomic_folder


def test_a_folder_that_cannot_be_put_in_place_leaves_the_old_one(tmp_path, monkeypatch):
    target = tmp_path / "flow"
    target.mkdir()
    (target / "old").write_text("kept")
    rename = Path.rename

    def refuse_the_new(self, to):
        if self.name == "flow" and self.parent != tmp_path:
            raise OSError(28, "No space left on device")
        return rename(self, to)

    monkeypatch.setattr(Path, "rename", refuse_the_new)
    with (
        pytest.raises(FileError, match="No space left on device"),
        atomic_folder(target, overwrite=True) as staged,
    ):
        (staged / "new").write_text("lost")
    assert (target / "old").read_text() == "kept"
    assert [entry.name for entry in tmp_path.iterdir()] == ["flow"]
