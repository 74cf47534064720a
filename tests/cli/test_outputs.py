"""Outputs are what they are called, and replace nothing that a command reads."""

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

import cellflow as cf
from cellflow.cli.app import app
from cellflow.io import read_h5ad
from tests.flows import constant_flow, fork

WAY = ["cells.h5ad", "--flow", "flow"]
CELLS = ["--cells", "day=0", "--time", "1"]
IMAGES = ["--data", "set.npz"]

#: Every command that writes, without its output, and the ending of it; none for a folder.
COMMANDS = {
    "embed": (["cells.h5ad"], ".h5ad"),
    "growth": (["cells.h5ad"], ".h5ad"),
    "growth learned": (["cells.h5ad", "--learned", "flow"], ".h5ad"),
    "fit": (["cells.h5ad", "--prior", "flow"], ""),
    "finetune": (WAY, ""),
    "interpolate": ([*WAY, "--time", "1"], ".h5ad"),
    "push": ([*WAY, *CELLS], ".h5ad"),
    "pull": ([*WAY, *CELLS], ".h5ad"),
    "trajectories": (WAY, ".h5ad"),
    "ancestors": ([*WAY, *CELLS], ".h5ad"),
    "descendants": ([*WAY, *CELLS], ".h5ad"),
    "fates": (WAY, ".h5ad"),
    "velocity": (WAY, ".h5ad"),
    "landscape": (WAY, ".h5ad"),
    "pseudotime": ([*WAY, "--course", "course.h5ad"], ".h5ad"),
    "uncertainty": (WAY, ".h5ad"),
    "transitions": ([*WAY, "--groups", "fate"], ".csv"),
    "drivers": (["cells.h5ad"], ".csv"),
    "compare": (["cells.h5ad", "--condition-key", "half"], ".csv"),
    "gene-trends": (WAY, ".csv"),
    "holdout": (["cells.h5ad"], ".json"),
    "benchmark": (["cells.h5ad"], ""),
    "report": (WAY, ".html"),
    "explore": (WAY, ".html"),
    "demo": ([], ""),
    "plot interpolation": (["cells.h5ad", "--predicted", "course.h5ad"], ".png"),
    "plot trajectories": (WAY, ".png"),
    "plot animation": (["cells.h5ad", "--paths", "course.h5ad"], ".gif"),
    "plot fates": (["cells.h5ad"], ".png"),
    "plot landscape": (["cells.h5ad"], ".png"),
    "plot sankey": (["cells.h5ad", "--transitions", "t.csv"], ".png"),
    "plot transitions": (["cells.h5ad", "--transitions", "t.csv"], ".png"),
    "plot velocity": (["cells.h5ad"], ".png"),
    "plot gene-trends": (["t.csv"], ".png"),
    "plot compare": (["t.csv"], ".png"),
    "plot growth": (["cells.h5ad"], ".png"),
    "plot holdout": (["scores.json"], ".png"),
    "plot loss": (["--flow", "flow"], ".png"),
    "image data": (["set.npz"], ".npz"),
    "image train": ([*IMAGES, "--prior", "flow"], ""),
    "image finetune": ([*IMAGES, "--flow", "flow"], ""),
    "image couple": (IMAGES, ""),
    "image sample": (["--flow", "flow"], ".npz"),
    "image translate": ([*IMAGES, "--flow", "flow"], ".npz"),
    "image upscale": ([*IMAGES, "--flow", "flow"], ".npz"),
    "image score": ([*IMAGES, "--samples", "made.npz"], ".json"),
    "image table": (["scores.json"], ".tsv"),
    "image train-discriminator": ([*IMAGES, "--flow", "flow"], ""),
    "image weights": ([], ".pth"),
}


def call(name, output, *more):
    words, _ = COMMANDS[name]
    return [*name.removesuffix(" learned").split(), *words, "--output", output, *more]


def find_commands(group, *path):
    for name in group.list_commands(None):
        command = group.get_command(None, name)
        if hasattr(command, "list_commands"):
            yield from find_commands(command, *path, name)
        elif any(option.name in ("output", "figure") for option in command.params):
            yield " ".join([*path, name])


