"""Inputs and record of a fit, which are stored with its flow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from cellflow.methods.recipes import Recipe


@dataclass(frozen=True)
class Inputs:
    """Data of a fit, and the columns and the prior flow that it used.

    Attributes
    ----------
    data
        Digest of the cells or images.
    time_key, use_rep, condition_keys, label_key, lineage_key, cost_rep, growth_key
        As in `tl.fit`; None for a column that was not used.
    group_key
        Column of `obs` with the groups of known transitions.
    allowed_transitions
        Pairs of source and target group with the weight of each, from 0 to 1.
    prior
        Fingerprint of the flow fitted before, where one was used.
    from_noise
        Whether the flow starts at time 0 from standard normal noise and ends at time 1.
    time_unit
        Unit of the times, such as `hour` or `rank`; None if it is not known.
    """

    data: str | None = None
    time_key: str | None = None
    use_rep: str | None = None
    condition_keys: tuple[str, ...] = ()
    label_key: str | None = None
    lineage_key: str | None = None
    cost_rep: str | None = None
    growth_key: str | None = None
    group_key: str | None = None
    allowed_transitions: tuple[tuple[str, str, float], ...] = ()
    prior: str | None = None
    from_noise: bool = False
    time_unit: str | None = None

    @classmethod
    def from_values(cls, values: Mapping[str, Any]) -> Inputs:
        """Make inputs of plain JSON values."""
        allowed = values.get("allowed_transitions", ())
        tuples = {
            "condition_keys": tuple(values["condition_keys"]),
            "allowed_transitions": tuple((source, target, w) for source, target, w in allowed),
        }
        return cls(**{**values, **tuples})

    @property
    def values(self) -> dict[str, Any]:
        """Plain JSON values."""
        lists = {
            "condition_keys": list(self.condition_keys),
            "allowed_transitions": [list(row) for row in self.allowed_transitions],
        }
        return {**asdict(self), **lists}


@dataclass(frozen=True)
class FitRecord:
    """Seed, device, versions, units and cost of a fit.

    Attributes
    ----------
    seed, device, versions
        Seed of the generators, device, and versions of cellflow and of the libraries that it
        computes with.
    diffusion
        Noise of the path, in units of the representation.
    wfr_length_scale
        Length scale of unbalanced transport, in units of the representation; None if the coupling
        keeps mass.
    transition_penalty
        Cost that was added to pairs whose transition is not allowed, in squared units of the
        coordinates of costs; None without known transitions.
    cost
        Seconds and memory of the fit.
    fine_tuning
        Path energy, its relative excess and W2 to the data, `before` and `after` a fine-tuning.
    relative_errors
        Mean squared error of each field on the path over that of a field of zeros, by role, as
        measured after the last step; empty for flows of an earlier cellflow.
    n_points
        Number of cells or images that the flow was fitted to; None for flows of an earlier
        cellflow.
    """

    seed: int = 0
    device: str = "cpu"
    versions: Mapping[str, str] = field(default_factory=dict)
    diffusion: float = 0.0
    wfr_length_scale: float | None = None
    transition_penalty: float | None = None
    cost: Mapping[str, Any] = field(default_factory=dict)
    fine_tuning: Mapping[str, Mapping[str, float]] | None = None
    relative_errors: Mapping[str, float] = field(default_factory=dict)
    n_points: int | None = None


#: Relative error above which a field is worse than zeros, and number of steps from which a fit is
#: judged. With defaults, errors were below 1 after 50 steps or more. Nets start from small random
#: values: after three steps those of eight units are at 3 to 12. A learning rate of 1 gave 4 to
#: 1e10, but for mean flows, whose loss bounds the gradient.
_WORSE, _TRAINED = 1.1, 50


def describe_misfit(record: FitRecord, recipe: Recipe) -> str | None:
    """Say which fields of a flow are worse than zeros, and what to do; None if none is.

    None for fits of fewer than 50 steps, too.
    """
    worse = {role: ratio for role, ratio in record.relative_errors.items() if ratio > _WORSE}
    if not worse or recipe.n_steps < _TRAINED:
        return None
    errors = ", ".join(f"{role} {ratio:.3g} times" for role, ratio in worse.items())
    return (
        f"this fit is worse than cells that stand still: squared errors are those of zero, {errors}"
        "; do not use the flow, but fit again with a lower learning_rate "
        f"(it was {recipe.learning_rate:g}), clip 1, or points of another scale"
    )
