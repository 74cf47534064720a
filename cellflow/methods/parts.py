"""Parts of methods: couplings, paths and objectives, each with its settings and what it requires.

A part is a pydantic model: its fields are what a user may set, its class variables are facts that
hold for every setting. The dictionaries at the end name all parts; a script may add its own.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
)

from cellflow.methods.validation import StrictSettings

_CFM = "Tong et al. 2024, arXiv 2302.00482"
_OT_CFM_UNBALANCED = "Eyring et al. 2024, arXiv 2311.15100"
_MFM = "Kapuśniak et al. 2024, arXiv 2405.14780"
_OAT = "Yue et al. 2025, arXiv 2509.24936"
_WFR_FM = "Peng et al. 2026, arXiv 2601.06810"
_EDM = "Karras et al. 2022, arXiv 2206.00364"


def _path_to_str(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


class PartSettings(StrictSettings):
    """Settings of one part of a method.

    Attributes
    ----------
    kind
        `coupling`, `path` or `objective`.
    summary, source
        One line on what it is, and the paper.
    name
        The name that users choose it by.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: ClassVar[str]
    summary: ClassVar[str]
    source: ClassVar[str]

    name: str

    @classmethod
    def setting_names(cls) -> tuple[str, ...]:
        """Return the names of its settings."""
        return tuple(name for name in cls.model_fields if name != "name")

    @property
    def given(self) -> dict[str, Any]:
        """Settings that were given, in contrast to those that have their defaults."""
        return {name: getattr(self, name) for name in sorted(self.model_fields_set - {"name"})}


class CouplingSettings(PartSettings):
    """Settings of a coupling, which pairs points of consecutive times.

    Attributes
    ----------
    sees_features, sees_clones, sees_transitions, sees_conditions
        Whether costs may be taken on other coordinates (`cost_rep`), be lower within a clone, be
        higher for transitions that are not allowed (`allowed_transitions`), and grow with the
        distance of numeric conditions.
    takes_noise
        Whether the source may be noise instead of points.
    looks_up_rows
        Whether partners are looked up among the points as they are stored, so that nothing can
        be changed at random when they are drawn.
    draws_apart
        Whether source and target are independent.
    mass
        Law by which the mass of a pair changes: `kept` unless cells have growth rates, or, between
        masses that the coupling gives, `exponential` or `geodesic` (Wasserstein-Fisher-Rao).
    needs_prior
        Whether it requires a fitted flow, whose velocities at both ends its pairs have.
    """

    kind: ClassVar[str] = "coupling"
    sees_features: ClassVar[bool] = False
    sees_clones: ClassVar[bool] = False
    sees_transitions: ClassVar[bool] = False
    sees_conditions: ClassVar[bool] = False
    takes_noise: ClassVar[bool] = False
    looks_up_rows: ClassVar[bool] = False
    draws_apart: ClassVar[bool] = False
    mass: ClassVar[Literal["kept", "exponential", "geodesic"]] = "kept"
    needs_prior: ClassVar[bool] = False

    @property
    def changes_mass(self) -> bool:
        """Whether the coupling gives pairs masses at both ends."""
        return self.mass != "kept"

    @property
    def epsilon_from_sigma(self) -> bool:
        """Whether the strength of the entropy follows from the noise of the path."""
        return False


class ConditionCostSettings(CouplingSettings):
    """Settings of couplings whose costs grow with the distance of continuous conditions.

    Attributes
    ----------
    condition_weight
        Weight of squared distances of continuous conditions in costs; 0 lets pairs mix them.
        Of cells these are numbers of `condition_keys` that are not coupled within each value, as
        ranks from 0 to 1, in units of the variance of the cells at one time; None is 800. Of images
        they are low resolutions, in units of squared distances of points; None balances the cost of
        the nearest other condition and the gain of the best partner (`balanced_weight`).
    """

    sees_conditions: ClassVar[bool] = True

    condition_weight: NonNegativeFloat | None = None


class FeatureCostSettings(ConditionCostSettings):
    """Settings of couplings whose costs may be taken on other coordinates."""

    sees_features: ClassVar[bool] = True