def test_every_command_that_writes_is_here():
    assert {name.removesuffix(" learned") for name in COMMANDS} == set(find_commands(app))


def check_refused(run, words, *messages):
    before = sorted(Path().iterdir())
    code, _, err = run(*words)
    assert (code, err.count("\n")) == (2, 1), (words, err)
    assert any(message in err for message in messages), (words, err)
    assert sorted(Path().iterdir()) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_other_endings_are_refused_before_anything_is_read(name, run):
    """The inputs do not exist: any sentence on the output shows that it was looked at first."""
    ending = COMMANDS[name][1]
    wrong = ["o.xlsx", "o.h5ad", "o.json"] if not ending else ["o.xlsx", "o", ending]
    wrong += [each for each in ("o.csv", "o.h5ad", "o.pdf", "o.html", "o.zip") if not ending]
    wrong += [each for each in ("o.h5ad", "o.csv") if ending not in each and ending]
    for output in wrong:
        check_refused(run, call(name, output), "are written as", "would have the name of a")


@pytest.mark.parametrize("name", COMMANDS)
def test_places_that_are_not_for_files_are_refused_before_anything_is_read(name, run, tmp_path):
    ending = COMMANDS[name][1]
    (tmp_path / "loop").mkdir()
    os.mkfifo(tmp_path / "loop" / f"pipe{ending}")
    (tmp_path / "loop" / f"a{ending}").symlink_to(tmp_path / "loop" / f"b{ending}")
    (tmp_path / "loop" / f"b{ending}").symlink_to(tmp_path / "loop" / f"a{ending}")
    (tmp_path / "loop" / f"null{ending}").symlink_to("/dev/null")
    for place in ("/dev/null", "/dev/shm", "/proc", "/sys/kernel", "/dev/stdout"):
        check_refused(
            run, call(name, f"{place}/o{ending}", "--force"), "not written under /dev, /proc, /sys"
        )
    for output, message in {
        f"/dev/null{ending}": "not written under /dev",
        f"loop/null{ending}": "not written under /dev",
        f"loop/pipe{ending}": "it is a pipe, a socket or a device",
        f"loop/a{ending}": "a link that leads back to itself",
    }.items():
        check_refused(run, call(name, output, "--force"), message)
    store, flow = tmp_path / "s.zarr", tmp_path / "saved"
    for folder in (store, flow):
        folder.mkdir()
    (flow / "tensors.safetensors").write_text("")
    check_refused(run, call(name, f"s.zarr/o{ending}"), "is the folder of a zarr store")
    check_refused(run, call(name, f"saved/o{ending}"), "is the folder of a saved flow")


#: Commands that add to FILE, which may be their output.
ADDING = {"embed", "growth", "growth learned", "ancestors", "descendants", "fates", "velocity",
          "landscape", "pseudotime", "uncertainty"}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in COMMANDS if COMMANDS[name][0]])
def test_no_input_is_replaced_under_any_of_its_names(name, run, tmp_path, monkeypatch):
    """Even with --force, and by a link, a hard link or another path to it."""
    words, ending = COMMANDS[name]
    for each in {word for word in words if not word.startswith("-")} & {
        "cells.h5ad", "course.h5ad", "t.csv", "scores.json", "set.npz", "made.npz"
    }:  # fmt: skip
        (tmp_path / each).write_text("read")
    constant_flow(fork(), [1.0, 0.0]).save(tmp_path / "flow")
    (tmp_path / "sub").mkdir()
    read = [word for word in words if (tmp_path / word).exists()]
    if name in ADDING:
        read.remove("cells.h5ad")
    for each in [word for word in read if word.endswith(ending) and ("." in word) == bool(ending)]:
        (tmp_path / f"soft{ending}").symlink_to(tmp_path / each)
        names = [each, f"sub/../{each}", f"soft{ending}", str(tmp_path / each)]
        if ending:
            (tmp_path / f"hard{ending}").hardlink_to(tmp_path / each)
            names.append(f"hard{ending}")
        for output in names:
            if name == "benchmark" or name == "image couple":
                continue
            check_refused(run, call(name, output, "--force"), "it is read")
        for link in ("soft", "hard"):
            (tmp_path / f"{link}{ending}").unlink(missing_ok=True)


