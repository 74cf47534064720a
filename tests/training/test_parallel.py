"""Two processes that train one net do what one process does."""

import time
from pathlib import Path

import pytest
import torch
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

from cellflow import InputError, SolverError
from cellflow._batch import Pairs
from cellflow.training import Checkpoint, Every, ProcessGroup, launch, process_group, trainer
from tests import trainings
from tests.forks import launch_forks
from tests.trainings import Plain, equal, minibatches, same_pairs, trained

#: No multiple of the processes, so that their shares differ.
BATCH = 7


def whole_batches(accumulate=1):
    """Train with an objective that draws nothing; weights, average, history and the pairs seen."""
    objective = Plain()
    net, out = trained(
        trainings.net().double(),
        minibatches(dtype=torch.float64),
        objective,
        batch_size=BATCH,
        accumulate=accumulate,
        ema_decay=0.9,
        ahead=2,
    )
    return {
        "net": net.state_dict(),
        "average": out.net.state_dict(),
        "history": out.history,
        "pairs": [pairs.columns() for pairs in objective.pairs],
    }


class Lost(Plain):
    """Is no number at the third step."""

    def loss(self, net, pairs, generator):
        return super().loss(net, pairs, generator) * (torch.nan if len(self.pairs) == 3 else 1)


class Stopping:
    """An objective that ends all processes at a step, as a machine that goes down does."""

    def __init__(self, objective, step):
        self.objective, self.left = objective, step

    def loss(self, net, pairs, generator):
        # Readings on unseen pairs call this as well, but are not steps.
        self.left -= net.training
        if self.left == 0:
            raise KeyboardInterrupt
        return self.objective.loss(net, pairs, generator)


def random_training(checkpoint=None, stop=None, seen=None):
    """Train with noise, times, dropout and early stopping, all of which must be kept."""
    objective = trainings.regression()
    looks = [] if seen is None else [Every(1, lambda step, _net: seen.append(step))]
    return trained(
        trainings.net("dropout"),
        trainings.couplings()["mixture"],
        objective if stop is None else Stopping(objective, stop),
        ahead=1,
        patience=4,
        train_fraction=0.5,
        unseen=minibatches(7),
        callbacks=looks,
        checkpoint=checkpoint,
    )


def resumed(path):
    """Whether weights and history of an interrupted training are those of one that was not."""
    first_net, first = random_training()
    with pytest.raises(KeyboardInterrupt):
        random_training(Checkpoint(path, 4), stop=14)
    seen = []
    net, out = random_training(Checkpoint(path, 4, resume=True), seen=seen)
    return {
        "weights": equal(net, first_net) and equal(out.net, first.net),
        "history": out.history == first.history,
        "looks": seen,
    }


def refused(call):
    try:
        call()
    except (InputError, SolverError) as error:
        return str(error)
    return "nothing"


def draws():
    """Numbers that an objective draws, on each process."""
    drawn = []

    class Drawing(Plain):
        def loss(self, net, pairs, generator):
            drawn.append(torch.rand(3, generator=generator))
            return super().loss(net, pairs, generator)

    trained(objective=Drawing(), n_steps=2)
    return drawn


def work(folder: str) -> None:
    """Do all trainings in one of the processes; save the results to its own file."""
    torch.set_num_threads(1)
    trainer.READ_EVERY = 5
    with process_group("cpu") as device:
        group = ProcessGroup.current()
        found = {
            "device": device,
            "whole": whole_batches(),
            "parts": whole_batches(accumulate=2),
            "resumed": resumed(Path(folder) / "state.safetensors"),
            "small": refused(lambda: trained(batch_size=1)),
            "lost": refused(lambda: trained(objective=Lost(), batch_size=BATCH)),
            "noise": torch.cat(draws()),
        }
    # Joined once more, they find each other anew, though one comes late.
    time.sleep(0.3 * group.is_main)
    with process_group("cpu"):
        found["again"] = ProcessGroup.current().mean(torch.tensor(float(group.rank)))
    torch.save(found, Path(folder) / f"{group.rank}-of-{group.size}.pt")


def fail(_folder: str) -> None:
    raise ZeroDivisionError


@pytest.fixture
def alone(monkeypatch):
    """Results of one process."""
    monkeypatch.setattr(trainer, "READ_EVERY", 5)
    return whole_batches()


@pytest.mark.slow
def test_two_processes_train_as_one_does(tmp_path, alone):
    """All that is to be seen of one launch, since to start processes takes seconds."""
    with launch_forks():
        launch(2, work, str(tmp_path))
    found = [torch.load(tmp_path / f"{rank}-of-2.pt") for rank in range(2)]
    for way, parts in (("whole", 1), ("parts", 2)):
        ours = [each[way] for each in found]
        check_weights_are_the_same_on_both(*ours)
        check_shares_are_together_the_pairs_of_one(ours, alone, parts)
        for each in ours:
            check_weights_are_those_of_one(each, alone)
    check_an_interrupted_training_ends_as_one_that_was_not(found)
    assert len(torch.cat([each["noise"] for each in found]).unique()) == 12
    for each in found:
        assert each["device"] == "cpu"
        assert each["again"] == 0.5
        assert each["small"].startswith("recipe setting batch_size=1 leaves some of 2 processes")
        assert each["lost"].startswith("the loss became nan at step 3;")


def check_weights_are_the_same_on_both(first, second):
    assert first["history"] == second["history"]
    for weights in ("net", "average"):
        assert all(torch.equal(first[weights][k], second[weights][k]) for k in first[weights])


def check_shares_are_together_the_pairs_of_one(found, alone, parts):
    """Transport couples whole batches, so the pairs themselves are the same, not their number."""
    for step, columns in enumerate(alone["pairs"]):
        shares = [
            Pairs(**pairs)
            for each in found
            for pairs in each["pairs"][step * parts : (step + 1) * parts]
        ]
        assert sorted(map(len, shares)) == {1: [3, 4], 2: [1, 2, 2, 2]}[parts]
        assert same_pairs(in_order(Pairs.cat(shares)), in_order(Pairs(**columns)))


def in_order(pairs):
    return pairs[torch.argsort(pairs.x0[:, 0])]


def check_weights_are_those_of_one(found, alone):
    for weights in ("net", "average"):
        for name, expected in alone[weights].items():
            torch.testing.assert_close(found[weights][name], expected, atol=1e-6, rtol=0)
    assert found["history"]["step"] == alone["history"]["step"]
    assert found["history"]["loss"] == pytest.approx(alone["history"]["loss"], rel=1e-6)


def check_an_interrupted_training_ends_as_one_that_was_not(found):
    """Stopped in step 14, the state kept after step 12."""
    for each, looks in zip(found, ([13, 14, 15, 16, 17], []), strict=True):
        assert each["resumed"] == {"weights": True, "history": True, "looks": looks}


@pytest.mark.slow
def test_a_process_that_fails_is_told():
    with pytest.raises(ChildFailedError, match="fail"):
        launch(1, fail, "")


def test_one_process_is_a_group_of_its_own():
    assert ProcessGroup.current() == ProcessGroup(0, 1)
    with process_group("cuda:7") as device:
        assert device == "cuda:7"
    assert ProcessGroup.current().is_main
