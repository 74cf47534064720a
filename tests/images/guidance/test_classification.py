"""Classification of noisy images against what is known in closed form."""

import math

import pytest
import torch

from cellflow._batch import Pairs
from cellflow.images.guidance.discrimination import Classification, Discrimination, guidance_levels
from cellflow.images.guidance.noisy_classifier import RatioNet, vp_time
from tests.seeds import seeded


def pairs(known, n=4000):
    """Images at 3 where the first column of `known` is 1, at -3 elsewhere."""
    generator = torch.Generator().manual_seed(0)
    known = torch.tensor(known, dtype=torch.float32).repeat(n // len(known), 1)
    x1 = (6 * known[:, :1] - 3).expand(-1, 2)
    noise = torch.randn((n, 2), generator=generator)
    ends = torch.zeros(n), torch.ones(n)
    return Pairs(noise, x1.contiguous(), *ends, c0=known, c1=known)


class Fake(RatioNet):
    """In place of what a net would say, functions of level and image."""

    def __init__(self, ratio):
        super().__init__((1, 1, 2), channels=4, multipliers=(1,), blocks=1)
        self.ratio = ratio

    def forward(self, sigma, x, condition=None):
        self.condition = condition
        return self.ratio(sigma, x)

    def classes(self, sigma, x):
        return torch.stack([self.ratio(sigma, x), torch.zeros(len(x))], dim=1)


def exact(sigma, x):
    """ln N(x; 3, sigma^2) - ln N(x; -3, sigma^2) in two dimensions."""
    return 6 * x.sum(dim=1) / sigma.square()


def test_times_have_the_density_g2_over_sigma2_of_the_variance_preserving_process():
    """Quantiles against the numerical integral of beta / (1 - exp(-B)) over [1e-5, 1]."""
    drawn = vp_time(guidance_levels(torch.zeros(200_000, dtype=torch.float64), seeded(1)))
    assert drawn.min() >= 1e-5
    assert drawn.max() <= 1 + 1e-12
    tau = torch.logspace(-5, 0, 200_001, dtype=torch.float64)
    mass = 0.1 * tau + 19.9 * tau.square() / 2
    density = (0.1 + 19.9 * tau) / -torch.expm1(-mass)
    whole = torch.cumulative_trapezoid(density, tau)
    shares = whole / whole[-1]
    for at in (0.1, 0.3, 0.5, 0.7, 0.9):
        expected = float(tau[1:][torch.searchsorted(shares, at)])
        assert float((drawn < expected).double().mean()) == pytest.approx(at, abs=0.005)


def test_a_discriminator_that_knows_nothing_has_loss_ln_2_and_is_right_half_of_the_time():
    nothing = Fake(lambda sigma, x: torch.zeros(len(x)))
    known = pairs([[1.0], [0.0]])
    assert float(Discrimination().loss(nothing, known, seeded(1))) == pytest.approx(math.log(2))
    assert float(Discrimination().accuracy(nothing, known, seeded(1))) == 0.5


def test_no_log_ratio_has_a_lower_loss_than_the_exact_one():
    known = pairs([[1.0], [0.0]], 40_000)
    losses = {
        factor: float(
            Discrimination().loss(
                Fake(lambda sigma, x, factor=factor: factor * exact(sigma, x)), known, seeded(1)
            )
        )
        for factor in (-1.0, 0.5, 0.8, 1.0, 1.25, 2.0)
    }
    assert min(losses, key=losses.__getitem__) == 1.0


def test_accuracy_is_the_share_that_is_right():
    known = pairs([[1.0], [0.0]])
    right = float(Discrimination().accuracy(Fake(exact), known, seeded(1)))
    wrong = float(Discrimination().accuracy(Fake(lambda s, x: -exact(s, x)), known, seeded(1)))
    assert right + wrong == pytest.approx(1)
    assert 0.8 < right < 1


def test_only_covariates_after_the_first_column_reach_the_net():
    net = Fake(exact)
    Discrimination().loss(net, pairs([[1.0], [0.0]]), seeded(1))
    assert net.condition is None
    net.condition_dim = 2
    Discrimination().loss(net, pairs([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]), seeded(1))
    assert net.condition[:2].tolist() == [[0.0, 1.0], [1.0, 0.0]]


def test_classes_are_told_by_their_logits():
    known = pairs([[1.0, 0.0], [0.0, 1.0]])
    right, nothing = Fake(exact), Fake(lambda sigma, x: torch.zeros(len(x)))
    assert float(Classification().loss(nothing, known, seeded(1))) == pytest.approx(math.log(2))
    assert float(Classification().loss(right, known, seeded(1))) < math.log(2)
    assert float(Classification().accuracy(right, known, seeded(1))) > 0.8


@pytest.mark.parametrize("objective", [Classification(), Discrimination()])
def test_images_of_which_nothing_is_known_cannot_be_classified(objective):
    known = pairs([[1.0], [0.0]])
    bare = Pairs(known.x0, known.x1, known.t0, known.t1)
    with pytest.raises(TypeError, match="columns of their condition"):
        objective.loss(Fake(exact), bare, seeded(1))
