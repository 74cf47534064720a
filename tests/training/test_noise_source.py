"""Flows that start from noise: what may start there, and the law of the pairs."""

import pytest
import torch
from scipy.stats import norm

from cellflow import InputError, method, recipe
from cellflow.flow import Flow
from cellflow.marginals import Gaussian, Marginals, Population, TimeAxis
from cellflow.methods.parts import COUPLINGS, PATHS, pairs_move_on
from cellflow.methods.presets import PRESETS
from cellflow.nets import Fields
from cellflow.training import PATH_BUILDERS, fit_flow
from cellflow.training.context import Fit
from cellflow.training.time_course import course_coupling
from tests.seeds import seeded
from tests.trainings import DEVICE

AXIS = TimeAxis("index", (0.0, 1.0))
#: Couplings that keep both marginals as they are, so that the law of the noise is known.
BALANCED = ("ot", "independent", "entropic", "semidiscrete")
SHARES = torch.tensor([0.2, 0.3, 0.5])
NOISE = Gaussian(torch.zeros(1, 2))


def classes(n=200, far=6.0):
    """Points of three classes in places of their own, with one-hot classes as covariates."""
    label = torch.repeat_interleave(torch.arange(3), (SHARES * n).round().long())
    x = 0.3 * torch.randn((n, 2), generator=seeded(1)) + far * label[:, None]
    return Population.of(x, label=label, condition=torch.eye(3)[label])


def untrained(target):
    """A flow that couplings may ask."""
    condition = target.stored.condition
    nets = Fields.make(
        ("velocity",), (2,), condition_dim=0 if condition is None else condition.shape[1],
        generator=seeded(5),
    )  # fmt: skip
    return Flow(nets, AXIS, method("ot-cfm"), recipe("default"))


def coupled(name, source=NOISE, target=None, **changes):
    """The coupling of a name between noise and points."""
    target = classes() if target is None else target
    numbers = recipe("default", coupling_batch_size=64, standardise=False)
    fit = Fit(
        Marginals((0.0, 1.0), (source, target)), method(coupling=name, **changes), numbers,
        torch.zeros(2), 1.0, seeded(0), prior=untrained(target) if name == "acceleration" else None,
    )  # fmt: skip
    return course_coupling(fit)


def check_law(drawn, mean, covariance):
    """Mean and covariance, to five standard errors; the effective number of draws is half."""
    n = len(drawn) / 2
    scale = covariance.diagonal().max()
    torch.testing.assert_close(drawn.mean(dim=0), mean, atol=5 * float((scale / n).sqrt()), rtol=0)
    atol = 5 * float(scale) * (2 / n) ** 0.5
    torch.testing.assert_close(drawn.T.cov(), covariance, atol=atol, rtol=0)


@pytest.mark.parametrize("name", BALANCED)
def test_noise_tells_nothing_of_the_class_and_points_are_of_the_class_that_is_told(name):
    pairs = coupled(name).sample(8000, seeded(2))
    assert torch.equal(pairs.c0, pairs.c1)
    assert torch.equal(pairs.c1.sum(dim=1), torch.ones(8000))
    label = pairs.c1.argmax(dim=1)
    assert torch.equal(label, (pairs.x1.mean(dim=1) / 6).round().long())
    for each, share in enumerate(SHARES):
        rows = label == each
        assert float(rows.float().mean()) == pytest.approx(float(share), abs=0.03)
        check_law(pairs.x0[rows], torch.zeros(2), torch.eye(2))
    assert torch.equal(pairs.t0, torch.zeros(8000))
    assert torch.equal(pairs.t1, torch.ones(8000))


def test_without_classes_transport_sends_noise_where_it_is_near():
    """So it is the coupling within classes that keeps noise from telling the class."""
    target = classes()
    pairs = coupled("ot", target=Population.of(target.points)).sample(4000, seeded(2))
    below = pairs.x0[pairs.x1.mean(dim=1) < 3]
    assert float(below.mean()) < -0.5


