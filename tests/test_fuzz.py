"""Files from strangers: whatever stands in them, only our own errors come out.

Files are random, or whole ones that were cut, mixed up and changed; documents are changed inside
and signed again, since whoever writes a file can write its digests too. A reader may take what
comes, too. CELLFLOW_FUZZ is the number of cases of each reader; `make fuzz` has many.
"""

import copy
import hashlib
import json
import os
import pickle
import shutil
import struct
import tempfile
import warnings
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from PIL import Image
from safetensors.torch import load, load_file, safe_open, save, save_file

import cellflow as cf
from cellflow._errors import CellflowError
from cellflow._tensors import compute_digest
from cellflow.evaluation.benchmark_plan import read_plan
from cellflow.flow.storage import _digest
from cellflow.images._read import read
from cellflow.images.scoring.feature_nets import read_weights
from cellflow.images.scoring.scores import read_table
from cellflow.io import read_course, read_scores, write_h5ad
from cellflow.methods.config import read_config
from cellflow.representation import from_context
from cellflow.training import Checkpoint
from tests.elsewhere import Elsewhere
from tests.tl.test_data_traps import SMALL, course

CASES = int(os.environ.get("CELLFLOW_FUZZ", "20"))

#: What stands in the place of a value.
ODD = st.sampled_from(
    [None, True, -1, 0, 1, 10**9, 2**70, 1e308, -0.5, "", "x", "nan", "../../x", [], [1, "a"], {},
     {"a": 1}, [[]], "ü" * 300, {"net": "mlp"}]
)  # fmt: skip
PLACES = st.lists(st.tuples(st.integers(0, 10**6), ODD, st.booleans()), min_size=1, max_size=3)
BYTES = st.lists(
    st.tuples(
        st.sampled_from(["flip", "cut", "insert", "drop", "copy", "zero", "random"]),
        st.floats(0, 1),
        st.binary(min_size=1, max_size=24),
    ),
    min_size=1,
    max_size=4,
)


