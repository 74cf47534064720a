"""Methods: names, what goes together, and YAML."""

from itertools import product

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cellflow import Config, FileError, InputError, Method, Recipe, method, read_config, recipe
from cellflow.methods.parts import (
    COUPLINGS,
    OBJECTIVES,
    PATHS,
    LowRankSettings,
    StraightSettings,
    is_learned_on,
    pairs_move_on,
)
from cellflow.methods.presets import PRESETS
from cellflow.training import COUPLING_BUILDERS, OBJECTIVE_BUILDERS, PATH_BUILDERS

PARTS = {
    **{("coupling", name): part for name, part in COUPLINGS.items()},
    **{("path", name): part for name, part in PATHS.items()},
    **{("objective", name): part for name, part in OBJECTIVES.items()},
}

#: Every setting with each part that has it and its default there.
SETTINGS = [
    (name, kind, part, PARTS[kind, part].model_fields[name].default)
    for kind, part in PARTS
    for name in PARTS[kind, part].setting_names()
]

#: Where the default is None, a value that is valid.
GIVEN = {
    "land_gamma": 0.25,
    "geopath_steps": 100,
    "epsilon": 0.5,
    "condition_weight": 1.0,
    "cost_dim": 2,
    "potentials": "folder",
    "delta": 1.0,
    "share": 0.5,
    "metric": "land",
    "oat_copy_every": 5,
    "r_times": "logit-normal",
}


def has(preset, name):
    return any(name in part.setting_names() for part in method(preset).parts)


def test_every_part_has_a_builder_a_source_and_the_name_that_it_is_listed_by():
    assert set(COUPLING_BUILDERS) == set(COUPLINGS)
    assert set(PATH_BUILDERS) == set(PATHS)
    assert set(OBJECTIVE_BUILDERS) == set(OBJECTIVES)
    for (kind, name), part in PARTS.items():
        assert (part.kind, part().name) == (kind, name)
        assert part.summary
        assert part.source


def test_a_setting_belongs_to_one_kind_of_part():
    kinds = {name: {kind for other, kind, *_ in SETTINGS if other == name} for name, *_ in SETTINGS}
    assert {name for name, found in kinds.items() if len(found) > 1} == set()


def test_every_part_is_reached_by_some_method_that_goes_together():
    valid = [
        (coupling, path, objective)
        for coupling, path, objective in product(COUPLINGS, PATHS, OBJECTIVES)
        if pairs_move_on(COUPLINGS[coupling], PATHS[path])
        and is_learned_on(OBJECTIVES[objective], PATHS[path])
    ]
    for kind, names in enumerate((COUPLINGS, PATHS, OBJECTIVES)):
        assert {each[kind] for each in valid} == set(names)


@pytest.mark.parametrize(
    ("preset", "name"),
    [(preset, name) for preset in PRESETS for name in sorted({each[0] for each in SETTINGS})],
)
def test_a_method_takes_the_settings_of_its_parts_and_refuses_all_others(preset, name):
    kind, part, default = next(each[1:] for each in SETTINGS if each[0] == name)
    value = GIVEN[name] if default is None else default
    if has(preset, name):
        own = next(each for each in method(preset).parts if name in each.setting_names())
        value = getattr(own, name) if getattr(own, name) is not None else value
        changed = next(
            each for each in method(preset, **{name: value}).parts if name in each.setting_names()
        )
        assert getattr(changed, name) == value
        return
    with pytest.raises(InputError, match=f"{kind} {part!r}") as error:
        method(preset, **{name: value})
    assert all(
        f"{each.kind} {each.name!r} takes" in str(error.value) for each in method(preset).parts
    )


def test_a_refusal_names_what_the_parts_take_and_the_part_that_would_take_it():
    with pytest.raises(InputError) as error:
        method("i-cfm", rank=7)
    assert str(error.value) == (
        "method setting 'rank' has no effect here: coupling 'independent' takes no settings; path "
        "'straight' takes sigma; objective 'velocity' takes no settings. 'rank' is a setting of "
        "coupling 'low-rank': choose such a part, or leave the setting out"
    )


def test_a_part_by_name_keeps_the_settings_that_were_given_and_no_defaults():
    assert method("sb-cfm", path="straight").path.sigma == 0.5
    assert method(method("ot-cfm", coupling="blockwise", block_size=7), coupling="ot") == method(
        "ot-cfm"
    )
    strong = method("ot-cfm", lineage_strength=0.9)
    assert method(strong, coupling="auto").coupling.lineage_strength == 0.9
    assert method(strong, coupling={"name": "auto"}).coupling.lineage_strength == 0.5
    assert method("wfr-fm", coupling="ot", path="vp").path.sigma == 0


