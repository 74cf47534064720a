"""Methods: a coupling, a path and an objective that go together, with the numbers they take."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, PositiveFloat, PositiveInt

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow.methods.parts import COUPLINGS, GROWTH, OBJECTIVES, PATHS, WFR_GROWTH
from cellflow.methods.presets import PRESETS
from cellflow.methods.validation import validated


class Method(BaseModel):
    """What is learned, and from which pairs.

    Lengths are in units of the spread of the training cells where the recipe standardises, else
    of the representation; costs in those units squared, or in those of the coordinates that costs
    are taken on where these are others; times in mean intervals.

    Attributes
    ----------
    coupling, path, objective, growth
        The parts, by name (`cellflow methods` lists them).
    sigma
        Noise of the path; of a bridge, its diffusion.
    cost
        Cost that couplings minimise: `squared` distances, or distances, `euclidean`, the latter
        with `ot`, `partial`, `exact-full`, `blockwise` and `auto`.
    epsilon
        Strength of the entropy of `entropic`, `unbalanced`, `low-rank` and `semidiscrete`. None
        takes 2 sigma^2 times the length of the interval for `entropic` (not with `cost_rep`),
        0.01 times the mean cost for `unbalanced`, about 0.01 times the costs' standard deviation
        for `semidiscrete`, none for `low-rank`.
    tau_a, tau_b
        How firmly `unbalanced` holds the marginals: 1 exactly, less below.
    mass_share
        Share of the mass that `partial` moves.
    block_size
        Cells a side of a block of `blockwise` and `wfr`.
    max_blocks
        Blocks of `wfr` that are solved between two times at most; of more cells than they have, a
        random share is coupled.
    rank
        Rank of `low-rank`.
    max_memory
        Largest memory of a whole-dataset plan, in GB.
    condition_weight
        beta, what squared distances of conditions count in costs beside those of points, where
        conditions are continuous: low resolutions of images. None weighs them so that the nearest
        other condition costs what the best partner gains (`marginals.balanced_weight`).
    lineage_strength
        Share of the cost that cells of one clone are spared, where clones are given.
    semidiscrete_steps
        Steps of the potentials' optimisation at most.
    cost_dim
        Of `semidiscrete`: principal components of the target that its costs are taken on; None
        takes them on all coordinates.
    potentials
        Folder that the potentials of `semidiscrete` are kept in and read from, a file for each
        pair of populations; None keeps none.
    metric, land_gamma, land_rho, land_alpha, rbf_centres, rbf_kappa
        Of the path `metric`: `land` or `rbf` or, for None, land up to 10 dimensions; width,
        offset and power of the metric; number and width of the radial basis functions.
    geopath_steps
        Training steps of the net that bends the path `metric`.
    delta
        Length scale of `wfr`: mass is not moved farther than pi delta. None takes the mean
        distance of optimally coupled cells, or what the farthest need.
    asynchrony
        How far predicted cells are from sharing one clock: standard deviation of the log-odds of
        the share of an interval that has passed for a cell, around those of the time asked for.
    score_weight, growth_weight
        Weights of these errors beside that of the velocity.
    anchored
        Of `mean-flow`: share of rows where plain flow matching is learned.
    mean_power, mean_offset
        Of `mean-flow`: each row's squared error is divided by (error + offset)^power.
    mean_times
        Of `mean-flow`: whether times are drawn `uniform`, or `logit-normal`, the logits with mean
        `logit_mean` and standard deviation `logit_std`, from the start to the end.
    logit_mean, logit_std
        Of these times.
    oat_alpha, oat_target
        Of `oat`: weight of the displacement beside the end velocities, of which 4/5 alone leaves
        the marginals as they are; whether `linear` paths are learned with it, or `hermite` ones,
        which leave the marginals and have no weight.
    oat_decay, oat_copy_every
        How the net that gives end velocities follows the trained one: by an average with this
        decay a step, or, where it is not None, by a copy each so many steps.
    oat_tolerance
        How much wider or narrower than the prior's, as a share, the points may become that the
        flow carries, before the training stops.
    p_mean, p_std
        Of `edm`: mean and standard deviation of the logarithm of the noise's level.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    coupling: str = "ot"
    path: str = "straight"
    objective: str = "velocity"
    growth: str = "none"
    sigma: NonNegativeFloat = 0.1
    cost: Literal["squared", "euclidean"] = "squared"
    epsilon: NonNegativeFloat | None = None
    tau_a: float = Field(default=0.95, gt=0, le=1)
    tau_b: float = Field(default=0.95, gt=0, le=1)
    mass_share: float = Field(default=0.9, gt=0, le=1)
    block_size: PositiveInt = 2000
    max_blocks: PositiveInt = 5
    rank: PositiveInt = 50
    max_memory: PositiveFloat = 4.0
    condition_weight: NonNegativeFloat | None = None
    lineage_strength: float = Field(default=0.5, ge=0, le=1)
    semidiscrete_steps: PositiveInt = 20_000
    cost_dim: PositiveInt | None = None
    potentials: str | None = None
    metric: Literal["land", "rbf"] | None = None
    land_gamma: PositiveFloat = 0.25
    land_rho: PositiveFloat = 1e-3
    land_alpha: PositiveFloat = 2.0
    rbf_centres: PositiveInt = 150
    rbf_kappa: PositiveFloat = 1.5
    geopath_steps: PositiveInt = 1000
    delta: PositiveFloat | None = None
    asynchrony: NonNegativeFloat = 0.0
    score_weight: NonNegativeFloat = 1.0
    growth_weight: NonNegativeFloat = 1.0
    anchored: float = Field(default=0.5, ge=0, le=1)
    mean_power: NonNegativeFloat = 1.0
    mean_offset: PositiveFloat = 0.01
    mean_times: Literal["uniform", "logit-normal"] = "uniform"
    logit_mean: float = 0.4
    logit_std: PositiveFloat = 1.0
    oat_alpha: float = Field(default=0.8, gt=0, le=1)
    oat_target: Literal["linear", "hermite"] = "linear"
    oat_decay: float = Field(default=0.9999, ge=0, le=1)
    oat_copy_every: PositiveInt | None = None
    oat_tolerance: PositiveFloat = 0.05
    p_mean: float = -1.2
    p_std: PositiveFloat = 1.2


