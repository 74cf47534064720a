"""A training that was interrupted ends as one that was not; a damaged file is refused."""

import json
import pickle
from functools import cache
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import save_file

from cellflow import FileError, InputError, _tensors, method, tl
from cellflow.marginals import Gaussian, Marginals, TimeAxis
from cellflow.training import Checkpoint, Every, callbacks, fit_flow, make_checkpoint, trainer
from cellflow.training.checkpoints import State
from tests import trainings
from tests.trainings import NETS, equal, minibatches, points, trained

N_STEPS = 13


@pytest.fixture(autouse=True)
def _many_readings(monkeypatch):
    """Readings, and chances to stop early, after every three steps; of few pairs."""
    monkeypatch.setattr(trainer, "READ_EVERY", 3)
    monkeypatch.setattr(callbacks, "_UNSEEN", 32)


def train(kind, coupling, *, patient=False, looks=(), checkpoint=None, **changes):
    """Train with objects that are all new."""
    if patient:
        changes |= {"patience": 1, "train_fraction": 0.5}
        changes |= {"learning_rate": 0.5, "schedule": "constant"}
    return trained(
        trainings.net(kind),
        trainings.couplings()[coupling],
        unseen=minibatches(7) if patient else None,
        callbacks=looks,
        checkpoint=checkpoint,
        n_steps=N_STEPS,
        **changes,
    )


@cache
def undisturbed(kind, coupling, changes):
    return train(kind, coupling, **dict(changes))


def interrupted(path, step, every, kind, coupling, **changes):
    """Train until a look at that step interrupts."""

    def interrupt(_step, _net):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(
            kind,
            coupling,
            looks=[Every(step, interrupt)],
            checkpoint=Checkpoint(path, every),
            **changes,
        )


def check_resumed(folder, kind, coupling, step, every, **changes):
    """The state of any step is enough to end as if nothing had happened."""
    path = folder / "state.safetensors"
    path.unlink(missing_ok=True)
    interrupted(path, step, every, kind, coupling, **changes)
    seen = []
    look = Every(1, lambda at, _net: seen.append(at))
    net, again = train(
        kind, coupling, looks=[look], checkpoint=Checkpoint(path, every, resume=True), **changes
    )
    first_net, first = undisturbed(kind, coupling, tuple(changes.items()))
    assert equal(net, first_net)
    assert equal(again.net, first.net)
    assert again.history == first.history
    # The look that interrupts comes before the state is kept.
    stopped = min(step, seen[-1])
    assert seen[0] == (stopped - 1) // every * every + 1


changes = {
    "ahead": st.sampled_from([0, 2]),
    "ema_decay": st.sampled_from([0.0, 0.9]),
    "patient": st.booleans(),
    "accumulate": st.sampled_from([1, 3]),
}


@pytest.mark.parametrize("kind", NETS)
@given(step=st.integers(1, N_STEPS), every=st.integers(1, 6), chosen=st.fixed_dictionaries(changes))
@settings(max_examples=6)
def test_an_interrupted_training_ends_as_one_that_was_not(tmp_path, kind, step, every, chosen):
    check_resumed(tmp_path, kind, "minibatch", step, every, **chosen)


@pytest.mark.parametrize("coupling", sorted(trainings.couplings()))
@given(step=st.integers(1, N_STEPS), ahead=st.integers(0, 3))
@settings(max_examples=5)
def test_pairs_that_wait_are_kept_whatever_the_coupling(tmp_path, coupling, step, ahead):
    check_resumed(tmp_path, "mlp", coupling, step, 2, ahead=ahead)


@pytest.mark.parametrize("kind", NETS)
def test_patience_stops_these_trainings_early(kind):
    net, out = undisturbed(kind, "minibatch", (("patient", True),))
    assert out.history["step"][-1] < N_STEPS
    assert len(out.history["check"]) == len(out.history["step"])
    assert not equal(net, out.net)


def test_a_training_can_be_interrupted_again_and_again(tmp_path):
    path = tmp_path / "state.safetensors"

    def interrupt(_step, _net):
        raise KeyboardInterrupt

    for step in (3, 7, 8, 12):
        with pytest.raises(KeyboardInterrupt):
            train(
                "dropout", "mixture", looks=[Every(step, interrupt)], ahead=1,
                checkpoint=Checkpoint(path, 1, resume=True),
            )  # fmt: skip
    net, out = train("dropout", "mixture", ahead=1, checkpoint=Checkpoint(path, 1, resume=True))
    first_net, first = undisturbed("dropout", "mixture", (("ahead", 1),))
    assert equal(net, first_net)
    assert out.history == first.history


