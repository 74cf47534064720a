"""Named methods: combinations of parts, as their papers have them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A named method.

    Attributes
    ----------
    summary
        One line on it.
    source
        The paper.
    coupling, path, objective
        Names of the parts, or mappings with `name` and the settings that differ from the defaults.
    asynchrony
        As in `Method`.
    """

    summary: str
    source: str
    coupling: str | Mapping[str, Any] = "ot"
    path: str | Mapping[str, Any] = "straight"
    objective: str | Mapping[str, Any] = "velocity"
    asynchrony: float = 0.0

    @property
    def parts(self) -> dict[str, Any]:
        """Arguments of `Method`."""
        names = ("coupling", "path", "objective", "asynchrony")
        return {name: getattr(self, name) for name in names}

    @property
    def names(self) -> tuple[str, str, str]:
        """Names of the coupling, the path and the objective."""
        coupling, path, objective = (
            part if isinstance(part, str) else part["name"]
            for part in (self.coupling, self.path, self.objective)
        )
        return coupling, path, objective


_CFM = "Tong et al. 2024, arXiv 2302.00482"

PRESETS = {
    "default": Preset(
        "states change in frequency, and cells that do not share one clock move: what users get",
        "this package, docs/methods/default.md",
        coupling={"name": "composition", "growth": "relative"},
        path={"name": "straight", "sigma": 0.0},
        objective="growth",
        asynchrony=0.5,
    ),
    "ot-cfm": Preset("straight paths between optimally coupled cells", _CFM),
    "i-cfm": Preset("straight paths between cells drawn apart", _CFM, coupling="independent"),
    "fm": Preset(
        "from noise to the cells of each time; a generator, not a course of cells",
        "Lipman et al. 2023, arXiv 2210.02747",
        coupling="independent",
        path="target",
    ),
    "vp": Preset(
        "trigonometric paths between cells drawn apart",
        "Albergo and Vanden-Eijnden 2023, arXiv 2209.15571",
        coupling="independent",
        path="vp",
    ),
    "sb-cfm": Preset(
        "Schrödinger bridge: Brownian bridges between entropically coupled cells",
        _CFM,
        coupling="entropic",
        path={"name": "bridge", "sigma": 0.5},
    ),
    "sf2m": Preset(
        "Schrödinger bridge with its score, for simulation with noise",
        "Tong et al. 2024, arXiv 2307.03672",
        coupling="entropic",
        path={"name": "bridge", "sigma": 0.25},
        objective="velocity-score",
    ),
    "ot-mfm": Preset(
        "geodesics of a metric learned from the cells, between optimally coupled ones",
        "Kapuśniak et al. 2024, arXiv 2405.14780",
        path="metric",
    ),
    "wfr-fm": Preset(
        "cells that move, divide and die: Wasserstein-Fisher-Rao geodesics",
        "Peng et al. 2026, arXiv 2601.06810",
        coupling={"name": "wfr", "growth": "counts"},
        path={"name": "wfr", "sigma": 0.0},
        objective="growth",
    ),
    "sd-fm": Preset(
        "straight paths between semidiscretely coupled cells",
        "Mousavi-Hosseini et al. 2025, arXiv 2509.25519",
        coupling="semidiscrete",
    ),
    "uot-fm": Preset(
        "straight paths between cells coupled with soft marginals",
        "Eyring et al. 2024, arXiv 2311.15100",
        coupling="unbalanced",
    ),
    "mean-flow": Preset(
        "average velocities between optimally coupled cells: predictions in one step",
        "Geng et al. 2025, arXiv 2505.13447",
        objective="mean-flow",
    ),
    "oat-fm": Preset(
        "fine-tunes a flow fitted before to bend less (cellflow finetune)",
        "Yue et al. 2025, arXiv 2509.24936",
        coupling="acceleration",
        objective="oat",
    ),
    "edm": Preset(
        "denoising at log-normal levels of noise, noise and data drawn apart; from noise only",
        "Karras et al. 2022, arXiv 2206.00364",
        coupling="independent",
        path={"name": "straight", "sigma": 0.0},
        objective="edm",
    ),
    "aot": Preset(
        "EDM with noise assigned to data in large batches, at unsquared cost; from noise only",
        "Kim et al. 2024, arXiv 2403.05069",
        coupling={"name": "ot", "cost": "euclidean"},
        path={"name": "straight", "sigma": 0.0},
        objective="edm",
    ),
}