class CloneCostSettings(FeatureCostSettings):
    """Settings of couplings whose costs know of clonal relatives and of transitions of groups.

    Attributes
    ----------
    lineage_strength
        Share of the cost that cells of one clone are spared, where clones are given.
    transition_penalty
        Cost that is added to pairs of cells whose transition is not allowed, where transitions are
        given (`allowed_transitions`), in units of the variance of the cells at one time.
    """

    sees_clones: ClassVar[bool] = True
    sees_transitions: ClassVar[bool] = True

    lineage_strength: float = Field(default=0.5, ge=0, le=1)
    transition_penalty: NonNegativeFloat = 16.0


class GroundCostSettings(CloneCostSettings):
    """Settings of couplings that minimise any ground cost.

    Attributes
    ----------
    cost
        `squared` distances, or distances, `euclidean`.
    """

    cost: Literal["squared", "euclidean"] = "squared"


class OTSettings(GroundCostSettings):
    """Settings of `ot`."""

    summary: ClassVar[str] = "exact optimal transport between minibatches"
    source: ClassVar[str] = _CFM
    takes_noise: ClassVar[bool] = True

    name: Literal["ot"] = "ot"


class IndependentSettings(CouplingSettings):
    """Settings of `independent`."""

    summary: ClassVar[str] = "source and target drawn apart"
    source: ClassVar[str] = _CFM
    takes_noise: ClassVar[bool] = True
    draws_apart: ClassVar[bool] = True

    name: Literal["independent"] = "independent"


class EntropicSettings(CloneCostSettings):
    """Settings of `entropic`.

    Attributes
    ----------
    epsilon
        Strength of the entropy; None uses 2 sigma^2 times the length of the interval (not with
        `cost_rep`).
    """

    summary: ClassVar[str] = (
        "entropic transport between minibatches, epsilon = 2 sigma^2 T: the Schrödinger bridge's"
    )
    source: ClassVar[str] = _CFM
    takes_noise: ClassVar[bool] = True

    name: Literal["entropic"] = "entropic"
    epsilon: PositiveFloat | None = None

    @property
    def epsilon_from_sigma(self) -> bool:
        """Whether the strength of the entropy follows from the noise of the path."""
        return self.epsilon is None


class UnbalancedSettings(CloneCostSettings):
    """Settings of `unbalanced`.

    Attributes
    ----------
    epsilon
        Strength of the entropy; None uses 0.01 times the mean cost.
    tau_a, tau_b
        Strength of the marginal constraints: 1 for exact marginals, less for softer ones.
    """

    summary: ClassVar[str] = "entropic transport between minibatches with soft marginals"
    source: ClassVar[str] = _OT_CFM_UNBALANCED
    takes_noise: ClassVar[bool] = True

    name: Literal["unbalanced"] = "unbalanced"
    epsilon: NonNegativeFloat | None = None
    tau_a: float = Field(default=0.95, gt=0, le=1)
    tau_b: float = Field(default=0.95, gt=0, le=1)


class PartialSettings(GroundCostSettings):
    """Settings of `partial`.

    Attributes
    ----------
    mass_share
        Share of the mass that is moved.
    """

    summary: ClassVar[str] = "transport of a share of the mass between minibatches"
    source: ClassVar[str] = "Caffarelli and McCann 2010"
    takes_noise: ClassVar[bool] = True

    name: Literal["partial"] = "partial"
    mass_share: float = Field(default=0.9, gt=0, le=1)


class ExactFullSettings(GroundCostSettings):
    """Settings of `exact-full`.

    Attributes
    ----------
    max_memory
        Largest memory of the plan, in GB.
    """

    summary: ClassVar[str] = "exact optimal transport between all cells, once"
    source: ClassVar[str] = "Bonneel et al. 2011"
    looks_up_rows: ClassVar[bool] = True

    name: Literal["exact-full"] = "exact-full"
    max_memory: PositiveFloat = 4.0


class BlockwiseSettings(GroundCostSettings):
    """Settings of `blockwise`.

    Attributes
    ----------
    block_size
        Number of cells per side of a block.
    """

    summary: ClassVar[str] = "exact optimal transport inside large random blocks of cells, once"
    source: ClassVar[str] = "Fatras et al. 2020"
    looks_up_rows: ClassVar[bool] = True

    name: Literal["blockwise"] = "blockwise"
    block_size: PositiveInt = 2000


