"""Hold velocities, growth rates, pseudotimes and uncertainties against simulated truth.

    python scripts/measure_answers.py FOLDER [--seeds 200 ...] [--kinds KIND ...] [--n-cells N]
        [--flows N]

Courses of `cf.datasets.simulate_course`; the default seeds had no part in any choice. Writes
FOLDER/answers.csv, a row for each course, and prints the means over seeds. Flows that are in FOLDER
are read, so a stopped run goes on.

The truth is a latent state, the answers are points of a representation. The expected point of a
state is known: programs give the log-expression of each gene, the negative binomial the expected
logarithm of its normalised count, and the representation is linear in these. The true velocity of a
cell is the change of its expected point over a small step of its true latent velocity. Nuisance
coordinates and cycles have no direction in a population that does not change along them; `course`
is the velocity of progress and branch alone, `all` has everything.
"""

from __future__ import annotations

import argparse
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import scanpy as sc
from anndata import AnnData
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline
from scipy.special import logsumexp
from scipy.stats import chi, nbinom, spearmanr
from sklearn.neighbors import NearestNeighbors

import cellflow as cf
from cellflow.datasets._branching_process import BranchingProcess, Latents
from cellflow.datasets._course_settings import make_process
from cellflow.datasets._measurement import evaluate_programs
from cellflow.tl._time_course import TimeCourse
from cellflow.tl._transition_estimators import make_estimator

Array = NDArray[np.float64]

#: Settings of `cf.datasets.simulate_course` beside its defaults.
KINDS: dict[str, dict[str, object]] = {
    "late": {},
    "three fates": {"fates": {"A": 0.5, "B": 0.3, "C": 0.2}, "commitment": "early"},
    "growth by fate": {"growth": {"progenitor": 0.1, "A": 0.3, "B": -0.2}},
    "out of step": {"asynchrony": 0.25},
    "cycle": {"cycle": True},
}

#: Step of the numerical derivative, in units of the duration.
_STEP = 1e-3
#: What of a latent state moves.
_SHIFTED = ("progress", "branch", "propensity", "nuisance")
#: Continuations of each cell, and the level of coverage.
_CONTINUATIONS, _LEVEL = 40, 0.9


