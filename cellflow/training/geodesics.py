"""The path `metric`: train a net that bends straight paths to the least energy in a metric."""

from __future__ import annotations

from itertools import pairwise

import torch

from cellflow._random import draw_seed, torch_generator
from cellflow.couplings import Coupling
from cellflow.marginals import Population
from cellflow.methods.parts import MetricSettings
from cellflow.methods.sizes import MLPSizes
from cellflow.nets import GeopathNet
from cellflow.objectives import MetricEnergy
from cellflow.paths import IntervalMetrics, LandMetric, Metric, MetricPath, RBFMetric
from cellflow.training.callbacks import EarlyStopping, ProgressBar
from cellflow.training.context import Fit
from cellflow.training.trainer import Callback, Trainer

#: Largest dimension for which `land` is the default metric.
_LAND_DIMS = 10

#: Pairs whose straight paths set the unit of the energy.
_REFERENCE_PAIRS = 4096

#: Largest norm of the gradient: the energy is about 1, and the metric steep past the cells.
_CLIP = 1.0


def metric_path(fit: Fit, settings: MetricSettings, coupling: Coupling) -> MetricPath:
    """Train the geopath net on pairs of the coupling, and freeze it."""
    generator, marginals = fit.generator, fit.marginals
    metric = IntervalMetrics(
        fit.centre.new_tensor(marginals.times[:-1]),
        [_metric_between(fit, settings, *ends) for ends in pairwise(marginals.finite)],
    )
    pairs = coupling.sample(_REFERENCE_PAIRS, generator)
    changes = {
        "n_steps": settings.geopath_steps,
        "clip": _CLIP,
        "warmup": 0,
    }
    net = _geopath(fit)
    energy = MetricEnergy.relative(metric, fit.sigma, pairs, generator)
    recipe = fit.recipe.model_copy(update=changes)
    # The best weights are used, as published.
    callbacks: list[Callback] = [EarlyStopping(coupling, generator.device, patience=None)]
    if fit.progress:
        callbacks.append(ProgressBar("geopath"))
    trained = Trainer(net, coupling, energy, recipe, generator, callbacks=callbacks).run()
    return MetricPath(trained.requires_grad_(requires_grad=False), fit.sigma)


def _metric_between(
    fit: Fit, settings: MetricSettings, source: Population, target: Population
) -> Metric:
    kind = settings.metric or ("land" if source.points.shape[1] <= _LAND_DIMS else "rbf")
    if kind == "rbf":
        return RBFMetric.fit(
            torch.cat([source.points, target.points]),
            fit.generator,
            n_centres=settings.rbf_centres,
            kappa=settings.rbf_kappa,
        )
    return LandMetric.between(
        source.points,
        target.points,
        settings.land_gamma * fit.length_scale,
        fit.generator,
        rho=settings.land_rho * fit.cost_scale,
        alpha=settings.land_alpha,
    )


def _geopath(fit: Fit) -> GeopathNet:
    recipe, generator, marginals = fit.recipe, fit.generator, fit.marginals
    # Weights are made on the CPU, as those of the fields, so that they are the same everywhere.
    seed = draw_seed(generator)
    # Bends are smooth, so that points on a grid do not need a convolutional net for them.
    sizes = recipe.net if isinstance(recipe.net, MLPSizes) else MLPSizes()
    net = GeopathNet(marginals.dim, generator=torch_generator(seed), **sizes.numbers)
    net = net.to(generator.device)
    if recipe.standardise:
        net.standardise(*(each.points for each in marginals.finite))
    return net