def spoiled(blob, changes):
    """Bytes with some of them changed."""
    blob = bytearray(blob)
    for kind, share, extra in changes:
        at, n = int(share * len(blob)), len(extra)
        if kind == "flip" and at < len(blob):
            blob[at] ^= extra[0] or 1
        elif kind == "cut":
            del blob[at:]
        elif kind == "drop":
            del blob[at : at + n]
        elif kind == "insert":
            blob[at:at] = extra
        elif kind == "copy":
            blob[at:at] = blob[: at // 2]
        elif kind == "zero":
            blob[at : at + n] = bytes(n)
        elif kind == "random":
            blob[at : at + n] = extra
    return bytes(blob)


def leaves(value, path=()):
    """Where each value of a document stands."""
    inside = value.items() if isinstance(value, dict) else enumerate(value)
    for key, each in list(inside):
        yield (*path, key)
        if isinstance(each, dict | list):
            yield from leaves(each, (*path, key))


def changed(document, places):
    """A document with some values replaced or left out."""
    document = copy.deepcopy(document)
    for at, value, drop in places:
        paths = list(leaves(document))
        if not paths:
            break
        *way, key = paths[at % len(paths)]
        inside = document
        for step in way:
            inside = inside[step]
        if drop and isinstance(inside, dict):
            del inside[key]
        else:
            inside[key] = copy.deepcopy(value)
    return document


def with_tensors(tensors, places):
    """Tensors of which some have another shape, type or name."""
    tensors = dict(tensors)
    for at, value, drop in places:
        name = sorted(tensors)[at % len(tensors)] if tensors else None
        if name is None:
            break
        tensor = tensors.pop(name)
        if not drop:
            kinds = [
                tensor.flatten(),
                tensor[None],
                tensor.double(),
                tensor.flatten()[:0],
                tensor.long(),
            ]
            tensors[name if at % 2 else f"{value}"] = kinds[at % len(kinds)].contiguous()
    return tensors


# Whole files


@cache
def home():
    """A folder with a whole file of each kind."""
    folder = Path(tempfile.mkdtemp(prefix="cellflow-fuzz-"))
    adata = course((8, 8, 8))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        flow = cf.tl.fit(
            adata, use_rep="X_pca", recipe=SMALL, progress=False, checkpoint=folder / "state"
        )
        cf.tl.fit(
            adata, use_rep="X_pca", recipe=cf.recipe(SMALL, n_steps=2), progress=False,
            checkpoint=Checkpoint(folder / "state", 1),
        )  # fmt: skip
        flow.save(folder / "flow")
        write_h5ad(adata, folder / "a.h5ad")
    np.savez(folder / "t.npz", pcs=np.ones((6, 2)), sample_labels=np.repeat([0, 1], 3))
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 4, 3), dtype=np.uint8)
    np.savez(folder / "i.npz", images=pixels, labels=np.arange(6) % 2)
    np.save(folder / "i.npy", pixels)
    (folder / "pictures").mkdir()
    Image.fromarray(pixels[0]).save(folder / "pictures" / "a.png")
    (folder / "cifar").mkdir()
    batch = {b"data": np.zeros((4, 3072), np.uint8), b"labels": [0, 1, 2, 3]}
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        (folder / "cifar" / name).write_bytes(pickle.dumps(batch, 2))
    meta = {b"label_names": [b"%d" % k for k in range(10)]}
    (folder / "cifar" / "batches.meta").write_bytes(pickle.dumps(meta, 2))
    (folder / "mnist").mkdir()
    for name, images in (("train", 4), ("t10k", 2)):
        head = struct.pack(">HBB3I", 0, 8, 3, images, 3, 3)
        (folder / "mnist" / f"{name}-images-idx3-ubyte").write_bytes(head + bytes(9 * images))
        head = struct.pack(">HBBI", 0, 8, 1, images)
        (folder / "mnist" / f"{name}-labels-idx1-ubyte").write_bytes(head + bytes(images))
    tensors = {"atoms": torch.ones(4, 2), "origin": torch.zeros(2)}
    tensors |= {"g": torch.zeros(4), "masses": torch.full((4,), 0.25)}
    torch.save(dict(tensors), folder / "weights.pt")
    values = {"metric": "x", "rows": [{"of": "generated", "frechet": 1.0}]}
    (folder / "table.json").write_text(json.dumps({"format": "cellflow-image-scores", **values}))
    folds = [{"time": 1.0, "w1": 0.5, "baselines": {"midpoint": 0.2}, "baseline_scores": {}}]
    (folder / "scores.json").write_text(json.dumps({"settings": {}, "folds": folds}))
    (folder / "c.yaml").write_text("method: {preset: sb-cfm, sigma: 0.3}\nrecipe: {n_steps: 5}\n")
    (folder / "plan.yaml").write_text(
        "data: [{file: a.h5ad, name: x, times: [1]}]\nmethods: [ot-cfm, {name: b, method: i-cfm}]\n"
        "recipe: {preset: default, n_steps: 5}\nseeds: [0, 1]\n"
    )
    return folder


def loaded(path):
    """A flow, and what a caller asks of it first."""
    flow = cf.Flow.load(path)
    return flow.dim, flow.fingerprint, flow.time_key, from_context(flow.context).describe()


#: Reads `.h5ad`: HDF5 is C that was not written for files of strangers.
ELSEWHERE = Elsewhere()


@pytest.fixture(scope="module", autouse=True)
def _closed():
    yield
    ELSEWHERE.close()


READERS = {
    "flow description": ("flow/flow.json", loaded),
    "flow tensors": ("flow/tensors.safetensors", loaded),
    "h5ad": ("a.h5ad", ELSEWHERE.read),
    "trajectorynet": ("t.npz", read_course),
    "config": ("c.yaml", read_config),
    "plan": ("plan.yaml", read_plan),
    "checkpoint": ("state", lambda path: Checkpoint(path, resume=True).load()),
    "weights": ("weights.pt", read_weights),
    "image scores": ("table.json", read_table),
    "scores": ("scores.json", read_scores),
    "npz": ("i.npz", read),
    "npy": ("i.npy", read),
    "picture": ("pictures/a.png", read),
    "cifar": ("cifar/data_batch_3", read),
    "cifar classes": ("cifar/batches.meta", read),
    "mnist": ("mnist/train-images-idx3-ubyte", read),
    "mnist labels": ("mnist/train-labels-idx1-ubyte", read),
}