@dataclass(frozen=True)
class Truth:
    """True states of a course, and their expected points in its representation."""

    process: BranchingProcess
    cells: Latents
    orbit: Array
    elapsed: Array
    to_points: Callable[[Latents, Array], Array]

    @classmethod
    def read(cls, adata: AnnData) -> Truth:
        """Read the states and the map from states to points that a course and its PCA record."""
        record = adata.uns["cellflow"]["simulation"]
        pca = adata.uns["cellflow"]["representations"]["X_cellflow"]
        process = read_process(record)
        cells, orbit = split(adata.obsm["true_latent"], len(record["fates"]))
        rows = adata.var_names.get_indexer(pca["genes"])
        settings = record["settings"]
        total = float(adata.X.sum(axis=1).mean())
        expect = expected_logarithm(
            settings["noise"], settings["dropout"], pca["target_sum"] / total
        )

        def to_points(latents: Latents, cycle: Array) -> Array:
            log_mean = evaluate_programs(process, latents, cycle) @ adata.varm["true_loadings"].T
            log_mean += adata.var["true_baseline"].to_numpy()
            log_mean += np.log(settings["depth"]) - logsumexp(log_mean, axis=1, keepdims=True)
            scaled = (expect(log_mean[:, rows]) - pca["mean"]) / pca["scale"]
            return np.asarray((scaled @ pca["loadings"] - pca["centre"]) / pca["spread"])

        elapsed = adata.obs["time"].to_numpy(float) - record["times"][0]
        return cls(process, cells, orbit, elapsed, to_points)

    def explained(self, points: Array) -> float:
        """Return the share of the variance of points that the expected points explain."""
        left = points - self.to_points(self.cells, self.orbit)
        return float(1 - (left**2).sum() / ((points - points.mean(axis=0)) ** 2).sum())

    def velocity(self, latent_velocity: Array, *, course_only: bool) -> Array:
        """Return true velocities in the representation, per unit of time."""
        dt = _STEP * self.process.duration
        step, turn = split(latent_velocity * dt, len(self.process.shares))
        if course_only:
            step = step._replace(propensity=0 * step.propensity, nuisance=0 * step.nuisance)
            turn = 0 * turn
        shifted = {name: getattr(self.cells, name) + getattr(step, name) for name in _SHIFTED}
        moved = step._replace(**shifted)
        ahead = self.to_points(moved, self.orbit + turn)
        return (ahead - self.to_points(self.cells, self.orbit)) / dt

    def continue_cells(self, rng: np.random.Generator) -> tuple[Latents, Array]:
        """Draw states of a descendant of each cell at the last time, and their masses."""
        p, cells = self.process, self.cells
        left = np.maximum(p.duration - self.elapsed, 1e-12)
        step = rng.gamma(left / p.clock_variance, p.clock_variance)
        keep, short = np.exp(-step / p.memory), np.exp(-step / p.branch_memory)
        n, k = len(step), len(p.shares)
        cdf = np.cumsum(p.fate_given_state(cells), axis=1)
        fate = np.minimum((rng.random(n)[:, None] > cdf).sum(axis=1), k - 1)
        rows = np.arange(n)

        def centre(s: Array) -> Array:
            return p.opening(s)[rows, fate][:, None] * p.directions[fate]

        def relax(values: Array, rate: Array, size: float) -> Array:
            noise = size * np.sqrt(1 - rate**2)
            return rate * values + noise * rng.standard_normal(values.shape)

        off = cells.branch - centre(cells.progress)
        progress = cells.progress + step
        masses = p.log_mass(progress) - p.log_mass(cells.progress)
        then = Latents(
            progress,
            centre(progress) + relax(off, short[:, None], p.branch_noise),
            relax(cells.propensity, keep, 1.0),
            relax(cells.nuisance, keep[:, None], 1.0),
            fate,
        )
        return then, np.exp(masses[rows, fate])


def expected_logarithm(noise: float, dropout: float, scale: float) -> Callable[[Array], Array]:
    """Return the function from the log of a mean count to the expected log1p(scale * count)."""
    grid = np.linspace(-9, 8, 120)
    means = np.exp(grid)
    counts = np.unique(np.concatenate([np.arange(200), np.geomspace(200, 60_000, 800).astype(int)]))
    # Probability of the counts up to each one, given to the larger end of its step.
    cdf = nbinom.cdf(counts, 1 / noise, 1 / (1 + noise * means[:, None]))
    mass = np.diff(cdf, axis=1, prepend=0)
    values = (mass * np.log1p(scale * counts)).sum(axis=1) * (1 - dropout / (1 + means))
    return CubicSpline(grid, values)


def main() -> None:
    """Measure all courses and print the means over seeds."""
    options = _arguments()
    folder = Path(options.folder)
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for seed in options.seeds:
        for kind in options.kinds:
            begin = time.perf_counter()
            place = folder / f"{kind.replace(' ', '-')}-{seed}-{options.n_cells}"
            scores = measure(kind, seed, options.n_cells, options.flows, place)
            seconds = time.perf_counter() - begin
            rows.append({"kind": kind, "seed": seed, **scores, "seconds": seconds})
            print(f"{kind}, seed {seed}: {seconds:.0f} s", flush=True)
            pd.DataFrame(rows).to_csv(folder / "answers.csv", index=False)
    means = pd.DataFrame(rows).drop(columns="seed").groupby("kind", sort=False).mean().T
    means["mean"] = means.mean(axis=1)
    print(means.round(2).to_string())


def measure(kind: str, seed: int, n_cells: int, n_flows: int, place: Path) -> dict[str, float]:
    """Simulate a course, fit flows and return all scores."""
    settings = {"n_cells": n_cells, "n_genes": 500, "rng": seed, **KINDS[kind]}
    adata = cf.datasets.simulate_course(**settings)
    cf.pp.time_points(adata, "time")
    cf.pp.embed(adata)
    truth = Truth.read(adata)
    flows = [fit(adata, place / f"default-{at}", at) for at in range(n_flows)]
    return {
        "expected points explain": truth.explained(adata.obsm["X_cellflow"]),
        **score_velocity(adata, flows[0], truth),
        **score_pseudotime(adata, flows[0]),
        **score_growth(adata, flows[0], "default"),
        **(score_growth_by_counts(adata, settings, place) if "growth" in settings else {}),
        **score_arrivals(adata, flows, truth),
        **score_sure_fates(adata, flows),
    }


