"""Atomic writing of files and folders."""

import tempfile
from pathlib import Path

import pytest

from cellflow import FileError, InputError
from cellflow._files import (
    atomic_file,
    atomic_folder,
    check_apart,
    check_distinct,
    check_ending,
    check_file_target,
    check_folder_target,
    check_not_named,
)


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


@pytest.mark.parametrize(
    ("name", "example"),
    [("a.xlsx", "a.csv"), ("a", "a.csv"), ("a.v2", "a.v2.csv"), (".csv", "output.csv"),
     ("a.H5AD", "a.csv"), ("a.csv.gz", "a.csv"), ("a.CSV", "a.csv")],
)  # fmt: skip
def test_an_ending_is_refused_with_those_that_work_and_an_example(name, example):
    with pytest.raises(
        InputError, match=rf"tables are written as \.csv or \.tsv; name it {example},"
    ):
        check_ending(Path(name), (".csv", ".tsv"), "tables")


def test_endings_that_work_are_taken():
    for name in ("a.csv", "a.b.tsv", "folder.h5ad/a.csv"):
        check_ending(Path(name), (".csv", ".tsv"), "tables")


@pytest.mark.parametrize("name", ["flow", "flow-0.5", "flow.v2", "flow.d4", "2024.01"])
def test_a_folder_may_have_a_dot(name, tmp_path):
    check_folder_target(tmp_path / name, overwrite=False, what="a flow")
    with pytest.raises(InputError, match=r"the folder of a flow would have the name of a \.h5ad"):
        check_folder_target(tmp_path / f"{name}.h5ad", overwrite=False, what="a flow")
    with pytest.raises(InputError, match=r"as in a$"):
        check_not_named(Path("a.zarr.zip"), "a checkpoint")


def test_places_of_devices_are_refused_but_for_temporary_files(monkeypatch):
    with pytest.raises(FileError, match="not written under /dev, /proc, /sys"):
        check_file_target(Path("/dev/shm/a.csv"), overwrite=False)
    monkeypatch.setattr(tempfile, "tempdir", "/dev/shm")
    check_file_target(Path("/dev/shm/a.csv"), overwrite=False)
    with pytest.raises(FileError, match="not written under"):
        check_file_target(Path("/dev/null"), overwrite=True)


def test_a_link_is_followed_and_one_that_leads_nowhere_is_made(tmp_path):
    (tmp_path / "there").mkdir()
    link = tmp_path / "a.csv"
    link.symlink_to("there/b.csv")
    for text in ("first", "second"):
        with atomic_file(link, overwrite=text == "second") as staged:
            assert staged.name == "a.csv"
            staged.write_text(text)
        assert link.is_symlink()
        assert (tmp_path / "there" / "b.csv").read_text() == text
    with pytest.raises(FileError, match="exists already"), atomic_file(link, overwrite=False):
        pass
    assert [each.name for each in (tmp_path / "there").iterdir()] == ["b.csv"]


def test_outputs_are_apart_from_inputs_and_from_each_other(tmp_path):
    (tmp_path / "a").write_text("read")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").hardlink_to(tmp_path / "a")
    for name in ("a", "b", "c", "./a", f"../{tmp_path.name}/a"):
        with pytest.raises(FileError, match="it is read"):
            check_apart(tmp_path / name, [None, tmp_path / "none", tmp_path / "a"])
    check_apart(tmp_path / "d", [tmp_path / "a"])
    for name in ("d", "d/e", "../x/../" + tmp_path.name + "/d"):
        with pytest.raises(InputError, match="needs a place of its own"):
            check_distinct(tmp_path / "d", tmp_path / name, "pictures")
    check_distinct(tmp_path / "d", tmp_path / "e", "pictures")


LONG = ["x" * 251, "\u00e9" * 125 + "x", "\U0001f600" * 62 + "xxx"]


@pytest.mark.parametrize("name", LONG, ids=["ascii", "two bytes", "four bytes"])
def test_every_name_that_the_file_system_takes_can_be_written(name, tmp_path):
    with atomic_file(tmp_path / f"{name}.csv", overwrite=False) as staged:
        staged.touch()
    for _ in range(2):
        with atomic_folder(tmp_path / f"{name}flow", overwrite=True):
            pass
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"{name}.csv", f"{name}flow"]
    with pytest.raises(FileError, match=r"cannot write .*: File name too long"):
        check_file_target(tmp_path / f"{name}x.csv", overwrite=False)
    with pytest.raises(FileError, match=r"cannot write .*: File name too long"):
        check_folder_target(tmp_path / f"{name}xflow", overwrite=True, what="a flow")


def test_a_command_says_of_long_names_that_no_such_file_exists(run):
    name = "x" * 300
    for words in (["info", name], ["fit", f"{name}.h5ad", "--output", "flow"]):
        code, _, err = run(*words)
        assert (code, err.count("\n")) == (2, 1)
        assert err.endswith("File name too long\n")
