"""Flows whose velocity is written down, so that what they do is known."""

import numpy as np
import pandas as pd
import torch
from anndata import AnnData

import cellflow as cf
from cellflow.flow import FitRecord, Flow, Inputs
from cellflow.io import time_points_of
from cellflow.marginals import TimeAxis
from cellflow.nets import Fields
from cellflow.representation import RepresentationSettings, fit_representation, to_context


class Known(Fields):
    """Fields that are functions of (t, x)."""

    def __init__(self, dim, **fields):
        super().__init__(dict(Fields.make(tuple(fields), (dim,), width=4, depth=1).nets.items()))
        self.fields = fields

    def velocity(self, t, x, condition=None):
        return self.fields["velocity"](t, x)

    def growth(self, t, x, condition=None):
        return self.fields["growth"](t, x)

    def score(self, t, x, condition=None):
        return self.fields["score"](t, x)


def flow_of(adata, nets, *, method="ot-cfm", diffusion=0.0, wfr_length_scale=None, **inputs):
    """A flow on `X_pca` with one unit of flow time an interval."""
    points = time_points_of(adata)
    representation = fit_representation(adata, RepresentationSettings(use_rep="X_pca"))
    return Flow(
        nets,
        TimeAxis("index", points.times),
        cf.method(method),
        cf.recipe("default"),
        inputs=Inputs(**inputs),
        record=FitRecord(diffusion=diffusion, wfr_length_scale=wfr_length_scale),
        context=to_context(representation, conditions=[]),
    )


def known_flow(adata, velocity, *, method="ot-cfm", diffusion=0.0, **fields):
    dim = adata.obsm["X_pca"].shape[1]
    nets = Known(dim, velocity=velocity, **fields)
    return flow_of(adata, nets, method=method, diffusion=diffusion)


def constant_flow(adata, speed):
    """A net whose weights are zero, so that its velocity is its last bias."""
    nets = Fields.make(("velocity",), (adata.obsm["X_pca"].shape[1],), width=4, depth=1)
    with torch.no_grad():
        for weights in nets.parameters():
            weights.zero_()
        list(nets.parameters())[-1].copy_(torch.tensor(speed))
    return flow_of(adata, nets)


def to_the_right(t, x):
    """One unit along the first axis in a unit of flow time."""
    return torch.eye(x.shape[1])[0].expand_as(x)


def forking(t, x):
    """To the right, and away from the axis: up above it, down below, along it on it."""
    return torch.stack([torch.ones(len(x)), torch.tanh(20 * x[:, 1])], dim=1)


def course_of(points, times, **obs):
    """Cells at points, shape (n, 2), with their times."""
    names = [f"c{k}" for k in range(len(points))]
    table = pd.DataFrame({"day": np.asarray(times, dtype=float), **obs}, index=names)
    return AnnData(obs=table, obsm={"X_pca": np.asarray(points, dtype=np.float64)})


def fork():
    """A row of nine cells that forks, at days 0, 1 and 2; groups at the last day."""
    heights = np.linspace(-1, 1, 9)
    ends = np.concatenate([2 + heights[5:], -2 - heights[5:]])
    points = [*((0, y) for y in heights), *((1, y + np.sign(y)) for y in heights if y),
              *((2, y + np.sign(y)) for y in ends)]  # fmt: skip
    days = [0] * 9 + [1] * 8 + [2] * 8
    names = ["start"] * 9 + ["way"] * 8 + ["up"] * 4 + ["down"] * 4
    return course_of(points, days, fate=pd.Categorical(names, ["start", "way", "up", "down"]))