def test_a_training_that_was_done_is_not_gone_on_with(tmp_path):
    kept = Checkpoint(tmp_path / "state.safetensors", 1, resume=True)
    _, first = train("mlp", "minibatch", patient=True, checkpoint=kept)
    seen = []
    _, again = train(
        "mlp", "minibatch", patient=True, checkpoint=kept,
        looks=[Every(1, lambda step, _net: seen.append(step))],
    )  # fmt: skip
    assert equal(again.net, first.net)
    assert again.history == first.history
    assert not seen


def test_without_a_file_or_without_resuming_a_training_starts_anew(tmp_path):
    path = tmp_path / "state.safetensors"
    first_net, first = undisturbed("mlp", "minibatch", ())
    net, _ = train("mlp", "minibatch", checkpoint=Checkpoint(path, 5, resume=True))
    assert equal(net, first_net)
    interrupted(path, 12, 5, "mlp", "minibatch", learning_rate=0.5)
    net, out = train("mlp", "minibatch", checkpoint=Checkpoint(path, 5))
    assert equal(net, first_net)
    assert out.history == first.history


def test_keeping_states_changes_nothing_about_the_training(tmp_path):
    first, _ = undisturbed("dropout", "mixture", ())
    net, _ = train("dropout", "mixture", checkpoint=Checkpoint(tmp_path / "state.safetensors", 1))
    assert equal(net, first)


@pytest.mark.parametrize("every", [0, -1, True])
def test_steps_between_checkpoints_are_a_positive_number(every):
    with pytest.raises(
        InputError, match=f"every must be a whole number of steps from 1, got {every}"
    ):
        Checkpoint("state", every)


def test_a_path_is_a_checkpoint_with_the_defaults():
    assert make_checkpoint(None) is None
    assert make_checkpoint("state") == Checkpoint(Path("state"))
    given = Checkpoint("state", 7, resume=True)
    assert make_checkpoint(given) == given


def test_a_damaged_checkpoint_is_told_before_the_work(course, quick, tmp_path, monkeypatch):
    path = tmp_path / "state"
    path.write_bytes(b"no tensors")
    monkeypatch.setattr(tl._fit, "points_of", lambda *_: pytest.fail("cells are read"))
    with pytest.raises(FileError, match="cannot be read as a checkpoint"):
        tl.fit(course, use_rep="X_pca", recipe=quick, checkpoint=Checkpoint(path, resume=True))


# The file


STATE = State(
    3,
    {
        "whole": torch.arange(6, dtype=torch.uint8),
        "wide": torch.randn((2, 3, 4, 4)).to(memory_format=torch.channels_last),
        "brain": torch.ones(3, dtype=torch.bfloat16),
        "number": torch.tensor(2.5, dtype=torch.float64),
        "none": torch.empty(0, 2),
    },
    {"history": {"loss": [0.1, 1e-300]}, "done": False},
)


@pytest.fixture
def kept(tmp_path: Path) -> Checkpoint:
    """A checkpoint with its file."""
    checkpoint = Checkpoint(
        tmp_path / "state.safetensors", resume=True, identity={"seed": 1, "sizes": (1, 2)}
    )
    checkpoint.save(STATE)
    return checkpoint


def test_a_state_comes_back_as_it_was(kept):
    state = kept.load()
    assert state.step == STATE.step
    assert state.values == STATE.values
    assert state.tensors.keys() == STATE.tensors.keys()
    for name, tensor in STATE.tensors.items():
        assert state.tensors[name].dtype == tensor.dtype
        assert torch.equal(state.tensors[name], tensor)


def test_tensors_that_share_memory_are_kept_each(tmp_path):
    whole = torch.arange(10.0)
    checkpoint = Checkpoint(tmp_path / "state.safetensors", resume=True)
    checkpoint.save(State(1, {"whole": whole, "part": whole[3:], "twin": whole}))
    assert torch.equal(checkpoint.load().tensors["part"], whole[3:])


@pytest.mark.parametrize("error", [OSError("no space left"), KeyboardInterrupt(), ValueError("?")])
def test_an_error_while_saving_leaves_the_file_before(kept, monkeypatch, error):
    before = kept.path.read_bytes()

    def half_done(_named, path, _metadata):
        path.write_bytes(before[:100])
        raise error

    monkeypatch.setattr(_tensors, "save_file", half_done)
    with pytest.raises(FileError if isinstance(error, OSError) else type(error)):
        kept.save(State(4, {"whole": torch.zeros(1)}))
    assert kept.path.read_bytes() == before
    assert list(kept.path.parent.iterdir()) == [kept.path]


