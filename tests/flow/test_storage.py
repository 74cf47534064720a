"""Flows on disk: the round trip, and every way in which a folder can be wrong."""

import hashlib
import json
import shutil

import pytest
import torch
from safetensors.torch import load, save

from cellflow import FileError, Flow, method, recipe
from cellflow.flow import Context, FitRecord, Inputs
from cellflow.flow.storage import _digest
from cellflow.marginals import TimeAxis
from cellflow.nets import Fields


@pytest.fixture
def flow(generator):
    nets = Fields.make(
        ("velocity", "growth"), (3,), width=8, depth=2, time_features=2, generator=generator
    )
    nets.standardise(torch.randn((20, 3), generator=generator) * 4)
    return Flow(
        nets=nets.eval(),
        axis=TimeAxis("real", (0.0, 6.0, 24.0)),
        method=method("sf2m"),
        recipe=recipe("default", n_steps=7),
        inputs=Inputs(data="0" * 16, condition_keys=("dose",)),
        record=FitRecord(5, "cpu", {"torch": "2"}, wfr_length_scale=0.5, cost={"seconds": 1.0}),
        history={"step": [1, 2], "loss": [0.5, 0.25]},
        context=Context({"representation": {"kind": "obsm"}}, {"centre": torch.ones(3).double()}),
    )


@pytest.fixture
def folder(flow, tmp_path):
    flow.save(tmp_path / "flow")
    return tmp_path / "flow"


def test_round_trip_keeps_everything(flow, folder, generator):
    loaded = Flow.load(folder)
    x = torch.randn((9, 3), generator=generator)
    assert torch.equal(loaded.push(x, 0, 20), flow.push(x, 0, 20))
    assert loaded.axis == flow.axis
    assert (loaded.method, loaded.recipe) == (flow.method, flow.recipe)
    assert (loaded.inputs, loaded.record) == (flow.inputs, flow.record)
    assert loaded.history == flow.history
    assert loaded.context.settings == flow.context.settings
    assert torch.equal(loaded.context.arrays["centre"], flow.context.arrays["centre"])


def test_a_flow_says_in_a_few_lines_what_it_is(flow):
    told = repr(flow).split("\n")
    assert told[0] == "Flow of 3 dimensions, 3 times from 0 to 24 (real clock)"
    weights = sum(each.numel() for each in flow.nets.parameters())
    assert told[1:] == [
        "    times: 0, 6, 24",
        "    method: coupling entropic, path bridge, objective velocity-score",
        "    conditions: dose",
        "    growth: mass is conserved",
        f"    nets: velocity, growth; {weights} weights",
        "    fitted: 7 steps, 1 s, seed 5, device cpu",
        f"    id: {flow.fingerprint}",
    ]


def test_folder_holds_json_and_safetensors_only(folder):
    assert sorted(p.name for p in folder.iterdir()) == ["flow.json", "tensors.safetensors"]
    assert json.loads((folder / "flow.json").read_text())["schema_version"] == 7


def test_going_there_and_back_and_a_time_of_its_own(flow, generator):
    x = torch.randn((9, 3), generator=generator)
    torch.testing.assert_close(flow.push(flow.push(x, 6, 20), 20, 6), x, atol=1e-4, rtol=1e-4)
    assert torch.equal(flow.push(x, 6, 6), x)
    path = flow.trajectory(x, [0, 6, 24], n_steps=8).x
    torch.testing.assert_close(path[1], flow.push(x, 0, 6, n_steps=8))


def rewrite(folder, **changes):
    path = folder / "flow.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def flip_a_bit(folder):
    blob = bytearray((folder / "tensors.safetensors").read_bytes())
    blob[-1] ^= 1
    (folder / "tensors.safetensors").write_bytes(blob)


