"""The path `metric`: train a net that bends straight paths to the least energy in a metric."""

from __future__ import annotations

import math
from copy import deepcopy
from itertools import compress, pairwise

import torch

from cellflow._random import draw_seed, torch_generator
from cellflow.couplings import Coupling, MixtureCoupling
from cellflow.marginals import Marginals, Population
from cellflow.methods.parts import MetricSettings
from cellflow.methods.recipes import Recipe
from cellflow.methods.sizes import MLPSizes
from cellflow.nets import GeopathNet
from cellflow.objectives import MetricEnergy
from cellflow.paths import (
    IntervalMetrics,
    LandMetric,
    Metric,
    MetricPath,
    RBFMetric,
    likelihood_width,
    share_sparser,
)
from cellflow.training.callbacks import EarlyStopping, ProgressBar
from cellflow.training.context import Couple, Fit
from cellflow.training.splits import split_marginals
from cellflow.training.trainer import Callback, Trainer

#: Largest dimension for which `land` is the default metric.
_LAND_DIMS = 10

#: Pairs whose straight paths set the unit of the energy.
_REFERENCE_PAIRS = 4096

#: Pairs by whose middles it is decided whether the paths of an interval are bent.
_MIDDLES = 1024

#: Largest norm of the gradient: the energy is about 1, and the metric steep past the cells.
_CLIP = 1.0

#: Default passes through the cells.
_PASSES = 10

#: Share of the cells that the net is trained on; the others choose its weights.
_TRAIN_FRACTION = 0.9


def metric_path(fit: Fit, settings: MetricSettings, couple: Couple) -> MetricPath:
    """Train the geopath net on pairs of most cells, choose its weights by the others, freeze it."""
    generator, starts = fit.generator, fit.marginals.times[:-1]
    metrics = [_metric_between(fit, settings, *ends) for ends in pairwise(fit.marginals.finite)]
    sides = [couple(each) for each in _split_cells(fit.marginals, generator.device)]
    bent = [
        _is_bent(metric, interval, settings, generator)
        for metric, interval in zip(metrics, sides[0].components, strict=True)
    ]
    straight = tuple(start for start, bends in zip(starts, bent, strict=True) if not bends)
    net = _geopath(fit)
    if any(bent):
        coupling, unseen = (
            MixtureCoupling(list(compress(each.components, bent))) for each in sides
        )
        metric = IntervalMetrics(fit.centre.new_tensor(starts), metrics)
        ends = compress(pairwise(fit.marginals.finite), bent)
        n_cells = sum(min(map(len, each)) for each in ends)
        net = _train(fit, settings, net, metric, coupling, unseen, n_cells)
    return MetricPath(net.requires_grad_(requires_grad=False), fit.sigma, straight)


def _is_bent(
    metric: Metric, interval: Coupling, settings: MetricSettings, generator: torch.Generator
) -> bool:
    """Return whether straight paths of an interval leave the cells, or all paths are to be bent."""
    if not isinstance(metric, LandMetric) or settings.land_bends == "all":
        return True
    return share_sparser(metric, interval.sample(_MIDDLES, generator)) > 1 / 3


def _train(
    fit: Fit,
    settings: MetricSettings,
    net: GeopathNet,
    metric: IntervalMetrics,
    coupling: Coupling,
    unseen: Coupling,
    n_cells: int,
) -> GeopathNet:
    """Train the net; return it with the weights of the least energy on unseen cells.

    `n_cells` is the number of pairs of a pass through the cells.
    """
    generator = fit.generator
    pairs = coupling.sample(_REFERENCE_PAIRS, generator)
    energy = MetricEnergy.relative(metric, fit.sigma, pairs, generator)
    stopping = EarlyStopping(unseen, generator.device, patience=None)
    straight, straight_loss = deepcopy(net), stopping.unseen_loss(energy, net)
    callbacks: list[Callback] = [stopping]
    if fit.progress:
        callbacks.append(ProgressBar("geopath"))
    recipe = _recipe(fit, settings, n_cells)
    trained = Trainer(net, coupling, energy, recipe, generator, callbacks=callbacks).run()
    # Where cells are few, bent paths may follow the cells that they were trained on.
    better = stopping.unseen_loss(energy, trained) < straight_loss
    return trained if better else straight.eval()


def _recipe(fit: Fit, settings: MetricSettings, n_cells: int) -> Recipe:
    """Return the recipe of the flow with the optimisation of the geopath net."""
    steps = math.ceil(_PASSES * _TRAIN_FRACTION * n_cells / fit.recipe.batch_size)
    changes = {
        "n_steps": settings.geopath_steps or steps,
        "learning_rate": settings.geopath_learning_rate,
        "schedule": "constant",
        "warmup": 0,
        "ema_decay": 0.0,
        "ema_halflife": None,
        "clip": _CLIP,
    }
    return fit.recipe.model_copy(update=changes)


def _split_cells(marginals: Marginals, device: torch.device) -> tuple[Marginals, Marginals]:
    """Split off a tenth of the cells of each time; if that leaves a group out, return all twice."""
    whole = marginals, marginals
    if min(map(len, marginals.finite)) < 2:
        return whole
    split = split_marginals(marginals, _TRAIN_FRACTION, device)
    for side in split:
        for ends in zip(marginals.finite, side.finite, strict=True):
            if len({_labels(each) for each in ends}) > 1:
                return whole
    return split


def _labels(population: Population) -> frozenset[int]:
    label = population.label
    return frozenset() if label is None else frozenset(label.tolist())


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
    ends = source.points, target.points
    gamma = (
        likelihood_width(*ends, fit.generator)
        if settings.land_gamma is None
        else settings.land_gamma * fit.length_scale
    )
    return LandMetric.between(
        *ends,
        gamma,
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