def test_a_part_may_be_a_name_a_mapping_or_itself():
    expected = method("ot-cfm", coupling="low-rank", rank=7)
    assert method("ot-cfm", coupling={"name": "low-rank", "rank": 7}) == expected
    assert method("ot-cfm", coupling=LowRankSettings(rank=7)) == expected
    assert expected.coupling.given == {"rank": 7}
    with pytest.raises(InputError, match="coupling must be a name or a mapping with a name, got"):
        method("ot-cfm", coupling=StraightSettings())
    with pytest.raises(InputError, match="'rank' has no effect here: coupling 'ot' takes"):
        method("ot-cfm", coupling={"name": "ot", "rank": 7})


@pytest.mark.parametrize("name", PRESETS)
def test_presets_go_together_and_round_trip_through_yaml(name, tmp_path):
    config = Config(method(name), recipe("torchcfm", n_steps=7))
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert read_config(path) == config


@given(sigma=st.floats(0, 10), tau=st.floats(0.01, 1))
def test_numbers_round_trip_through_yaml(tmp_path_factory, sigma, tau):
    config = Config(method("uot-fm", sigma=sigma, tau_a=tau), recipe("default"))
    path = tmp_path_factory.mktemp("yaml") / "config.yaml"
    path.write_text(config.to_yaml())
    assert read_config(path) == config


def test_a_file_may_name_a_preset_and_change_it(tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text("method: {preset: sb-cfm, sigma: 0.3}\nrecipe: {n_steps: 500}\n")
    assert read_config(path) == Config(method("sb-cfm", sigma=0.3), recipe("default", n_steps=500))
    path.write_text("method: i-cfm\n")
    assert read_config(path) == Config(method("i-cfm"), recipe("default"))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("methods: ot-cfm", "unknown key in .* 'methods' .did you mean 'method'"),
        ("- ot-cfm", "is not a YAML mapping"),
        ("method: {sigmas: 1}", "unknown method setting 'sigmas' .did you mean 'sigma'"),
        ("method: {sigma: -1}", "method setting sigma=-1"),
        ("method: [ot-cfm]", "method must be a name or a mapping"),
        ("recipe: {n_steps: many}", "recipe setting n_steps='many'"),
        ("method: !!python/object:os.system {}", "cannot be read as YAML"),
        ("method: {coupling: wfr}", "coupling 'wfr' does not go with path 'straight'"),
        ("method: {coupling: {rank: 3}}", "coupling must be a name or a mapping with a name"),
    ],
)
def test_bad_files_are_told_apart(text, message, tmp_path):
    path = tmp_path / "config.yaml"
    path.write_text(text)
    with pytest.raises((InputError, FileError), match=message):
        read_config(path)
    with pytest.raises(FileError, match="does not exist"):
        read_config(tmp_path / "missing.yaml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"coupling": "sinkhorn"}, "unknown coupling 'sinkhorn'"),
        ({"path": "target"}, "couplings for this path: independent"),
        ({"objective": "velocity-score"}, "cannot be learned on path 'straight'; valid there"),
        ({"growth": "counts"}, "'growth' is a setting of coupling 'wfr'"),
        ({"coupling": "entropic", "sigma": 0.0}, "takes epsilon from sigma, which is 0"),
        (
            {"objective": "oat"},
            "'oat' needs the end velocities of coupling acceleration",
        ),
        ({"path": "bridge", "sigma": 0.0}, "path 'bridge' needs sigma over 0"),
        (
            {"objective": "edm", "sigma": 0.1},
            "takes all noise from the source: set sigma 0, not 0.1",
        ),
        ({"objective": "edm", "path": "bridge"}, "'edm' cannot be learned on path 'bridge'"),
        ({"cost": "cubed"}, "method setting cost='cubed'"),
        (
            {"coupling": "entropic", "cost": "euclidean"},
            "'cost' is a setting of coupling 'ot', coupling 'partial', coupling 'exact-full'",
        ),
        ({"coupling": "unbalanced", "tau_a": 0}, "method setting tau_a=0"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_with_the_reason(changes, message):
    with pytest.raises(InputError, match=message):
        method("ot-cfm", **changes)


@pytest.mark.parametrize(
    ("chosen", "evidence"),
    [
        (method("default"), "relative"),
        (method(growth="counts"), "counts"),
        (method("default", growth="rates"), "rates"),
        (method("wfr-fm"), "counts"),
        (method("ot-cfm", coupling="wfr", path="wfr", objective="growth"), "relative"),
        (method("ot-cfm", objective="growth"), "rates"),
        (method("ot-cfm"), None),
    ],
)
def test_growth_has_evidence_which_is_numbers_of_cells_only_if_chosen(chosen, evidence):
    assert chosen.growth_evidence == evidence
    assert chosen.needs_growth_rates == (evidence == "rates")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Method(coupling="ot", path="straight"), "method setting objective"),
        (lambda: Method(coupling="ot", path="wfr", objective="growth"), "does not go with path"),
        (lambda: Recipe(n_steps=0), "recipe setting n_steps=0"),
        (lambda: recipe("default", n_steps=True), "n_steps must not be true or false, got True"),
        (lambda: recipe("default", net={"width": True}), "width must not be true or false"),
        (lambda: method("ot-cfm", sigma=False), "sigma must not be true or false"),
        (lambda: method("ot-cfm", asynchrony=True), "asynchrony must not be true or false"),
    ],
)
def test_settings_of_objects_are_checked_as_those_of_functions(make, message):
    with pytest.raises(InputError, match=message):
        make()


