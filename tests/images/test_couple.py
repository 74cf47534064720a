"""Potentials found before a training: the training reads them, and the report says how good."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch

import cellflow as cf
from cellflow import FileError, InputError
from cellflow._errors import CellflowWarning
from cellflow.couplings import Potentials
from cellflow.images import ImageSet, PCAEncoder
from tests.small_images import TINY, digits, trained, with_method

SMALL = digits()[:120]
#: The way of a training and of `couple` alike.
WAYS = {
    "all images": {},
    "classes": {"conditional": True},
    "mirrors": {"flips": True},
    "components": {"cost_dim": 9},
    "entropy": {"epsilon": 0.5},
    "all of them": {"conditional": True, "flips": True, "cost_dim": 9, "epsilon": 0.2},
    "latents": {"encoder": PCAEncoder.fit(SMALL, 6), "epsilon": 0.3, "config": None},
    "RGB": {"data": ImageSet(SMALL.pixels.repeat(3, axis=3), name="RGB")},
}


def coupled(folder, data=SMALL, **options):
    defaults = {"config": TINY, "progress": False, "device": "cpu"}
    options = {"method": "sd-fm", **defaults, **options}
    return cf.images.couple(data, folder=folder, **with_method(data, options))


def files(folder):
    return sorted(path.name for path in folder.glob("*.safetensors"))


def never(*_, **__):
    pytest.fail("potentials were found anew")


@pytest.mark.parametrize("way", WAYS)
def test_a_training_with_the_same_settings_reads_them(way, tmp_path, monkeypatch):
    options = {"data": SMALL, **WAYS[way]}
    table = coupled(tmp_path / "kept", **options)
    assert len(files(tmp_path / "kept")) == len(table)
    monkeypatch.setattr("cellflow.training.potentials.fit_potentials", never)
    flow = trained(**options, method="sd-fm", potentials=tmp_path / "kept", n_steps=3)
    assert flow.method.coupling.potentials == str(tmp_path / "kept")
    assert flow.method.coupling.cost_dim == options.get("cost_dim")


def test_other_settings_are_found_apart_with_a_warning_that_names_them(tmp_path):
    coupled(tmp_path, cost_dim=5)
    with pytest.warns(CellflowWarning, match=r"\(flips False there, True here, cost_dim 5 there, "):
        trained(SMALL, method="sd-fm", potentials=str(tmp_path), flips=True)
    assert len(files(tmp_path)) == 2


def test_potentials_are_found_once(tmp_path, monkeypatch):
    first = coupled(tmp_path, conditional=True)
    assert first["new"].all()
    (tmp_path / "report.json").unlink()
    (tmp_path / "report.tsv").unlink()
    monkeypatch.setattr("cellflow.training.potentials.fit_potentials", never)
    again = coupled(tmp_path, conditional=True)
    assert not again["new"].any()
    kept = ["class", "atoms", "steps", "reached"]
    pd.testing.assert_frame_equal(first[kept], again[kept])


def test_overwriting_finds_them_anew(tmp_path):
    coupled(tmp_path, rng=0)
    with pytest.raises(FileError, match=r"report.json exists already"):
        coupled(tmp_path, rng=1)
    before = Potentials.load(tmp_path / files(tmp_path)[0])
    assert coupled(tmp_path, rng=1, overwrite=True)["new"].all()
    (name,) = files(tmp_path)
    assert not torch.equal(Potentials.load(tmp_path / name).g, before.g)


def test_the_report_tells_of_each_class(tmp_path):
    table = coupled(tmp_path, conditional=True, flips=True, cost_dim=7)
    assert list(table["class"]) == list(SMALL.classes)
    assert table["atoms"].sum() == 2 * len(SMALL)
    assert set(table["dims"]) == {7}
    assert (table["reached"] <= table["threshold"]).all()
    assert (table["chi_squared"].abs() < 0.1).all()
    assert (table["entropy"] > 0.97).all()
    assert (table["never_hit"] == 0).all()
    assert (table["points"] >= 4096).all()
    document = json.loads((tmp_path / "report.json").read_text())
    assert document["format"] == "cellflow-image-couplings"
    assert document["settings"]["flips"] is True
    assert document["rows"] == table.to_dict("records")
    written = pd.read_csv(tmp_path / "report.tsv", sep="\t", dtype={"class": str})
    pd.testing.assert_frame_equal(written, table)


def test_without_classes_the_one_row_has_the_name_of_the_set(tmp_path):
    assert list(coupled(tmp_path)["class"]) == ["digits/train"]


def test_what_missed_the_threshold_is_warned_of_when_found_and_when_read(tmp_path):
    few = {"semidiscrete_steps": 1, "data": digits()}
    with pytest.warns(CellflowWarning, match=r"stopped at chi-squared .*semidiscrete_steps"):
        table = coupled(tmp_path, **few)
    assert table["chi_squared"][0] > 0.5
    assert table["never_hit"][0] > 2 * table["never_hit_by_chance"][0]
    assert table["entropy"][0] < table["entropy_by_chance"][0]
    with pytest.warns(CellflowWarning, match=r"stopped at chi-squared .*semidiscrete_steps"):
        trained(**few, method="sd-fm", potentials=str(tmp_path))


def test_same_seed_same_potentials(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        coupled(tmp_path / name, rng=seed)
    a, b, c = (Potentials.load(next((tmp_path / n).glob("*.safetensors"))).g for n in "abc")
    assert torch.equal(a, b)
    assert not torch.equal(a, c)


MISTAKES = {
    "another coupling": ({"method": "ot-cfm"}, InputError, "'potentials' is a setting of coupling"),
    "components elsewhere": ({"method": "i-cfm", "cost_dim": 3}, InputError, "'cost_dim' is a s"),
    "too many components": ({"cost_dim": 65}, InputError, "more than the 64 dimensions"),
    "no labels": (
        {"data": ImageSet(SMALL.pixels), "conditional": True}, InputError, "has no labels",
    ),
    "a file": ({"folder": "text"}, InputError, "is a file; name a folder"),
    "below a file": ({"folder": "text/sub"}, FileError, "cannot store potentials in"),
    "negative entropy": ({"epsilon": -1.0}, InputError, "epsilon=-1.0"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_refused_before_any_work(mistake, tmp_path, monkeypatch):
    options, kind, message = MISTAKES[mistake]
    monkeypatch.chdir(tmp_path)
    Path("text").write_text("no folder")
    with pytest.raises(kind, match=message):
        coupled(**{"folder": "new", **options})
    assert not list(tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize("name", ["cost_dim", "potentials"])
def test_what_is_semidiscrete_is_refused_elsewhere(name):
    value = {"cost_dim": 3, "potentials": "here"}[name]
    with pytest.raises(InputError, match=rf"'{name}' is a setting of coupling 'semidiscrete'"):
        cf.method("ot-cfm", **{name: value})
    assert getattr(cf.method("sd-fm", **{name: value}).coupling, name) == value


def test_a_folder_that_cannot_be_made_ends_a_training_before_it_starts(tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(FileError, match=r"cannot store potentials in .*: Not a directory"):
        trained(SMALL, method="sd-fm", potentials=str(tmp_path / "file" / "sub"))