class LowRankSettings(FeatureCostSettings):
    """Settings of `low-rank`.

    Attributes
    ----------
    rank
        Rank of the plan.
    epsilon
        Strength of the entropy; None uses 0.
    """

    summary: ClassVar[str] = "low-rank optimal transport between all cells, once"
    source: ClassVar[str] = "Scetbon et al. 2021, arXiv 2103.04737"
    looks_up_rows: ClassVar[bool] = True

    name: Literal["low-rank"] = "low-rank"
    rank: PositiveInt = 50
    epsilon: NonNegativeFloat | None = None


class SemidiscreteSettings(FeatureCostSettings):
    """Settings of `semidiscrete`.

    Attributes
    ----------
    epsilon
        Strength of the entropy; None uses about 0.01 times the costs' standard deviation.
    semidiscrete_steps
        Steps of the potentials' optimisation at most.
    cost_dim
        Principal components of the target that costs are taken on; None uses all coordinates.
    potentials
        Folder that potentials are stored in and read from, a file for each pair of populations;
        None stores none.
    """

    summary: ClassVar[str] = (
        "optimal transport of the source law to all target cells by one potential each"
    )
    source: ClassVar[str] = "Mousavi-Hosseini et al. 2025, arXiv 2509.25519"
    takes_noise: ClassVar[bool] = True
    looks_up_rows: ClassVar[bool] = True

    name: Literal["semidiscrete"] = "semidiscrete"
    epsilon: NonNegativeFloat | None = None
    semidiscrete_steps: PositiveInt = 20_000
    cost_dim: PositiveInt | None = None
    potentials: Annotated[str | None, BeforeValidator(_path_to_str)] = None


class PopulationGrowthSettings(ConditionCostSettings):
    """Settings of couplings that change the mass of a population between two times.

    Attributes
    ----------
    growth
        Evidence of the growth of a population between two times: none (`relative`, the total mass
        stays the same, and growth rates compare cells of one time), the number of cells (`counts`),
        its increases only (`rising`, since fewer cells may be fewer captured), or a rate of each
        cell (`rates`, of `pp.growth` or the column `growth_key`).
    block_size, max_blocks
        Number of cells per side of a block, and maximum number of blocks between two times; of
        more cells than these, a random share is coupled.
    """

    looks_up_rows: ClassVar[bool] = True

    growth: Literal["relative", "counts", "rising", "rates"] = "relative"
    block_size: PositiveInt = 2000
    max_blocks: PositiveInt = 5

    @property
    def growth_bounds(self) -> tuple[float, float]:
        """Least and largest growth of a population between two times.

        With `rates` it is that of the population after it has grown by the rates of its cells.
        """
        bounds = {"counts": (0.0, float("inf")), "rising": (1.0, float("inf"))}
        return bounds.get(self.growth, (1.0, 1.0))


class CompositionSettings(CloneCostSettings, PopulationGrowthSettings):
    """Settings of `composition`.

    Attributes
    ----------
    share
        Share of the pairs that is coupled after the composition of the population has changed in
        place, from 0 (exact transport) to 1; None uses 0.6 h / (h + 100), with h the harmonic mean
        of the numbers of cells of both times. With growth `rates` it is 0.
    n_neighbors
        Neighbour, among the cells of both times, at whose distance the densities are smoothed that
        tell how the frequency of a state changes.
    """

    summary: ClassVar[str] = (
        "states become more or less frequent in place, and what is left moves by exact transport"
    )
    source: ClassVar[str] = "this package, docs/methods/default.md"
    mass: ClassVar[Literal["kept", "exponential", "geodesic"]] = "exponential"

    name: Literal["composition"] = "composition"
    share: float | None = Field(default=None, ge=0, le=1)
    n_neighbors: PositiveInt = 15


class WFRSettings(PopulationGrowthSettings):
    """Settings of `wfr`.

    Attributes
    ----------
    delta
        Length scale: mass is not moved farther than pi delta. None uses the mean distance of
        optimally coupled cells, or what the farthest need.
    """

    summary: ClassVar[str] = (
        "unbalanced transport with the Wasserstein-Fisher-Rao cost, mass at both ends"
    )
    source: ClassVar[str] = _WFR_FM
    mass: ClassVar[Literal["kept", "exponential", "geodesic"]] = "geodesic"

    name: Literal["wfr"] = "wfr"
    delta: PositiveFloat | None = None


