"""The parts that methods are made of, with their sources, and which go together."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """A coupling, a path, an objective or a way of growth.

    Attributes
    ----------
    summary
        What it is.
    source
        Where it comes from.
    paths
        For couplings: the paths that its pairs can take.
    objectives
        For paths: the objectives that can be learned on it.
    sees_costs, sees_clones
        For couplings: whether costs may be taken on other coordinates, and be lower in a clone.
    any_cost
        For couplings: whether costs may be other than squared distances.
    takes_noise
        For couplings and paths: whether the source may be noise instead of points.
    by_row
        For couplings: whether partners are looked up among the points as they are stored, so that
        nothing can be changed at random when they are drawn.
    """

    summary: str
    source: str
    paths: tuple[str, ...] = ()
    objectives: tuple[str, ...] = ()
    sees_costs: bool = True
    sees_clones: bool = True
    any_cost: bool = False
    takes_noise: bool = False
    by_row: bool = False


_CFM = "Tong et al. 2024, arXiv 2302.00482"
_POINTWISE = ("straight", "vp", "bridge", "metric")

COUPLINGS = {
    "ot": Part(
        "exact optimal transport between minibatches",
        _CFM,
        paths=_POINTWISE,
        any_cost=True,
        takes_noise=True,
    ),
    "independent": Part(
        "source and target drawn apart",
        _CFM,
        paths=(*_POINTWISE, "target"),
        sees_costs=False,
        sees_clones=False,
        takes_noise=True,
    ),
    "entropic": Part(
        "entropic transport between minibatches, epsilon = 2 sigma^2 T: the Schrödinger bridge's",
        _CFM,
        paths=_POINTWISE,
        takes_noise=True,
    ),
    "unbalanced": Part(
        "entropic transport between minibatches with soft marginals",
        "Eyring et al. 2024, arXiv 2311.15100",
        paths=_POINTWISE,
        takes_noise=True,
    ),
    "partial": Part(
        "transport of a share of the mass between minibatches",
        "Caffarelli and McCann 2010",
        paths=_POINTWISE,
        any_cost=True,
        takes_noise=True,
    ),
    "exact-full": Part(
        "exact optimal transport between all cells, once",
        "Bonneel et al. 2011",
        paths=_POINTWISE,
        any_cost=True,
        by_row=True,
    ),
    "blockwise": Part(
        "exact optimal transport inside large random blocks of cells, once",
        "Fatras et al. 2020",
        paths=_POINTWISE,
        any_cost=True,
        by_row=True,
    ),
    "low-rank": Part(
        "low-rank optimal transport between all cells, once",
        "Scetbon et al. 2021, arXiv 2103.04737",
        paths=_POINTWISE,
        sees_clones=False,
        by_row=True,
    ),
    "semidiscrete": Part(
        "optimal transport of the source law to all target cells by one potential each",
        "Mousavi-Hosseini et al. 2025, arXiv 2509.25519",
        paths=_POINTWISE,
        sees_clones=False,
        takes_noise=True,
        by_row=True,
    ),
    "wfr": Part(
        "unbalanced transport with the Wasserstein-Fisher-Rao cost, mass at both ends",
        "Peng et al. 2026, arXiv 2601.06810",
        paths=("wfr",),
        sees_costs=False,
        sees_clones=False,
        by_row=True,
    ),
    "acceleration": Part(
        "transport between minibatches that bends a fitted flow least",
        "Yue et al. 2025, arXiv 2509.24936",
        paths=_POINTWISE,
        sees_costs=False,
        sees_clones=False,
        takes_noise=True,
    ),
    "auto": Part(
        "exact-full where the plan is cheap, ot elsewhere",
        "this package",
        paths=_POINTWISE,
        any_cost=True,
        by_row=True,
    ),
}

_VELOCITIES = ("velocity", "growth", "mean-flow")

PATHS = {
    "straight": Part(
        "straight lines with constant noise",
        _CFM,
        objectives=(*_VELOCITIES, "oat", "edm"),
        takes_noise=True,
    ),
    "target": Part(
        "from noise to the cells of the later time",
        "Lipman et al. 2023, arXiv 2210.02747",
        objectives=("velocity", "mean-flow"),
        takes_noise=True,
    ),
    "vp": Part(
        "trigonometric, keeps the variance of independent ends",
        "Albergo and Vanden-Eijnden 2023, arXiv 2209.15571",
        objectives=_VELOCITIES,
        takes_noise=True,
    ),
    "bridge": Part(
        "Brownian bridges",
        _CFM,
        objectives=("velocity", "velocity-score", "growth", "mean-flow"),
        takes_noise=True,
    ),
    "metric": Part(
        "learned geodesics through the data",
        "Kapuśniak et al. 2024, arXiv 2405.14780",
        objectives=_VELOCITIES,
    ),
    "wfr": Part(
        "travelling Dirac masses", "Peng et al. 2026, arXiv 2601.06810", objectives=("growth",)
    ),
}

OBJECTIVES = {
    "velocity": Part("regression on velocities", _CFM),
    "velocity-score": Part(
        "velocity and score, for simulation with noise", "Tong et al. 2024, arXiv 2307.03672"
    ),
    "growth": Part("velocity and growth rate", "Peng et al. 2026, arXiv 2601.06810"),
    "mean-flow": Part(
        "average velocities, which predict in one step", "Geng et al. 2025, arXiv 2505.13447"
    ),
    "oat": Part(
        "fine-tuning of a flow fitted before towards the least acceleration",
        "Yue et al. 2025, arXiv 2509.24936",
    ),
    "edm": Part(
        "denoising at log-normal levels of noise; from noise only",
        "Karras et al. 2022, arXiv 2206.00364",
    ),
}

GROWTH = {
    "none": Part("mass is kept", ""),
    "gene-sets": Part(
        "rates from proliferation and apoptosis genes", "Schiebinger et al. 2019 (the idea)"
    ),
    "learned": Part("rates from unbalanced transport", "Peng et al. 2026, arXiv 2601.06810"),
    "rising": Part("as learned, but fewer cells than before are taken for fewer captured", ""),
    "relative": Part("as learned, whatever the numbers of cells at each time", ""),
}

#: Growth that coupling `wfr` learns: least and largest growth of a population in an interval,
#: between which its numbers of cells are taken at their word.
WFR_GROWTH = {"learned": (0.0, math.inf), "rising": (1.0, math.inf), "relative": (1.0, 1.0)}