def fit(adata: AnnData, path: Path, seed: int, **changes: object) -> cf.Flow:
    """Return the flow of a folder, fitted by the default method unless it is there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        method = cf.method("default", **changes)
        cf.tl.fit(adata, time_key="time", method=method, rng=seed, progress=False).save(path)
    return cf.Flow.load(path)


def score_velocity(adata: AnnData, flow: cf.Flow, truth: Truth) -> dict[str, float]:
    """Return cosines and ratios of lengths; the rival is the shift of the mean."""
    rival = shift_of_means(adata.obsm["X_cellflow"].astype(float), truth.elapsed)
    answers = {"shift of means": rival}
    for name, settings in (("default", {}), ("of the cell alone", {"n_smooth": 1})):
        cf.tl.velocity(adata, flow, **settings)
        answers[name] = adata.obsm["velocity_cellflow"].astype(float)
    scores = {}
    for name, course_only in (("course", True), ("all", False)):
        true = truth.velocity(adata.obsm["true_velocity"], course_only=course_only)
        for who, found in answers.items():
            scores[f"velocity cosine, {name}, {who}"] = float(np.mean(cosine(true, found)))
            ratio = np.linalg.norm(found, axis=1) / np.linalg.norm(true, axis=1)
            scores[f"velocity length ratio, {name}, {who}"] = float(np.median(ratio))
    return scores


def shift_of_means(points: Array, elapsed: Array) -> Array:
    """Return for each cell the rate at which the mean of its population moves."""
    times = np.unique(elapsed)
    means = np.array([points[elapsed == t].mean(axis=0) for t in times])
    rates = np.diff(means, axis=0) / np.diff(times)[:, None]
    padded = np.concatenate([rates[:1], rates, rates[-1:]])
    return ((padded[1:] + padded[:-1]) / 2)[np.searchsorted(times, elapsed)]


def score_pseudotime(adata: AnnData, flow: cf.Flow) -> dict[str, float]:
    """Return rank correlations with progress within times, means over the times."""
    cf.tl.pseudotime(adata, flow)
    times, points = adata.obs["time"].to_numpy(float), adata.obsm["X_cellflow"]
    near = NearestNeighbors(n_neighbors=31).fit(points).kneighbors(points)[1][:, 1:]
    first = times == times.min()
    centre = points[first].mean(axis=0)
    diffusion = adata.copy()
    sc.pp.neighbors(diffusion, use_rep="X_cellflow")
    sc.tl.diffmap(diffusion)
    root = np.flatnonzero(first)[((points[first] - centre) ** 2).sum(axis=1).argmin()]
    diffusion.uns["iroot"] = root
    sc.tl.dpt(diffusion)
    orders = {
        "flow": adata.obs["cellflow_pseudotime"],
        "times of neighbours": times[near].mean(axis=1),
        "diffusion": diffusion.obs["dpt_pseudotime"],
        "first component": points[:, 0] * np.sign(np.corrcoef(points[:, 0], times)[0, 1]),
    }
    progress = adata.obs["true_progress"].to_numpy()
    found = {
        f"pseudotime rank correlation, {who}": within_times(np.asarray(order), progress, times)
        for who, order in orders.items()
    }
    elapsed = times - times.min()
    for who, order in (("flow", orders["flow"] - times.min()), ("time of measurement", elapsed)):
        found[f"pseudotime error, {who}"] = float(np.sqrt(np.mean((order - progress) ** 2)))
    return found


def score_growth(adata: AnnData, flow: cf.Flow, name: str) -> dict[str, float]:
    """Return rank correlations with the true rates, of all cells and within times."""
    cf.tl.growth(adata, flow)
    true, found = (adata.obs[key].to_numpy() for key in ("true_growth_rate", "cellflow_growth"))
    inner = within_times(found, true, adata.obs["time"].to_numpy(float))
    return {
        f"growth rank correlation, {name}, all": float(spearmanr(true, found)[0]),
        f"growth rank correlation, {name}, within times": inner,
    }


def score_growth_by_counts(
    adata: AnnData, settings: dict[str, object], place: Path
) -> dict[str, float]:
    """Score growth learned from numbers of cells, where these are those of the population."""
    sizes = adata.uns["cellflow"]["simulation"]["population_size"]
    numbers = np.round(adata.n_obs * sizes / sizes.sum()).astype(int)
    grown = cf.datasets.simulate_course(**{**settings, "n_cells": numbers})
    cf.pp.time_points(grown, "time")
    cf.pp.embed(grown)
    return score_growth(grown, fit(grown, place / "counts", 0, growth="counts"), "counts")


def score_arrivals(adata: AnnData, flows: list[cf.Flow], truth: Truth) -> dict[str, float]:
    """Return how often the true descendants are where they are expected at the last time.

    If arrivals of n seeds were draws around the true one, alike in all directions, the mean
    descendant would be within `ball` of their mean with probability 0.9. Single descendants have
    the noise of counting: what the expected points leave of a random cell of the last time.
    """
    cf.tl.uncertainty(adata, flows)
    points, spread = adata.obsm["X_cellflow"], read_spread(adata)
    told = adata.obs["cellflow_uncertainty"].to_numpy() * spread
    arrivals = np.mean([move_to_end(adata, flow) for flow in flows], axis=0)
    n, d = len(flows), arrivals.shape[1]
    ball = told * np.sqrt((n + 1) / (n - 1)) * chi.ppf(_LEVEL, d) / chi.mean(d)
    radius = adata.obs["cellflow_radius"].to_numpy() * spread
    last = truth.elapsed == truth.elapsed.max()
    centres = mean_descendants(adata, flows[0])
    noise = (points - truth.to_points(truth.cells, truth.orbit))[last]
    rng = np.random.default_rng(0)
    total, inside, mass = np.zeros_like(arrivals), np.zeros(adata.n_obs), np.zeros(adata.n_obs)
    for _ in range(_CONTINUATIONS):
        then, weight = truth.continue_cells(rng)
        expected = truth.to_points(then, truth.orbit)
        one = expected + noise[rng.integers(len(noise), size=adata.n_obs)]
        inside += weight * (np.linalg.norm(one - centres, axis=1) < radius)
        total, mass = total + weight[:, None] * expected, mass + weight
    error = np.linalg.norm(total / mass[:, None] - arrivals, axis=1)
    inside /= mass
    covered = [inside[truth.elapsed == at].mean() for at in np.unique(truth.elapsed[~last])]
    return {
        "arrivals, disagreement of seeds": float(np.median(told[~last]) / spread),
        "arrivals, error of their mean": float(np.median(error[~last]) / spread),
        "arrivals, rank correlation of both": float(spearmanr(told[~last], error[~last])[0]),
        "arrivals, covered at 0.9 by seeds": float((error < ball)[~last].mean()),
        "descendants, covered at 0.9 by radius": float(inside[~last].mean()),
        "descendants, covered, worst time": min(covered, key=lambda share: -abs(share - _LEVEL)),
        "descendants, radius": float(np.median(radius[~last]) / spread),
    }


def read_spread(adata: AnnData) -> float:
    """Return the spread that uncertainties are in units of."""
    return float(adata.uns["cellflow"]["cellflow_uncertainty"]["spread"])


def mean_descendants(adata: AnnData, flow: cf.Flow) -> Array:
    """Return the mean of the predicted descendants of each cell at the last time."""
    course = TimeCourse.read(adata, flow, "time")
    by = inspect.signature(cf.tl.uncertainty).parameters["by"].default
    estimator = make_estimator(course, by, n_neighbors=20, n_samples=None, seed=0)
    found = np.array(adata.obsm["X_cellflow"], dtype=float)
    there = course.rows_at(course.times[-1])
    origins = [course.rows_at(at) for at in reversed(course.times[:-1])]
    ends = np.hstack([found[there], np.ones((len(there), 1))])
    for rows, values in zip(origins, estimator.descend(origins, there, ends), strict=True):
        found[rows] = values[:, :-1] / values[:, -1:]
    return found


def move_to_end(adata: AnnData, flow: cf.Flow) -> Array:
    """Return where the flow takes each cell by the last time."""
    course = TimeCourse.read(adata, flow, "time")
    found = np.empty_like(adata.obsm["X_cellflow"], dtype=float)
    for at in course.times:
        rows = course.rows_at(at)
        found[rows] = flow.push(course.read_cells(rows).x, at, course.times[-1]).numpy()
    return found


def score_sure_fates(adata: AnnData, flows: list[cf.Flow]) -> dict[str, float]:
    """Return the share of progenitors whose fate is called sure, and the share of these right.

    By the flows all seeds must be sure of the same fate.
    """
    before = (adata.obs["time"] < adata.obs["time"].max()).to_numpy()
    undecided = before & (adata.obs["state"] == "progenitor").to_numpy()
    true = adata.obs["true_fate"].astype(str).to_numpy()[undecided]
    scores = {
        "always the commonest fate, right": float(np.unique(true, return_counts=True)[1].max())
    }
    scores["always the commonest fate, right"] /= len(true)
    for who, settings in (("by flow", {"by": "flow"}), ("by default", {})):
        given = []
        for flow in flows:
            cf.tl.fates(adata, flow, "fate", **settings)
            given.append(np.nan_to_num(adata.obsm["fate_probabilities"][undecided]))
        names = np.array(adata.uns["cellflow"]["fate_probabilities"]["names"])
        sure = np.min(given, axis=0)
        called = sure.max(axis=1) > _LEVEL
        right = names[sure.argmax(axis=1)] == true
        scores[f"sure fates {who}, share"] = float(called.mean())
        scores[f"sure fates {who}, right"] = float(right[called].mean()) if called.any() else np.nan
    return scores


def cosine(a: Array, b: Array) -> Array:
    """Return the cosine of each row with the row of the other."""
    norms = np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1)
    return np.asarray((a * b).sum(axis=1) / np.maximum(norms, 1e-12))


def within_times(found: Array, true: Array, times: Array) -> float:
    """Return the mean over times of the rank correlation among the cells of one."""
    parts = [spearmanr(found[times == t], true[times == t])[0] for t in np.unique(times)]
    return float(np.nanmean(parts))


def read_process(record: dict[str, Any]) -> BranchingProcess:
    """Return the process that a course was sampled from."""
    names = [str(name) for name in record["fates"]]
    opens_at = np.asarray(record["opens_at"])
    settings = record["settings"]
    commitment = settings["commitment"]
    rates = [record["growth_progenitor"], *record["growth"]]
    return make_process(
        record["times"],
        dict(zip(names, record["shares"], strict=True)),
        commitment=commitment if commitment == "start" else opens_at.min(),
        predictability=settings["predictability"],
        delays=dict(zip(names, opens_at - opens_at.min(), strict=True)),
        asynchrony=settings["asynchrony"],
        growth=dict(zip(["progenitor", *names], rates, strict=True)),
    )


def split(latent: Array, n_fates: int) -> tuple[Latents, Array]:
    """Return the states that rows of `obsm["true_latent"]` hold, and the cycle."""
    latent = np.asarray(latent, dtype=float)
    at = 1 + n_fates - 1
    nuisance = latent[:, at + 1 : at + 4]
    fate = np.zeros(len(latent), dtype=np.int64)
    return Latents(latent[:, 0], latent[:, 1:at], latent[:, at], nuisance, fate), latent[
        :, at + 4 :
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--seeds", type=int, nargs="+", default=[200])
    parser.add_argument("--kinds", nargs="+", choices=list(KINDS), default=list(KINDS))
    parser.add_argument("--n-cells", type=int, default=2000)
    parser.add_argument("--flows", type=int, default=3)
    return parser.parse_args()


if __name__ == "__main__":
    main()