class AccelerationSettings(ConditionCostSettings):
    """Settings of `acceleration`."""

    summary: ClassVar[str] = "transport between minibatches that bends a fitted flow least"
    source: ClassVar[str] = _OAT
    takes_noise: ClassVar[bool] = True
    needs_prior: ClassVar[bool] = True

    name: Literal["acceleration"] = "acceleration"


class AutoSettings(ExactFullSettings):
    """Settings of `auto`: those of `exact-full`."""

    summary: ClassVar[str] = "exact-full if the plan is cheap, else ot"
    source: ClassVar[str] = "this package"

    name: Literal["auto"] = "auto"  # type: ignore[assignment]


class PathSettings(PartSettings):
    """Settings of a path, on which a pair moves.

    Attributes
    ----------
    sigma
        Noise of the path; of a bridge, its diffusion.
    takes_noise
        Whether the source may be noise instead of points.
    draws_source
        Whether each interval starts from noise, whatever the earlier time has.
    is_straight
        Whether the mean moves along a line at constant speed, with constant noise.
    has_score
        Whether it gives the noise that a score is learned from.
    masses
        Laws by which the mass of a pair can change on it (`CouplingSettings.mass`).
    """

    kind: ClassVar[str] = "path"
    takes_noise: ClassVar[bool] = True
    draws_source: ClassVar[bool] = False
    is_straight: ClassVar[bool] = False
    has_score: ClassVar[bool] = False
    masses: ClassVar[tuple[str, ...]] = ("kept", "exponential")

    sigma: NonNegativeFloat = 0.1


class StraightSettings(PathSettings):
    """Settings of `straight`."""

    summary: ClassVar[str] = "straight lines with constant noise"
    source: ClassVar[str] = _CFM
    is_straight: ClassVar[bool] = True

    name: Literal["straight"] = "straight"


class TargetSettings(PathSettings):
    """Settings of `target`."""

    summary: ClassVar[str] = "from noise to the cells of the later time"
    source: ClassVar[str] = "Lipman et al. 2023, arXiv 2210.02747"
    draws_source: ClassVar[bool] = True

    name: Literal["target"] = "target"


class VPSettings(PathSettings):
    """Settings of `vp`."""

    summary: ClassVar[str] = "trigonometric, keeps the variance of independent ends"
    source: ClassVar[str] = "Albergo and Vanden-Eijnden 2023, arXiv 2209.15571"

    name: Literal["vp"] = "vp"


class BridgeSettings(PathSettings):
    """Settings of `bridge`."""

    summary: ClassVar[str] = "Brownian bridges"
    source: ClassVar[str] = _CFM
    has_score: ClassVar[bool] = True

    name: Literal["bridge"] = "bridge"


class MetricSettings(PathSettings):
    """Settings of `metric`.

    Attributes
    ----------
    metric
        `land` or `rbf`; None uses land up to 10 dimensions.
    land_gamma
        Width of the kernel of `land`. None uses, in each interval, that of the highest
        leave-one-out likelihood of the cells at its ends; published is one for each held-out time.
    land_rho, land_alpha
        Offset and power of `land`.
    land_bends
        Intervals in which paths are bent by `land`: with `sparse`, those in which the middles of
        straight paths lie where cells are sparser than at both ends more often than of three cells
        drawn alike, in a third of the pairs; with `all`, every one, as published.
    rbf_centres, rbf_kappa
        Number and width of the radial basis functions of `rbf`.
    geopath_steps, geopath_learning_rate
        Training of the net that bends the path, apart from that of the flow: number of steps (None
        takes as many as 10 passes through the cells need, since the net follows few cells too
        closely) and constant learning rate. A tenth of the cells is not trained on, and the weights
        with the lowest energy of the paths between these cells are used, or straight paths.
    """

    summary: ClassVar[str] = "learned geodesics through the data"
    source: ClassVar[str] = _MFM
    takes_noise: ClassVar[bool] = False

    name: Literal["metric"] = "metric"
    metric: Literal["land", "rbf"] | None = None
    land_gamma: PositiveFloat | None = None
    land_rho: PositiveFloat = 1e-3
    land_alpha: PositiveFloat = 2.0
    land_bends: Literal["sparse", "all"] = "sparse"
    rbf_centres: PositiveInt = 150
    rbf_kappa: PositiveFloat = 1.5
    geopath_steps: PositiveInt | None = None
    geopath_learning_rate: PositiveFloat = 1e-4