def test_a_folder_that_is_missing_is_named_before_anything_is_written(tmp_path):
    with pytest.raises(FileError, match="nowhere does not exist"):
        Checkpoint(tmp_path / "nowhere" / "state.safetensors").save(STATE)


def rewritten(kept, **changes):
    """The file with other metadata and the same tensors."""
    with safe_open(kept.path, "pt") as file:
        metadata = {**file.metadata(), **changes}
        tensors = {name: file.get_tensor(name) for name in STATE.tensors}
    save_file(tensors, kept.path, {name: value for name, value in metadata.items() if value})


@given(st.data())
def test_a_cut_file_is_refused(kept, data):
    kept.save(STATE)
    whole = kept.path.read_bytes()
    kept.path.write_bytes(whole[: data.draw(st.integers(0, len(whole) - 1))])
    with pytest.raises(FileError, match="cannot be read as a checkpoint"):
        kept.load()


@given(st.data())
def test_a_byte_that_changed_is_refused_wherever_it_is(kept, data):
    kept.save(STATE)
    whole = bytearray(kept.path.read_bytes())
    where = data.draw(st.integers(0, len(whole) - 1))
    whole[where] ^= 1 << data.draw(st.integers(0, 7))
    kept.path.write_bytes(whole)
    try:
        state = kept.load()
    except FileError:
        return
    # What is left are the order of the header's entries and the spaces that fill it up.
    assert state.step == STATE.step
    assert state.values == STATE.values
    assert all(torch.equal(state.tensors[name], STATE.tensors[name]) for name in STATE.tensors)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "cellflow"}, "is not a checkpoint of a training"),
        ({"format": None}, "is not a checkpoint of a training"),
        ({"schema_version": "9"}, "version '9'; this cellflow reads version 3: start without"),
        ({"schema_version": None}, "has schema version None"),
        ({"state": json.dumps({"step": 9, "values": {}, "identity": {}})}, "was altered"),
        ({"state": "no JSON"}, "was altered"),
        ({"state": None}, "was altered"),
        ({"sha256": None}, "was altered"),
    ],
)
def test_files_of_other_kinds_and_altered_ones_are_refused_with_the_reason(kept, changes, message):
    rewritten(kept, **changes)
    with pytest.raises(FileError, match=message):
        kept.load()


def test_nothing_is_unpickled(kept, tmp_path):
    mark = tmp_path / "mark"

    class Bomb:
        def __reduce__(self):
            return Path.touch, (mark,)

    for write in (pickle.dump, torch.save):
        with kept.path.open("wb") as file:
            write(Bomb(), file)
        with pytest.raises(FileError, match="cannot be read as a checkpoint"):
            kept.load()
    assert not mark.exists()


@pytest.mark.parametrize("kind", [str, Path])
def test_a_folder_in_the_place_of_the_file_is_named(tmp_path, kind):
    with pytest.raises(FileError, match="is a folder, and a checkpoint is a file"):
        make_checkpoint(kind(tmp_path))


def test_a_state_of_other_settings_is_refused_with_their_names(kept):
    kept.load()
    kept.with_identity({}).load()
    other = Checkpoint(kept.path, resume=True, identity={"seed": 2, "sizes": (1, 2), "flips": True})
    with pytest.raises(InputError, match=r"other settings \(flips, seed\)"):
        other.load()
    fewer = Checkpoint(kept.path, resume=True, identity={"seed": 1})
    with pytest.raises(InputError, match=r"other settings \(sizes\)"):
        fewer.load()


def fitted(path, *, seed=0, resume=True, **changes):
    return fit_flow(
        Marginals((0.0, 1.0), (Gaussian(torch.zeros(1, 4)), points(1))),
        TimeAxis("index", (0.0, 1.0)),
        method=method("ot-cfm"),
        recipe=trainings.settings(**changes),
        seed=seed,
        device=torch.device("cpu"),
        checkpoint=Checkpoint(path, 3, resume, identity={"data": "points"}),
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 1}, r"\(seed\)"),
        ({"learning_rate": 0.5}, r"\(recipe\)"),
        ({"net": {"width": 4}}, r"\(recipe\)"),
    ],
)
def test_a_fit_goes_on_with_the_same_settings_only(tmp_path, changes, message):
    path = tmp_path / "state.safetensors"
    first = fitted(path, resume=False)
    assert equal(fitted(path).nets, first.nets)
    with pytest.raises(InputError, match=message):
        fitted(path, **changes)