def test_switches_are_true_or_false():
    assert recipe("default", replace=True).replace
    assert not recipe("default", ema_ramp=False).ema_ramp
    assert Recipe.model_validate(recipe("default").model_dump()) == recipe("default")


def test_growth_alone_changes_the_default_method():
    assert method(growth="relative") == method("default")
    assert method(growth="counts") == method("default", growth="counts")


def test_unknown_methods_are_named_with_the_nearest():
    with pytest.raises(InputError, match=r"unknown method 'ot-fm' .did you mean"):
        method("ot-fm")
    with pytest.raises(InputError, match="must be a name or a Method"):
        method(3)


@pytest.mark.parametrize("name", ["n_steps", "learning_rate"])
def test_a_setting_of_the_recipe_is_sent_there(name):
    with pytest.raises(InputError, match=f"'{name}' is a setting of the recipe.*cf.recipe"):
        method("ot-cfm", **{name: 5})


@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_numbers_must_be_finite(value):
    with pytest.raises(InputError, match=r"sigma=.*finite"):
        method("ot-cfm", sigma=value)
    with pytest.raises(InputError, match=r"asynchrony=.*finite"):
        method("ot-cfm", asynchrony=value)
    with pytest.raises(InputError, match=r"weight_decay=.*finite"):
        recipe("default", weight_decay=value)


def test_settings_hold_plain_values():
    assert Method(**yaml.safe_load(yaml.safe_dump(method("sf2m").model_dump()))) == method("sf2m")


def test_patience_needs_cells_to_check_on():
    with pytest.raises(InputError, match="patience=3 needs points to check on"):
        recipe("default", patience=3)


def test_what_a_user_gets_is_the_default_and_parts_are_changed_in_ot_cfm():
    assert method() == method("default")
    assert method(sigma=None) == method("default")
    assert method(coupling="independent") == method("i-cfm")


def nested(start, depth):
    """Lists of nine aliases each of the list before: 9 to the power of `depth` values."""
    lines = [f"{start} [x, x]"]
    for k in range(depth):
        aliases = ", ".join([f"*a{k}"] * 9)
        lines.append(f"  - &a{k + 1} [{aliases}]")
    return "\n".join(lines).replace("[x, x]", "\n  - &a0 [x, x]", 1)


@pytest.mark.parametrize("start", ["method:", "recipe:\n  n_steps:"])
def test_aliases_that_multiply_are_refused_before_they_are_shown(start, tmp_path):
    (tmp_path / "a.yaml").write_text(nested(start, 8))
    with pytest.raises(FileError, match=r"has [\d,]+ values by its aliases"):
        read_config(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("recipe: &r\n  net: *r")
    with pytest.raises(FileError, match="a value that contains itself"):
        read_config(tmp_path / "b.yaml")
    (tmp_path / "c.yaml").write_text("x: " + "[" * 5000)
    with pytest.raises(FileError, match="nested too deeply"):
        read_config(tmp_path / "c.yaml")


def test_an_alias_is_read(tmp_path):
    (tmp_path / "a.yaml").write_text("recipe: {n_steps: &n 7, batch_size: *n}")
    assert read_config(tmp_path / "a.yaml").recipe.batch_size == 7
