"""Potentials of a fit: which file keeps them, and what a fit does without one."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from cellflow import method, recipe
from cellflow._errors import CellflowWarning, FileError, InputError
from cellflow.couplings import Potentials
from cellflow.images.potentials_report import report_potentials
from cellflow.marginals import Gaussian, Marginals, Population, TimeAxis
from cellflow.training import fit_flow
from cellflow.training.context import Fit
from cellflow.training.potentials import load_or_fit_potentials, potentials_path
from tests.seeds import seeded
from tests.trainings import DEVICE, points

NOISE = Gaussian(torch.zeros(1, 4))
QUICK = recipe("default", n_steps=3, net={"width": 4})


def fit(folder, seed=0, cost_scale=1.0, **settings):
    """A fit and the settings of its coupling."""
    chosen = method("sd-fm", potentials=None if folder is None else str(folder), **settings)
    ends = Marginals((0.0, 1.0), (NOISE, points(0)))
    each = Fit(ends, chosen, QUICK, torch.zeros(4), 1.0, seeded(seed), cost_scale)
    return each, chosen.coupling


def fitted(source, target, chosen, numbers=QUICK):
    marginals = Marginals((0.0, 1.0), (source, target))
    axis = TimeAxis("index", (0.0, 1.0))
    return fit_flow(marginals, axis, method=chosen, recipe=numbers, seed=0, device=DEVICE)


def test_everything_that_decides_potentials_has_a_file_of_its_own(tmp_path):
    heavy = Population.of(points(0).points, torch.arange(1.0, 31))
    names = [
        potentials_path(*each)
        for each in (
            (*fit(tmp_path), NOISE, points(0)),
            (*fit(tmp_path), NOISE, points(1)),
            (*fit(tmp_path), NOISE, heavy),
            (*fit(tmp_path), replace(NOISE, scale=2.0), points(0)),
            (*fit(tmp_path), points(2), points(0)),
            (*fit(tmp_path, epsilon=0.0), NOISE, points(0)),
            (*fit(tmp_path, epsilon=0.5), NOISE, points(0)),
            (*fit(tmp_path, epsilon=0.5, cost_scale=2.0), NOISE, points(0)),
            (*fit(tmp_path, cost_dim=2), NOISE, points(0)),
            (*fit(tmp_path, cost_dim=3), NOISE, points(0)),
            (*fit(tmp_path, semidiscrete_steps=9), NOISE, points(0)),
        )
    ]
    assert len(set(names)) == len(names)
    assert potentials_path(*fit(tmp_path, seed=5), NOISE, points(0)) == names[0]


def test_what_follows_is_the_same_with_new_and_with_kept_potentials(tmp_path):
    fits = [fit(None), fit(tmp_path), fit(tmp_path)]
    found = [load_or_fit_potentials(*each, NOISE, points(0)) for each in fits]
    assert torch.equal(found[0].g, found[2].g)
    assert len({each.generator.get_state().numpy().tobytes() for each, _ in fits}) == 1


def test_files_for_other_points_under_the_name_are_refused(tmp_path):
    mine = potentials_path(*fit(tmp_path), NOISE, points(0))
    Potentials.of(points(1).points).save(mine)
    with pytest.raises(InputError, match="fitted to other atoms"):
        load_or_fit_potentials(*fit(tmp_path), NOISE, points(0))


@pytest.mark.parametrize("source", [NOISE, points(5)], ids=["noise", "points"])
def test_a_fit_takes_costs_on_components(source):
    """On all of them the flow is as without; on one it is another."""
    target = Population.of(points(3).points * torch.tensor([5.0, 1, 1, 1]))
    longer = recipe(QUICK, n_steps=40, learning_rate=0.02, ema_decay=0.0)
    chosen = [method("sd-fm", sigma=0.0, epsilon=0.1, cost_dim=k) for k in (None, 4, 1)]
    flows = [fitted(source, target, each, longer) for each in chosen]
    ends = [flow.push(points(9).points, 0.0, 1.0, solver="euler", n_steps=2) for flow in flows]
    same, other = (float((ends[0] - end).abs().max()) for end in ends[1:])
    # A rotation rounds otherwise, and the fit multiplies that: up to 0.014 on some processors.
    assert same < 3e-2
    assert other > 0.1


def test_epsilon_is_that_of_squared_distances_in_units_of_the_costs():
    """Shares are exp(-|x - y|^2 / E) times a factor for each point and each atom, E = 0.6 x 2."""
    target = points(0)
    potentials = load_or_fit_potentials(*fit(None, epsilon=0.6, cost_scale=2.0), NOISE, target)
    x = points(5, n=7).points
    (rows,) = potentials.tiles(x)
    ((_, shares),) = potentials.shares(rows)
    factors = shares.log() + torch.cdist(x, target.points).square() / 1.2
    factors = factors - factors.mean(dim=0)
    torch.testing.assert_close(factors, factors[:, :1].expand(7, 30), rtol=0, atol=1e-4)


def test_kept_potentials_that_missed_the_threshold_are_warned_of_again(tmp_path):
    target = points(0, n=400)
    for _ in range(2):
        with pytest.warns(CellflowWarning, match="stopped at chi-squared"):
            load_or_fit_potentials(*fit(tmp_path, semidiscrete_steps=1), NOISE, target)
    assert len(list(tmp_path.iterdir())) == 1


def test_a_folder_that_cannot_be_made_or_written_is_an_error_of_ours(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(InputError, match="is a file; name a folder"):
        load_or_fit_potentials(*fit(tmp_path / "file"), NOISE, points(0))
    with pytest.raises(FileError, match=r"cannot store potentials in .*sub: Not a directory"):
        load_or_fit_potentials(*fit(tmp_path / "file" / "sub"), NOISE, points(0))

    mkdir = Path.mkdir

    def full(folder, *args, **kwargs):
        if folder.name.startswith("."):
            raise OSError(28, "No space left on device")
        mkdir(folder, *args, **kwargs)

    monkeypatch.setattr(Path, "mkdir", full)
    never = lambda *_, **__: pytest.fail("work was begun")  # noqa: E731
    monkeypatch.setattr("cellflow.training.potentials.fit_potentials", never)
    with pytest.raises(FileError, match="No space left"):
        load_or_fit_potentials(*fit(tmp_path / "new"), NOISE, points(0))


def before(chosen, source=NOISE, target=None, **options):
    marginals = Marginals((0.0, 1.0), (source, target or points(0)))
    return report_potentials(
        marginals, method=chosen, recipe=QUICK, seed=0, device=DEVICE, **options
    )  # fmt: skip


@pytest.mark.parametrize(
    "changes", [{}, {"epsilon": 0.3}, {"cost_dim": 2}], ids=["plain", "entropy", "components"]
)
def test_what_is_found_before_a_fit_is_what_the_fit_reads(changes, tmp_path, monkeypatch):
    """Also where the fit standardises, so that strengths are in units of the points."""
    chosen = method("sd-fm", sigma=0.0, potentials=str(tmp_path), **changes)
    x = 7 * points(0).points
    target = Population.of(x, label=torch.arange(30) % 2)
    found = before(chosen, target=target)
    assert [each.label for each in found] == [0, 1]
    assert [each.n_atoms for each in found] == [15, 15]
    assert {each.dim for each in found} == {changes.get("cost_dim", 4)}
    never = lambda *_, **__: pytest.fail("found anew")  # noqa: E731
    monkeypatch.setattr("cellflow.training.potentials.fit_potentials", never)
    fitted(NOISE, target, chosen)
    again = before(chosen, target=target)
    assert [each.new for each in found + again] == [True, True, False, False]
    assert [each.reached for each in found] == [each.reached for each in again]


def test_points_at_both_ends_other_couplings_and_no_folder_are_refused(tmp_path):
    chosen = method("sd-fm", potentials=str(tmp_path))
    with pytest.raises(InputError, match="from noise only"):
        before(chosen, source=points(1))
    for wrong in (method("sd-fm"), method("ot-cfm")):
        with pytest.raises(InputError, match="require coupling 'semidiscrete' and a folder"):
            before(wrong)