@pytest.mark.parametrize("name", BALANCED)
def test_within_a_class_transport_is_that_between_all_of_the_noise_and_its_points(name):
    """Nearer than pairs drawn apart, in each class, but for the independent coupling."""
    pairs = coupled(name).sample(4000, seeded(2))
    spread = (pairs.x1 - 6 * pairs.c1.argmax(dim=1)[:, None]).square().sum(dim=1).mean()
    apart = 2 + spread
    moved = pairs.x1 - 6 * pairs.c1.argmax(dim=1)[:, None] - pairs.x0
    found = moved.square().sum(dim=1).mean()
    if name == "independent":
        assert float(found) == pytest.approx(float(apart), rel=0.1)
    else:
        assert found < 0.8 * apart


@pytest.mark.parametrize("name", BALANCED)
def test_noise_of_any_place_and_width_is_drawn_as_given(name):
    centre = torch.tensor([[3.0, -1.0]])
    pairs = coupled(name, source=Gaussian(centre, 2.0), target=Population.of(classes().points))
    drawn = pairs.sample(8000, seeded(2))
    check_law(drawn.x0, centre[0], 4 * torch.eye(2))
    assert drawn.c0 is None


def test_the_path_to_the_target_starts_from_the_noise_that_is_given():
    centre = torch.tensor([[3.0, -1.0]])
    coupling = coupled("independent", source=Gaussian(centre, 2.0), path="target")
    pairs = coupling.sample(8000, seeded(2))
    check_law(pairs.x0, centre[0], 4 * torch.eye(2))
    label = pairs.c1.argmax(dim=1)
    assert torch.equal(label, (pairs.x1.mean(dim=1) / 6).round().long())


def taking(parts):
    return ", ".join(name for name, part in parts.items() if part.takes_noise)


@pytest.mark.parametrize(
    ("coupling", "path"),
    [
        (coupling, path)
        for coupling, part in COUPLINGS.items()
        for path in PATHS
        if pairs_move_on(part, PATHS[path]) and not (part.takes_noise and PATHS[path].takes_noise)
    ],
)
def test_what_does_not_take_noise_is_refused_with_what_does(coupling, path):
    grows = {"objective": "growth"} if COUPLINGS[coupling]().changes_mass else {}
    message = (
        f"coupling '{coupling}' with path '{path}' needs points at both ends, and the source is "
        f"noise; for noise take a coupling of {taking(COUPLINGS)} and a path of {taking(PATHS)}"
    )
    with pytest.raises(InputError, match=message):
        coupled(coupling, path=path, **grows)


@pytest.mark.parametrize(
    ("coupling", "path"),
    [
        (coupling, path)
        for coupling, part in COUPLINGS.items()
        for path in PATHS
        if pairs_move_on(part, PATHS[path]) and part.takes_noise and PATHS[path].takes_noise
    ],
)
@pytest.mark.parametrize("labelled", [False, True])
def test_what_takes_noise_does(coupling, path, labelled):
    target = classes() if labelled else Population.of(classes().points)
    pairs = coupled(coupling, target=target, path=path).sample(70, seeded(2))
    assert pairs.x0.shape == pairs.x1.shape == (70, 2)
    assert torch.isin(pairs.x1, target.points).all()
    assert (pairs.c0 is not None) == labelled


# Fits


def fitted(source, target, chosen, **changes):
    numbers = {
        "n_steps": 100, "net": {"width": 32}, "learning_rate": 1e-2, "batch_size": 128,
        "coupling_batch_size": 128, **changes,
    }  # fmt: skip
    return fit_flow(
        Marginals((0.0, 1.0), (source, target)), AXIS, method=chosen,
        recipe=recipe("default", **numbers), seed=0, device=DEVICE,
    )  # fmt: skip


#: With soft marginals what would go far is left out, so points are not generated as they are.
SOFT = {"uot-fm"}
#: Goes on from a flow, in a test file of its own.
GO_ON = {"oat-fm"}
GENERATORS = [
    name
    for name in PRESETS
    if name not in SOFT | GO_ON
    and method(name).coupling.takes_noise
    and method(name).path.takes_noise
]