def attempt(reader, path):
    """Read; errors that are ours are an answer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with suppress(CellflowError):
            reader(path)


def check(name, blob):
    """A reader against one file of its kind that was replaced."""
    file, reader = READERS[name]
    whole = home() / file
    with tempfile.TemporaryDirectory() as folder:
        if whole.parent == home():
            target = path = Path(folder) / whole.name
        else:
            path = Path(folder) / whole.parent.name
            shutil.copytree(whole.parent, path)
            target = path / whole.name
        target.write_bytes(blob)
        attempt(reader, path)


@pytest.mark.parametrize("name", READERS)
def test_whole_files_are_read(name):
    file, reader = READERS[name]
    path = home() / file
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if name != "checkpoint":
            reader(path if path.parent == home() else path.parent)


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=CASES)
@given(changes=BYTES)
def test_spoiled_files(name, changes):
    check(name, spoiled((home() / READERS[name][0]).read_bytes(), changes))


@pytest.mark.parametrize("name", READERS)
@settings(max_examples=max(CASES // 4, 3))
@given(blob=st.binary(max_size=300))
def test_random_files(name, blob):
    check(name, blob)


# Signed files


def write_flow(folder, description, tensors):
    blob = save(tensors)
    description = {**description, "tensors_sha256": hashlib.sha256(blob).hexdigest()}
    description.pop("sha256", None)
    description["sha256"] = _digest(description)
    (folder / "tensors.safetensors").write_bytes(blob)
    (folder / "flow.json").write_text(json.dumps(description))


@settings(max_examples=4 * CASES)
@given(places=PLACES, tensors=st.one_of(st.none(), PLACES))
def test_flows_that_a_stranger_signed(places, tensors):
    whole = json.loads((home() / "flow" / "flow.json").read_text())
    named = load((home() / "flow" / "tensors.safetensors").read_bytes())
    with tempfile.TemporaryDirectory() as folder:
        described = changed(whole, places) if tensors is None else whole
        write_flow(
            Path(folder), described, named if tensors is None else with_tensors(named, tensors)
        )
        attempt(loaded, folder)


# Each case is a fit, so a failure is shown as it was found.
@settings(max_examples=max(CASES // 4, 3), phases=[Phase.generate])
@given(places=PLACES, tensors=st.one_of(st.none(), PLACES))
def test_checkpoints_that_a_stranger_signed(places, tensors):
    """Read, and gone on from by the fit that they say they are of."""
    path = home() / "state"
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    named = load_file(path)
    state = json.loads(metadata["state"])
    if tensors is None:
        state = changed(state, places)
    else:
        named = with_tensors(named, tensors)
    texts = metadata | {"state": json.dumps(state)}
    texts.pop("sha256")
    metadata = {**texts, "sha256": compute_digest(named, texts)}
    with tempfile.TemporaryDirectory() as folder:
        kept = Path(folder) / "state"
        save_file(named, kept, metadata)
        attempt(
            lambda path: cf.tl.fit(
                course((8, 8, 8)), use_rep="X_pca", recipe=cf.recipe(SMALL, n_steps=2),
                progress=False, checkpoint=Checkpoint(path, resume=True),
            ),
            kept,
        )  # fmt: skip


@settings(max_examples=CASES)
@given(places=PLACES)
@pytest.mark.parametrize("name", ["config", "plan", "image scores", "scores"])
def test_documents_that_say_something_else(name, places):
    import yaml

    whole = yaml.safe_load((home() / READERS[name][0]).read_text())
    check(name, json.dumps(changed(whole, places)).encode())