def method_of(method: str | Method | None = None, **changes: Any) -> Method:
    """Return a method by name, with some of its parts and numbers changed.

    Parameters
    ----------
    method
        A name, or a method to start from. None is `default`, or `ot-cfm` where something is to be
        changed: any part goes with it.
    **changes
        Parts and numbers of `Method`; those that are None leave what is there. Growth alone takes
        objective `growth` with it, and objective `edm` alone sigma 0.

    Returns
    -------
    The method.

    Raises
    ------
    InputError
        For an unknown name or setting, a number out of range, or parts that do not go together.
    """
    changes = {name: value for name, value in changes.items() if value is not None}
    if method is None:
        method = "ot-cfm" if changes else "default"
    if isinstance(method, str):
        check_choice(method, PRESETS, "method")
        method = Method(**PRESETS[method].settings)
    if not isinstance(method, Method):
        raise InputError(f"method must be a name or a Method, got {method!r}")
    for name in changes:
        check_choice(name, Method.model_fields, "method setting")
    if changes.get("growth", "none") != "none" and method.objective == "velocity":
        changes.setdefault("objective", "growth")
    if changes.get("objective") == "edm":
        changes.setdefault("sigma", 0.0)
    merged = validated(Method, {**method.model_dump(), **changes}, "method setting")
    check_parts(merged)
    return merged


def check_parts(method: Method) -> None:
    """Refuse parts that do not go together, naming those that would."""
    for name, choices in (
        ("coupling", COUPLINGS),
        ("path", PATHS),
        ("objective", OBJECTIVES),
        ("growth", GROWTH),
    ):
        check_choice(getattr(method, name), choices, name)
    paths = COUPLINGS[method.coupling].paths
    if method.path not in paths:
        suited = [name for name, part in COUPLINGS.items() if method.path in part.paths]
        raise InputError(
            f"coupling {method.coupling!r} does not go with path {method.path!r}: its pairs take "
            f"{format_list(paths)}; couplings for this path: {format_list(suited)}"
        )
    objectives = PATHS[method.path].objectives
    if method.objective not in objectives:
        raise InputError(
            f"objective {method.objective!r} cannot be learned on path {method.path!r}; "
            f"valid there: {format_list(objectives)}"
        )
    _check_growth(method)
    _check_cost(method)
    _check_semidiscrete(method)
    if method.objective == "oat" and method.coupling != "acceleration":
        raise InputError(
            "objective 'oat' needs the end velocities of coupling 'acceleration', which "
            f"{method.coupling!r} does not know"
        )
    if method.objective == "edm" and method.sigma > 0:
        raise InputError(
            f"objective 'edm' takes all noise from the source: set sigma 0, not {method.sigma:g}"
        )
    if method.path == "bridge" and not method.sigma > 0:
        raise InputError("path 'bridge' needs sigma over 0: without noise take path 'straight'")
    if method.coupling == "entropic" and not (method.epsilon or method.sigma) > 0:
        raise InputError(
            "coupling 'entropic' takes epsilon from sigma, which is 0: give either, or take 'ot'"
        )


def _check_cost(method: Method) -> None:
    if method.cost != "squared" and not COUPLINGS[method.coupling].any_cost:
        suited = [name for name, part in COUPLINGS.items() if part.any_cost]
        raise InputError(
            f"coupling {method.coupling!r} does not take cost {method.cost!r}; couplings that do: "
            f"{format_list(suited)}"
        )


def _check_semidiscrete(method: Method) -> None:
    if method.coupling == "semidiscrete":
        return
    for name in ("cost_dim", "potentials"):
        value = getattr(method, name)
        if value is not None:
            raise InputError(
                f"{name}={value!r} is a setting of coupling 'semidiscrete', which "
                f"{method.coupling!r} does not have"
            )


def _check_growth(method: Method) -> None:
    if (method.objective == "growth") != (method.growth != "none"):
        raise InputError(
            f"growth {method.growth!r} and objective {method.objective!r} do not go together: "
            "growth is learned by objective 'growth', which needs growth "
            f"{format_list(name for name in GROWTH if name != 'none')}"
        )
    if (method.coupling == "wfr") != (method.growth in WFR_GROWTH):
        raise InputError(
            f"growth {method.growth!r} and coupling {method.coupling!r} do not go together: "
            f"those of coupling 'wfr' are {format_list(WFR_GROWTH)}"
        )
