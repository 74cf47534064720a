"""Images from noise: what they cost, whose they are, and what lies between them."""

import numpy as np
import pytest
import torch

import cellflow as cf
from cellflow import InputError
from cellflow.images._sample import _slerp
from tests.small_images import digits, trained


@pytest.fixture(scope="module")
def flow():
    return trained(n_steps=30, conditional=True)


@pytest.fixture(scope="module")
def plain():
    return trained(n_steps=10)


@pytest.mark.parametrize(("solver", "calls"), [("euler", 3), ("midpoint", 6), ("rk4", 12)])
def test_fixed_steps_cost_their_stages(solver, calls, plain):
    assert cf.images.sample(plain, 5, solver=solver, n_steps=3, batch_size=2).nfe == calls


def test_the_sampler_of_edm_costs_two_a_step_but_the_last(plain):
    made = cf.images.sample(plain, 5, solver="edm-heun", n_steps=4, batch_size=2)
    assert (made.nfe, made.by) == (7, "edm-heun:4")
    other = cf.images.sample(plain, 5, solver="edm-heun", n_steps=4, rho=30)
    assert (other.nfe, other.by) == (7, "edm-heun:4:30")
    assert (made.images.pixels != other.images.pixels).any()


def test_the_sampler_of_edm_knows_no_times_between_and_no_source(plain):
    with pytest.raises(
        InputError, match=r"without times between, got \[0.0, 0.5, 1.0\]; take another"
    ):
        cf.images.sample(plain, 2, solver="edm-heun", times=(0.0, 0.5, 1.0))
    between = trained(digits().of_class(0), source=digits().of_class(1))
    with pytest.raises(InputError, match="for flows from standard normal noise"):
        cf.images.translate(between, digits().of_class(1)[:2], solver="edm-heun")


def test_a_fine_sampler_of_edm_agrees_with_another_solver(plain):
    fine, other = (
        cf.images.sample(plain, 8, solver=solver, n_steps=n_steps).images.pixels.astype(int)
        for solver, n_steps in (("edm-heun", 80), ("rk4", 20))
    )
    assert np.abs(fine - other).mean() < 2


def test_adaptive_solvers_cost_what_the_tolerance_asks(plain):
    loose, tight = (cf.images.sample(plain, 5, tolerance=tol).nfe for tol in (1e-2, 1e-6))
    assert 0 < loose < tight


def test_same_seed_same_images_whatever_the_batch(flow):
    """Sums of other batches round otherwise, by a grey value at most."""
    common = {"solver": "rk4", "n_steps": 3, "rng": 4}
    whole, again, parts = (
        cf.images.sample(flow, 11, batch_size=size, **common).images for size in (256, 256, 3)
    )
    np.testing.assert_array_equal(whole.pixels, again.pixels)
    assert np.abs(whole.pixels.astype(int) - parts.pixels).max() <= 1
    np.testing.assert_array_equal(whole.labels, parts.labels)
    other = cf.images.sample(flow, 11, **{**common, "rng": 5}).images
    assert np.abs(whole.pixels.astype(int) - other.pixels).mean() > 10


def test_labels_are_those_asked_for(flow):
    def labels(label):
        return cf.images.sample(flow, 12, label=label, solver="euler", n_steps=1).images.labels

    assert labels(None).tolist() == [*range(10), 0, 1]
    assert labels("3").tolist() == labels(3).tolist() == labels(np.int64(3)).tolist() == [3] * 12


def test_a_class_makes_images_of_its_own(flow):
    zero, one = (
        cf.images.sample(flow, 4, label=label, solver="euler", n_steps=4).images.pixels
        for label in (0, 1)
    )
    assert (zero != one).any()


def test_without_classes_there_are_no_labels(plain):
    images = cf.images.sample(plain, 3, solver="euler", n_steps=1).images
    assert images.labels is None
    assert images.classes == ()
    assert images.name == "generated digits/train"


def test_what_was_made_is_read_back_and_scored(flow, tmp_path):
    made = cf.images.sample(flow, 12, solver="euler", n_steps=1).images
    made.save(tmp_path / "made.npz")
    again = cf.images.read(tmp_path / "made.npz")
    assert again.fingerprint == made.fingerprint
    assert again.classes == digits().classes


def test_a_frame_for_each_time_from_noise_to_the_image(plain):
    times = (0.0, 0.25, 1.0)
    made = cf.images.sample(plain, 4, times=times, solver="euler", n_steps=2, batch_size=3)
    assert made.frames.shape == (3, 4, 8, 8, 1)
    assert made.frames.dtype == np.uint8
    np.testing.assert_array_equal(made.frames[-1], made.images.pixels)
    noise = cf.images.sample(plain, 4, times=(0.0, 1e-6), solver="euler", n_steps=1).images.pixels
    assert np.abs(made.frames[0].astype(int) - noise).max() <= 1
    assert made.nfe == 4


@pytest.mark.parametrize("times", [(), (0.0,), (0.5, 1.0), (1.0, 0.0), (0.0, 0.0, 1.0)])
def test_times_rise_from_the_noise(times, plain):
    with pytest.raises(InputError, match=r"times (must increase from 0|need the start)"):
        cf.images.sample(plain, 2, times=times)