@pytest.fixture
def files(tmp_path):
    adata = fork()
    adata.obsm["X_umap"] = np.sin(adata.obsm["X_pca"])
    adata.obsp["near"] = np.eye(adata.n_obs)
    adata.write_h5ad(tmp_path / "cells.h5ad")
    constant_flow(adata, [1.0, 0.0]).save(tmp_path / "flow")
    return adata


@pytest.mark.parametrize("ending", [".zarr", ".zarr.zip"])
@pytest.mark.slow
def test_cells_are_written_as_they_are_called_and_read_by_the_next_command(ending, run, files):
    pytest.importorskip("zarr")
    cells = f"cells{ending}"
    way = [cells, "--flow", "flow"]
    for words in (
        ["embed", "cells.h5ad", "--use-rep", "X_pca", "--output", cells],
        ["info", cells],
        ["push", *way, *CELLS, "--output", f"moved{ending}"],
        ["interpolate", *way, "--time", "0.5", "--output", f"half{ending}"],
        ["trajectories", *way, "--n-times", "3", "--output", f"paths{ending}"],
        ["fates", *way, "--groups", "fate", "--output", f"fates{ending}"],
        ["velocity", *way, "--basis", "umap", "--n-neighbors", "5", "--output", "velocity.h5ad"],
        ["uncertainty", *way, "--output", "u.h5ad"],
        ["transitions", *way, "--groups", "fate", "--output", "t.csv"],
        ["plot", "interpolation", cells, "--predicted", f"half{ending}", "--output", "i.png"],
        ["plot", "trajectories", cells, "--paths", f"paths{ending}", "--output", "p.png"],
        ["plot", "fates", f"fates{ending}", "--output", "f.png"],
    ):
        code, _, err = run(*words)
        assert code == 0, (words, err)
    for name in ("cells", "moved", "half", "paths", "fates"):
        path = Path(f"{name}{ending}")
        assert path.is_dir() == (ending == ".zarr")
        assert path.is_dir() or not h5py.is_hdf5(path)
        assert read_h5ad(path).n_obs
    assert "near" in read_h5ad(f"fates{ending}").obsp
    assert "near" in read_h5ad("velocity.h5ad").obsp


def test_a_command_that_adds_to_the_file_updates_it_in_place(run, files, tmp_path):
    (tmp_path / "link.h5ad").symlink_to("cells.h5ad")
    words = ["fates", *WAY, "--groups", "fate", "--output"]
    assert "exists already" in run(*words, "cells.h5ad")[2]
    assert run(*words, "link.h5ad", "--force")[0] == 0
    assert (tmp_path / "link.h5ad").is_symlink()
    cells = read_h5ad(tmp_path / "cells.h5ad")
    assert "fate_probabilities" in cells.obsm
    assert set(files.obsm) <= set(cells.obsm)
    assert "near" in cells.obsp


def test_a_link_is_kept_and_what_it_leads_to_is_written(run, files, tmp_path):
    (tmp_path / "store").mkdir()
    (tmp_path / "moved.h5ad").symlink_to("store/a.h5ad")
    (tmp_path / "new").symlink_to("store/flow")
    assert run("push", *WAY, *CELLS, "--output", "moved.h5ad")[0] == 0
    assert (tmp_path / "moved.h5ad").is_symlink()
    assert read_h5ad(tmp_path / "store" / "a.h5ad").n_obs == 9
    flow = cf.Flow.load("flow")
    for _ in range(2):
        flow.save("new", overwrite=True)
        assert (tmp_path / "new").is_symlink()
        assert cf.Flow.load(tmp_path / "store" / "flow").fingerprint == flow.fingerprint
    assert sorted(each.name for each in (tmp_path / "store").iterdir()) == ["a.h5ad", "flow"]
