"""Methods: compatible coupling, path and objective, each with its settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, TypeVar

from pydantic import (
    BeforeValidator,
    ConfigDict,
    NonNegativeFloat,
    SerializeAsAny,
    model_validator,
)

from cellflow._checks import check_choice, format_list
from cellflow._errors import InputError
from cellflow.methods.parts import (
    COUPLINGS,
    OBJECTIVES,
    PATHS,
    CouplingSettings,
    ObjectiveSettings,
    PartSettings,
    PathSettings,
    PopulationGrowthSettings,
    is_learned_on,
    pairs_move_on,
)
from cellflow.methods.presets import PRESETS
from cellflow.methods.recipes import Recipe
from cellflow.methods.validation import StrictSettings, report_first_error, validate_settings

Settings = TypeVar("Settings", bound=PartSettings)


def _make_part(value: Any, classes: Mapping[str, type[Settings]], kind: str) -> Settings:
    """Return the part for a name or a mapping with a `name`; a part is returned unchanged."""
    if isinstance(value, PartSettings) and value.kind == kind:
        return value  # type: ignore[return-value]
    values = {"name": value} if isinstance(value, str) else value
    if not isinstance(values, Mapping) or not isinstance(values.get("name"), str):
        raise InputError(f"{kind} must be a name or a mapping with a name, got {value!r}")
    check_choice(values["name"], classes, kind)
    part = classes[values["name"]]
    _check_names([part], [name for name in values if name != "name"])
    return validate_settings(part, values, "method setting")


class Method(StrictSettings):
    """A coupling, a path and an objective, each with its settings.

    The unit of length is the spread of the training cells if the recipe standardises, else that of
    the representation. The unit of costs is its square; for costs on other coordinates (`cost_rep`)
    it is the mean variance of these. The unit of time is the mean interval.

    Attributes
    ----------
    coupling, path, objective
        The parts, each with its own settings (`cellflow.methods.parts`). A name is the part with
        its defaults.
    asynchrony
        Spread of the clocks of predicted cells: standard deviation over cells of logit(s), where
        s is the elapsed share of the interval; the mean is logit(s) of the requested time.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    coupling: Annotated[
        SerializeAsAny[CouplingSettings],
        BeforeValidator(lambda value: _make_part(value, COUPLINGS, "coupling")),
    ]
    path: Annotated[
        SerializeAsAny[PathSettings],
        BeforeValidator(lambda value: _make_part(value, PATHS, "path")),
    ]
    objective: Annotated[
        SerializeAsAny[ObjectiveSettings],
        BeforeValidator(lambda value: _make_part(value, OBJECTIVES, "objective")),
    ]
    asynchrony: NonNegativeFloat = 0.0

    def __init__(self, **values: Any) -> None:
        with report_first_error("method setting"):
            super().__init__(**values)

    @property
    def parts(self) -> tuple[CouplingSettings, PathSettings, ObjectiveSettings]:
        """Coupling, path and objective."""
        return self.coupling, self.path, self.objective

    @property
    def needs_growth_rates(self) -> bool:
        """Whether growth rates of the cells are read, of `pp.growth` or a column."""
        return self.growth_evidence == "rates"

    @property
    def growth_evidence(self) -> str | None:
        """Evidence of growth, one of `GROWTH_EVIDENCE`; None if mass is conserved."""
        if not self.objective.learns_growth:
            return None
        coupling = self.coupling
        return coupling.growth if isinstance(coupling, PopulationGrowthSettings) else "rates"

    @model_validator(mode="after")
    def _check(self) -> Method:
        check_parts(*self.parts)
        return self


def method_of(
    method: str | Method | None = None,
    *,
    coupling: str | Mapping[str, Any] | CouplingSettings | None = None,
    path: str | Mapping[str, Any] | PathSettings | None = None,
    objective: str | Mapping[str, Any] | ObjectiveSettings | None = None,
    asynchrony: float | None = None,
    **settings: Any,
) -> Method:
    """Return a method by name, with some of its parts and settings changed.

    Parameters
    ----------
    method
        A name, or a method to start from. None is `default`, or `ot-cfm` where something other
        than `growth` is to be changed: any part is compatible with it.
    coupling, path, objective
        Parts that take the place of the method's. A part by name takes over settings that both
        parts have if they were given to the method or its preset, and has its defaults for all
        others; a mapping with `name` and settings, or a part, is taken as it is.
    asynchrony
        Spread of the clocks of predicted cells.
    **settings
        Settings of the chosen parts (`cellflow methods` lists them); those that are None leave
        what is there.

    Returns
    -------
    The method.

    Raises
    ------
    InputError
        For an unknown name, a setting that no chosen part has, a number out of range, or parts
        that are not compatible.

    Examples
    --------
    >>> import cellflow as cf
    >>> cf.method("ot-cfm", coupling="low-rank", rank=20).coupling
    LowRankSettings(name='low-rank', condition_weight=None, rank=20, epsilon=None)
    """
    settings = {name: value for name, value in settings.items() if value is not None}
    chosen = {"coupling": coupling, "path": path, "objective": objective}
    changed = [*settings, *(each for each in (*chosen.values(), asynchrony) if each is not None)]
    if method is None:
        method = "default" if changed in ([], ["growth"]) else "ot-cfm"
    if isinstance(method, str):
        check_choice(method, PRESETS, "method")
        method = Method(**PRESETS[method].parts)
    if not isinstance(method, Method):
        raise InputError(f"method must be a name or a Method, got {method!r}")
    if not changed:
        return method
    old: dict[str, PartSettings] = {part.kind: part for part in method.parts}
    parts = {
        kind: old[kind] if value is None else _exchange(old[kind], value, kind)
        for kind, value in chosen.items()
    }
    _check_names([type(part) for part in parts.values()], settings)
    values: dict[str, Any] = {kind: _change(part, settings) for kind, part in parts.items()}
    values["asynchrony"] = method.asynchrony if asynchrony is None else asynchrony
    return validate_settings(Method, values, "method setting")