class WFRPathSettings(PathSettings):
    """Settings of `wfr`."""

    summary: ClassVar[str] = "travelling Dirac masses"
    source: ClassVar[str] = _WFR_FM
    takes_noise: ClassVar[bool] = False
    masses: ClassVar[tuple[str, ...]] = ("geodesic",)

    name: Literal["wfr"] = "wfr"


class ObjectiveSettings(PartSettings):
    """Settings of an objective, the loss of the nets.

    Attributes
    ----------
    roles
        Fields that it trains: `velocity`, `score`, `growth`, `average`.
    straight_only
        Whether it is defined on straight paths only.
    noise_from_source
        Whether all noise is that of the source, which must be standard normal, and not the path's.
    fine_tunes
        Whether training goes on from the weights of a flow fitted before.
    """

    kind: ClassVar[str] = "objective"
    roles: ClassVar[tuple[str, ...]] = ("velocity",)
    straight_only: ClassVar[bool] = False
    noise_from_source: ClassVar[bool] = False
    fine_tunes: ClassVar[bool] = False

    @property
    def learns_growth(self) -> bool:
        """Whether a growth rate of mass is learned."""
        return "growth" in self.roles

    @property
    def is_guided(self) -> bool:
        """Whether velocities are led away from those that do not depend on covariates."""
        return False


class VelocitySettings(ObjectiveSettings):
    """Settings of `velocity`."""

    summary: ClassVar[str] = "regression on velocities"
    source: ClassVar[str] = _CFM

    name: Literal["velocity"] = "velocity"


class VelocityScoreSettings(ObjectiveSettings):
    """Settings of `velocity-score`.

    Attributes
    ----------
    score_weight
        Weight of the error of the score, relative to that of the velocity.
    """

    summary: ClassVar[str] = "velocity and score, for simulation with noise"
    source: ClassVar[str] = "Tong et al. 2024, arXiv 2307.03672"
    roles: ClassVar[tuple[str, ...]] = ("velocity", "score")

    name: Literal["velocity-score"] = "velocity-score"
    score_weight: NonNegativeFloat = 1.0


class GrowthSettings(ObjectiveSettings):
    """Settings of `growth`.

    Rates are those that the coupling gives, or else those that `pp.growth` wrote from gene sets.

    Attributes
    ----------
    growth_weight
        Weight of the error of the growth rate, relative to that of the velocity.
    """

    summary: ClassVar[str] = (
        "velocity and growth rate, from coupling composition or wfr, or else from gene sets"
    )
    source: ClassVar[str] = f"{_WFR_FM}; gene sets: Schiebinger et al. 2019 (the idea)"
    roles: ClassVar[tuple[str, ...]] = ("velocity", "growth")

    name: Literal["growth"] = "growth"
    growth_weight: NonNegativeFloat = 1.0


class MeanFlowSettings(ObjectiveSettings):
    """Settings of `mean-flow`.

    Attributes
    ----------
    anchored
        Share of rows where plain flow matching is learned.
    mean_power, mean_offset
        Each row's squared error is divided by (error + offset)^power.
    mean_times
        Distribution of the times, from the start to the end: `uniform`, or `logit-normal`.
    logit_mean, logit_std
        Mean and standard deviation of the logits of `logit-normal` times.
    r_times, r_logit_mean, r_logit_std
        The same for the other end of the average, which may be before or after; None uses the
        distribution of the times.
    tangent
        Velocity that the average is differentiated along: that of the `pair`, as first published,
        or that of the `net` itself, whose target has less noise (improved mean flows).
    guidance_scale
        Weight of the velocity of a category relative to that of all cells or images, for
        categories as covariates; 1 is no guidance.
    guidance_mix
        Share of the net's own velocity in a guided target.
    drop_condition
        Share of the rows that the velocity of all cells or images is learned from, if guided.
    """

    summary: ClassVar[str] = "average velocities, which predict in one step"
    source: ClassVar[str] = "Geng et al. 2025, arXiv 2505.13447"
    roles: ClassVar[tuple[str, ...]] = ("average",)

    name: Literal["mean-flow"] = "mean-flow"
    anchored: float = Field(default=0.5, ge=0, le=1)
    mean_power: NonNegativeFloat = 1.0
    mean_offset: PositiveFloat = 0.01
    mean_times: Literal["uniform", "logit-normal"] = "uniform"
    logit_mean: float = 0.4
    logit_std: PositiveFloat = 1.0
    r_times: Literal["uniform", "logit-normal"] | None = None
    r_logit_mean: float = 4.0
    r_logit_std: PositiveFloat = 1.6
    tangent: Literal["pair", "net"] = "pair"
    guidance_scale: NonNegativeFloat = 1.0
    guidance_mix: float = Field(default=0.5, ge=0, lt=1)
    drop_condition: float = Field(default=0.1, gt=0, lt=1)

    @property
    def is_guided(self) -> bool:
        """Whether velocities are led away from those that do not depend on covariates."""
        return self.guidance_scale != 1


