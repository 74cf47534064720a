"""How the path `metric` is made: a net bends straight paths to the least energy in a metric."""

from __future__ import annotations

from itertools import pairwise

import torch

from cellflow._random import draw_seed, torch_generator
from cellflow.couplings import Coupling
from cellflow.marginals import Marginals, Population
from cellflow.methods.sizes import MLPSizes
from cellflow.nets import GeopathNet
from cellflow.objectives import MetricEnergy
from cellflow.paths import IntervalMetrics, LandMetric, Metric, MetricPath, RBFMetric
from cellflow.training.build import Build
from cellflow.training.loop import minimise

#: Largest dimension of `land` where no metric is chosen.
_LAND_DIMS = 10

#: Pairs whose straight paths set the unit of the energy.
_REFERENCE_PAIRS = 4096

#: Largest norm of the gradient: the energy is about 1, and the metric steep past the cells.
_CLIP = 1.0


def metric_path(build: Build, coupling: Coupling, marginals: Marginals) -> MetricPath:
    """Train the geopath net on pairs of the coupling, and freeze it."""
    generator = build.generator
    metric = IntervalMetrics(
        build.centre.new_tensor(marginals.times[:-1]),
        [_metric_between(build, *ends) for ends in pairwise(marginals.finite)],
    )
    pairs = coupling.sample(_REFERENCE_PAIRS, generator)
    changes = {
        "n_steps": build.method.geopath_steps,
        "clip": _CLIP,
        "patience": None,
        "warmup": 0,
    }
    trained = minimise(
        _geopath(build, marginals),
        coupling,
        MetricEnergy.relative(metric, build.sigma, pairs, generator),
        build.recipe.model_copy(update=changes),
        generator,
        check=coupling,  # the best weights are kept, as published
        progress=build.progress,
        what="geopath",
    )
    return MetricPath(trained.net.requires_grad_(requires_grad=False), build.sigma)


def _metric_between(build: Build, source: Population, target: Population) -> Metric:
    method = build.method
    kind = method.metric or ("land" if source.points.shape[1] <= _LAND_DIMS else "rbf")
    if kind == "rbf":
        return RBFMetric.fit(
            torch.cat([source.points, target.points]),
            build.generator,
            n_centres=method.rbf_centres,
            kappa=method.rbf_kappa,
        )
    return LandMetric.between(
        source.points,
        target.points,
        method.land_gamma * build.scale,
        build.generator,
        rho=method.land_rho * build.cost_scale,
        alpha=method.land_alpha,
    )


def _geopath(build: Build, marginals: Marginals) -> GeopathNet:
    recipe, generator = build.recipe, build.generator
    # Weights are made on the CPU, as those of the fields, so that they are the same everywhere.
    seed = draw_seed(generator)
    # Bends are smooth; points on a grid need no net that knows of it for them.
    sizes = recipe.net if isinstance(recipe.net, MLPSizes) else MLPSizes()
    net = GeopathNet(marginals.dim, generator=torch_generator(seed), **sizes.numbers)
    net = net.to(generator.device)
    if recipe.standardise:
        net.standardise(*(each.points for each in marginals.finite))
    return net