def sign(folder, dtype=torch.float32, without=None):
    """Change the type of all tensors, or leave out a value, and sign the flow again."""
    blob = (folder / "tensors.safetensors").read_bytes()
    try:
        blob = save({name: tensor.to(dtype) for name, tensor in load(blob).items()})
    except KeyError:
        pytest.skip(f"this version of safetensors does not write {dtype}")
    (folder / "tensors.safetensors").write_bytes(blob)
    description = json.loads((folder / "flow.json").read_text())
    description["tensors_sha256"] = hashlib.sha256(blob).hexdigest()
    for name in ("sha256", without):
        description.pop(name, None)
    description["sha256"] = _digest(description)
    (folder / "flow.json").write_text(json.dumps(description))


DAMAGE = {
    "missing description": (lambda f: (f / "flow.json").unlink(), "flow.json is missing"),
    "missing tensors": (lambda f: (f / "tensors.safetensors").unlink(), "tensors.* is missing"),
    "altered tensors": (flip_a_bit, "was altered or belongs to another flow"),
    "altered description": (lambda f: rewrite(f, settings={"seed": 6}), "flow.json was altered"),
    "unknown schema": (lambda f: rewrite(f, schema_version=99), "another cellflow .*version 99"),
    "older schema": (lambda f: rewrite(f, schema_version=4), "an earlier cellflow .*fit it again"),
    "another program's JSON": (lambda f: rewrite(f, format="x"), "has another format"),
    "a list for JSON": (lambda f: (f / "flow.json").write_text("[1]"), "has another format"),
    "text for JSON": (lambda f: (f / "flow.json").write_text("hello"), "cannot be read"),
    "bytes for JSON": (lambda f: (f / "flow.json").write_bytes(b"\xff\xfe"), "cannot be read"),
    "nested JSON": (
        lambda f: (f / "flow.json").write_text("[" * 100_000 + "]" * 100_000),
        "flow.json cannot be read: its values are nested too deeply",
    ),
    "a folder for tensors": (
        lambda f: ((f / "tensors.safetensors").unlink(), (f / "tensors.safetensors").mkdir()),
        "tensors.safetensors is a folder, not a file",
    ),
    "no digest of the tensors": (lambda f: sign(f, without="tensors_sha256"), "belongs to another"),
    "brain floats": (lambda f: sign(f, torch.bfloat16), "of type bfloat16, which a flow does not"),
    "complex numbers": (lambda f: sign(f, torch.complex64), "of type complex64, which a flow"),
    "foreign file": (
        lambda f: (f / "notes.txt").write_text("x"),
        "belong to a flow: notes.txt",
    ),
    "no folder": (shutil.rmtree, "does not exist"),
    "a file": (lambda f: (shutil.rmtree(f), f.write_text("x")), "is not a folder"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_damaged_folders_are_refused_with_the_reason(damage, folder):
    harm, message = DAMAGE[damage]
    harm(folder)
    with pytest.raises(FileError, match=message):
        Flow.load(folder)


def test_hidden_files_of_file_managers_do_no_harm(folder):
    (folder / ".DS_Store").write_text("x")
    assert Flow.load(folder).dim == 3


def test_saving_refuses_to_overwrite_unless_told(flow, folder):
    with pytest.raises(FileError, match="exists already"):
        flow.save(folder)
    flow.save(folder, overwrite=True)
    assert Flow.load(folder).dim == 3
    assert [p.name for p in folder.parent.iterdir()] == ["flow"]


def test_overwriting_never_takes_what_is_no_flow(flow, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter1.txt").write_text("years of work")
    with pytest.raises(FileError, match="is not a saved flow"):
        flow.save(tmp_path / "thesis", overwrite=True)
    assert (tmp_path / "thesis" / "chapter1.txt").read_text() == "years of work"


def test_failed_save_leaves_the_old_flow_and_nothing_else(flow, folder, monkeypatch):
    before = {p.name: p.read_bytes() for p in folder.iterdir()}

    def disk_full(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_text", disk_full)
    with pytest.raises(FileError, match="No space left on device"):
        flow.save(folder, overwrite=True)
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before
    assert [p.name for p in folder.parent.iterdir()] == ["flow"]