def test_an_interpolation_goes_from_one_sample_to_another(flow):
    options = {"solver": "euler", "n_steps": 3, "rng": 2}
    film = cf.images.interpolate(flow, 3, n_frames=4, label="7", **options)
    assert film.shape == (4, 3, 8, 8, 1)
    first = cf.images.sample(flow, 3, label="7", **options).images.pixels
    assert np.abs(film[0].astype(int) - first).max() <= 1
    ends = cf.images.interpolate(flow, 3, n_frames=2, label="7", **options)
    assert np.abs(film[[0, -1]].astype(int) - ends).max() <= 1
    steps = np.abs(np.diff(film.astype(int), axis=0)).mean(axis=(1, 2, 3, 4))
    assert (steps > 0).all()
    assert steps.max() < np.abs(film[-1].astype(int) - film[0]).mean()


@pytest.mark.parametrize("n", [0, -1])
def test_numbers_of_images_are_positive(n, plain):
    for verb in (cf.images.sample, cf.images.interpolate):
        with pytest.raises(InputError, match="n must be positive"):
            verb(plain, n)
    with pytest.raises(InputError, match="two or more frames, got 1"):
        cf.images.interpolate(plain, 2, n_frames=1)
    with pytest.raises(InputError, match="batch_size must be positive"):
        cf.images.sample(plain, 2, batch_size=n)


def test_great_circles_keep_lengths_and_share_the_angle(generator):
    x, y = torch.randn((2, 50, 64), generator=generator, dtype=torch.float64)
    x, y = (8 * end / end.norm(dim=1, keepdim=True) for end in (x, y))
    angle = torch.arccos((x * y).sum(dim=1) / 64)
    for share in (0.0, 0.3, 0.5, 1.0):
        here = _slerp(x, y, share)
        torch.testing.assert_close(here.norm(dim=1), torch.full((50,), 8.0, dtype=x.dtype))
        found = torch.arccos(((x * here).sum(dim=1) / 64).clamp(-1, 1))
        torch.testing.assert_close(found, share * angle, rtol=0, atol=1e-6)
    torch.testing.assert_close(_slerp(x, y, 1.0), y)


def test_where_no_circle_is_known_the_way_is_a_line():
    x = torch.tensor([[1.0, 2.0], [1.0, 0.0]], dtype=torch.float64)
    y = torch.tensor([[2.0, 4.0], [-1.0, 0.0]], dtype=torch.float64)
    middle = _slerp(x, y, 0.25)
    torch.testing.assert_close(middle, 0.75 * x + 0.25 * y, rtol=0, atol=1e-6)


def test_unknown_classes_name_the_nearest(flow, plain):
    with pytest.raises(InputError, match=r"unknown class '11' \(did you mean '1'\?\); valid: 0, 1"):
        cf.images.sample(flow, 2, label="11")
    with pytest.raises(InputError, match="class 10 is not one of 0 to 9"):
        cf.images.sample(flow, 2, label=10)
    with pytest.raises(InputError, match="trained without; train it with conditional"):
        cf.images.sample(plain, 2, label="1")


def test_flows_that_make_no_images_from_noise_are_refused(course, quick):
    cells = cf.tl.fit(course, use_rep="X_pca", recipe=quick, progress=False)
    between = trained(digits().of_class(0), source=digits().of_class(1))
    for verb in (cf.images.sample, cf.images.interpolate):
        with pytest.raises(InputError, match="not trained on images"):
            verb(cells, 2)
        with pytest.raises(InputError, match=r"starts from images of digits/train/1, not from"):
            verb(between, 2)


def test_verbs_for_cells_refuse_flows_of_images(course, plain):
    with pytest.raises(InputError, match="not fitted to an AnnData"):
        cf.tl.interpolate(course, plain, 1.5)
    with pytest.raises(InputError, match="not fitted to an AnnData"):
        cf.pl.trajectories(course, plain, show=False)
    with pytest.raises(InputError, match=r"prior has dimensions 64, this fit 3"):
        cf.tl.fit(
            course,
            use_rep="X_pca",
            method=cf.method("ot-cfm", coupling="acceleration"),
            prior=plain,
            progress=False,
        )


def test_a_saved_flow_makes_the_same_images(flow, tmp_path):
    flow.save(tmp_path / "flow")
    options = {"solver": "rk4", "n_steps": 2, "label": 5}
    first, second = (
        cf.images.sample(each, 4, **options).images
        for each in (flow, cf.Flow.load(tmp_path / "flow"))
    )
    assert first.fingerprint == second.fingerprint
    assert first.name == second.name


@pytest.mark.parametrize("n_steps", [0, -1])
@pytest.mark.parametrize("method", ["i-cfm", "mean-flow"])
def test_no_steps_are_refused(method, n_steps):
    solver = "average" if method == "mean-flow" else "euler"
    with pytest.raises(InputError, match=f"n_steps must be positive, got {n_steps}"):
        cf.images.sample(trained(method=method), 2, solver=solver, n_steps=n_steps)


def test_steps_without_effect_are_refused(flow):
    with pytest.raises(InputError, match="'dopri5' chooses its steps by tolerance, so n_steps=5"):
        cf.images.sample(flow, 2, n_steps=5)


@pytest.mark.parametrize(("solver", "nfe"), [("euler", 100), ("edm-heun", 35)])
def test_solvers_with_fixed_steps_have_a_number_of_their_own(flow, solver, nfe):
    assert cf.images.sample(flow, 2, solver=solver).nfe == nfe