@pytest.mark.parametrize("name", GENERATORS)
def test_methods_that_take_noise_generate_the_points(name):
    target = Population.of(torch.randn((200, 2), generator=seeded(1)) * 0.5 + 1.0)
    chosen = method(name)
    # Denoisers learn all levels of noise with one net.
    n_steps = 300 if chosen.objective.name == "edm" else 100
    flow = fitted(NOISE, target, chosen, standardise=False, n_steps=n_steps)
    made = flow.push(NOISE.sample(500, seeded(3)).x, 0.0, 1.0)
    torch.testing.assert_close(made.mean(dim=0), torch.ones(2), atol=0.2, rtol=0)
    torch.testing.assert_close(made.std(dim=0), torch.full((2,), 0.5), atol=0.2, rtol=0)


def test_a_flow_of_classes_generates_the_class_that_is_asked():
    flow = fitted(NOISE, classes(far=3.0), method("ot-cfm"))
    noise = NOISE.sample(200, seeded(3)).x
    for each, row in enumerate(torch.eye(3)):
        made = flow.push(noise, 0.0, 1.0, condition=row.expand(200, 3))
        expected = torch.full((2,), 3.0 * each)
        torch.testing.assert_close(made.mean(dim=0), expected, atol=0.25, rtol=0)


def quantiles(sample):
    """The monotone map of N(0, 1) to equally heavy points, x -> F^-1(Phi(x))."""
    ordered = sample.sort().values

    def carried(x):
        rank = torch.from_numpy(norm.cdf(x.numpy())) * len(ordered)
        return ordered[rank.long().clamp(max=len(ordered) - 1)]

    return carried


def skewed(n=256):
    """A finite sample that no affine map makes of noise: quantiles of exp(Z / 2)."""
    middle = (torch.arange(n) + 0.5) / n
    return torch.special.ndtri(middle).mul(0.5).exp()


def test_in_one_dimension_transport_from_noise_pairs_by_quantiles():
    """Batches of n points rank each point up to about 1 / sqrt(n)."""
    sample = skewed()
    errors = []
    for batch_size in (16, 256):
        numbers = recipe("default", coupling_batch_size=batch_size)
        ends = Gaussian(torch.zeros(1, 1)), Population.of(sample[:, None])
        marginals = Marginals((0.0, 1.0), ends)
        fit = Fit(marginals, method("ot-cfm"), numbers, torch.zeros(1), 1.0, seeded(0))
        pairs = course_coupling(fit).sample(2560, seeded(2))
        errors.append((pairs.x1 - quantiles(sample)(pairs.x0)).square().mean().sqrt())
    apart = (2 * sample.var()).sqrt()
    assert errors[1] < 0.5 * errors[0] < 0.5 * apart
    assert errors[1] < 0.15 * apart


@pytest.mark.parametrize("coupling", ["ot", "semidiscrete", "independent"])
def test_a_flow_from_noise_is_nearly_the_quantile_map_and_one_of_transport_is_straight(coupling):
    """Any flow on a line keeps the order, so it is that map; only transport gets there at once.

    With ends drawn apart, the first velocity is towards the mean.
    """
    sample = skewed()
    noise, points = Gaussian(torch.zeros(1, 1)), Population.of(sample[:, None])
    chosen = method("ot-cfm", coupling=coupling, sigma=0.0)
    # The mean of all ends is learned last.
    n_steps = 400 if coupling == "independent" else 200
    flow = fitted(noise, points, chosen, n_steps=n_steps, batch_size=256)
    x = torch.linspace(-1.5, 1.5, 50)[:, None]
    expected = quantiles(sample)(x)

    def distance(found, to):
        return float((found - to).abs().mean() / sample.std())

    assert distance(flow.push(x, 0.0, 1.0), expected) < 0.1
    at_once = flow.push(x, 0.0, 1.0, solver="euler", n_steps=1)
    straight = expected if coupling != "independent" else sample.mean()
    assert distance(at_once, straight) < 0.15


def test_lipman_paths_start_from_the_noise_that_is_given(generator):
    """Also where the net works in units of the points, whose mean is another."""
    points = 8 + 0.1 * torch.randn(256, 1, generator=generator)
    marginals = Marginals((0.0, 1.0), (Gaussian(torch.zeros(1, 1)), Population.of(points)))
    chosen = method("fm")
    fit = Fit(marginals, chosen, recipe("default"), torch.full((1,), 8.0), 1.0, generator)
    path = PATH_BUILDERS["target"](fit, chosen.path, lambda _: course_coupling(fit))
    assert path.centre.item() == 0.0