class OATSettings(ObjectiveSettings):
    """Settings of `oat`.

    Attributes
    ----------
    oat_alpha
        Weight of the displacement relative to the end velocities; only 4/5 preserves the
        marginals.
    oat_target
        Whether `linear` paths are learned with that weight, or `hermite` ones, which leave the
        marginals and have no weight.
    oat_decay, oat_copy_every
        Update of the net that gives end velocities: an average of the trained one with this decay
        a step, or, if not None, a copy of it each so many steps.
    oat_tolerance
        Change of the spread of moved points, relative to that of the prior, at which training
        stops.
    """

    summary: ClassVar[str] = "fine-tuning of a flow fitted before towards the least acceleration"
    source: ClassVar[str] = _OAT
    straight_only: ClassVar[bool] = True
    fine_tunes: ClassVar[bool] = True

    name: Literal["oat"] = "oat"
    oat_alpha: float = Field(default=0.8, gt=0, le=1)
    oat_target: Literal["linear", "hermite"] = "linear"
    oat_decay: float = Field(default=0.9999, ge=0, le=1)
    oat_copy_every: PositiveInt | None = None
    oat_tolerance: PositiveFloat = 0.05


class EDMSettings(ObjectiveSettings):
    """Settings of `edm`.

    Attributes
    ----------
    p_mean, p_std
        Mean and standard deviation of the logarithm of the noise's level.
    """

    summary: ClassVar[str] = "denoising at log-normal levels of noise; from noise only"
    source: ClassVar[str] = _EDM
    straight_only: ClassVar[bool] = True
    noise_from_source: ClassVar[bool] = True

    name: Literal["edm"] = "edm"
    p_mean: float = -1.2
    p_std: PositiveFloat = 1.2


#: All couplings, by name.
COUPLINGS: dict[str, type[CouplingSettings]] = {
    "ot": OTSettings,
    "independent": IndependentSettings,
    "entropic": EntropicSettings,
    "unbalanced": UnbalancedSettings,
    "partial": PartialSettings,
    "exact-full": ExactFullSettings,
    "blockwise": BlockwiseSettings,
    "low-rank": LowRankSettings,
    "semidiscrete": SemidiscreteSettings,
    "wfr": WFRSettings,
    "composition": CompositionSettings,
    "acceleration": AccelerationSettings,
    "auto": AutoSettings,
}

#: All paths, by name.
PATHS: dict[str, type[PathSettings]] = {
    "straight": StraightSettings,
    "target": TargetSettings,
    "vp": VPSettings,
    "bridge": BridgeSettings,
    "metric": MetricSettings,
    "wfr": WFRPathSettings,
}

#: All objectives, by name.
OBJECTIVES: dict[str, type[ObjectiveSettings]] = {
    "velocity": VelocitySettings,
    "velocity-score": VelocityScoreSettings,
    "growth": GrowthSettings,
    "mean-flow": MeanFlowSettings,
    "oat": OATSettings,
    "edm": EDMSettings,
}


def pairs_move_on(coupling: type[CouplingSettings], path: type[PathSettings]) -> bool:
    """Return whether pairs of the coupling can move on the path."""
    if path.draws_source and not coupling.draws_apart:
        return False
    return coupling.mass in path.masses


def is_learned_on(objective: type[ObjectiveSettings], path: type[PathSettings]) -> bool:
    """Return whether the objective can be learned on the path."""
    learns_growth = "growth" in objective.roles
    if ("geodesic" in path.masses and not learns_growth) or (path.draws_source and learns_growth):
        return False
    if "score" in objective.roles and not path.has_score:
        return False
    return path.is_straight or not objective.straight_only