def setting_names() -> tuple[str, ...]:
    """Return the names of all settings that some part has."""
    classes = (part for named in _CLASSES.values() for part in named.values())
    return tuple(dict.fromkeys(name for part in classes for name in part.setting_names()))


_CLASSES: dict[str, Mapping[str, type[PartSettings]]] = {
    "coupling": COUPLINGS,
    "path": PATHS,
    "objective": OBJECTIVES,
}


def _exchange(old: PartSettings, value: Any, kind: str) -> PartSettings:
    """Return the part that takes the place of another one."""
    part = _make_part(value, _CLASSES[kind], kind)
    if not isinstance(value, str):
        return part
    common = {name: old.given[name] for name in old.given if name in part.setting_names()}
    return _change(part, common)


def _change(part: Settings, settings: Mapping[str, Any]) -> Settings:
    """Return the part with new values of those settings that it has."""
    own = {name: settings[name] for name in settings if name in part.setting_names()}
    if not own:
        return part
    return validate_settings(type(part), {"name": part.name, **part.given, **own}, "method setting")


def _check_names(parts: Iterable[type[PartSettings]], names: Iterable[str]) -> None:
    """Raise `InputError` for a setting that none of the parts has."""
    parts = list(parts)
    for name in names:
        if any(name in part.setting_names() for part in parts):
            continue
        if name in Recipe.model_fields:
            raise InputError(
                f"{name!r} is a setting of the recipe, not of a method: give it to cf.recipe, or "
                "under recipe in a YAML file"
            )
        check_choice(name, [*setting_names(), "asynchrony"], "method setting")
        takes = "; ".join(
            f"{_describe_part(part)} takes {format_list(part.setting_names()) or 'no settings'}"
            for part in parts
        )
        owners = [
            part
            for named in _CLASSES.values()
            for part in named.values()
            if name in part.setting_names()
        ]
        raise InputError(
            f"method setting {name!r} has no effect here: {takes}. "
            f"{name!r} is a setting of {format_list(map(_describe_part, owners))}: "
            "choose such a part, or leave the setting out"
        )


def _describe_part(part: type[PartSettings]) -> str:
    return f"{part.kind} {part.model_fields['name'].default!r}"


def check_parts(
    coupling: CouplingSettings, path: PathSettings, objective: ObjectiveSettings
) -> None:
    """Check that coupling, path and objective are compatible.

    Raises
    ------
    InputError
        If they are not; the message lists compatible ones.
    """
    if not pairs_move_on(type(coupling), type(path)):
        couplings = [name for name, each in COUPLINGS.items() if pairs_move_on(each, type(path))]
        paths = [name for name, each in PATHS.items() if pairs_move_on(type(coupling), each)]
        raise InputError(
            f"coupling {coupling.name!r} does not go with path {path.name!r}; paths for this "
            f"coupling: {format_list(paths)}; couplings for this path: {format_list(couplings)}"
        )
    if not is_learned_on(type(objective), type(path)):
        valid = [name for name, each in OBJECTIVES.items() if is_learned_on(each, type(path))]
        raise InputError(
            f"objective {objective.name!r} cannot be learned on path {path.name!r}; "
            f"valid there: {format_list(valid)}"
        )
    if coupling.changes_mass and not objective.learns_growth:
        valid = [name for name, each in OBJECTIVES.items() if "growth" in each.roles]
        raise InputError(
            f"coupling {coupling.name!r} changes the mass of cells, which objective "
            f"{objective.name!r} does not learn; take objective {format_list(valid)}"
        )
    if objective.fine_tunes and not coupling.needs_prior:
        valid = [name for name, each in COUPLINGS.items() if each.needs_prior]
        raise InputError(
            f"objective {objective.name!r} needs the end velocities of coupling "
            f"{format_list(valid)}, which {coupling.name!r} does not have"
        )
    if objective.noise_from_source and path.sigma > 0:
        raise InputError(
            f"objective {objective.name!r} takes all noise from the source: set sigma 0, "
            f"not {path.sigma:g}"
        )
    if path.has_score and not path.sigma > 0:
        raise InputError(
            f"path {path.name!r} needs sigma over 0: without noise take path 'straight'"
        )
    if coupling.epsilon_from_sigma and not path.sigma > 0:
        raise InputError(
            f"coupling {coupling.name!r} takes epsilon from sigma, which is 0: give either, "
            "or take 'ot'"
        )
