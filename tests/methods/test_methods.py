"""Methods: names, what goes together, and YAML."""

from itertools import product

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cellflow import Config, FileError, InputError, Method, method, read_config, recipe
from cellflow.methods.parts import COUPLINGS, GROWTH, OBJECTIVES, PATHS
from cellflow.methods.presets import PRESETS
from cellflow.training import couplings, objectives, paths


def test_every_name_has_what_it_names():
    assert set(couplings.BUILDERS) == set(COUPLINGS)
    assert set(paths.BUILDERS) == set(PATHS)
    assert set(objectives.BUILDERS) == set(objectives.ROLES) == set(OBJECTIVES)
    assert all(set(part.paths) <= set(PATHS) for part in COUPLINGS.values())
    assert all(set(part.objectives) <= set(OBJECTIVES) for part in PATHS.values())


def test_every_part_is_reached_by_some_method_that_goes_together():
    valid = []
    for coupling, path, objective, growth in product(COUPLINGS, PATHS, OBJECTIVES, GROWTH):
        try:
            valid.append(method(coupling=coupling, path=path, objective=objective, growth=growth))
        except InputError:
            continue
    for name, parts in (("coupling", COUPLINGS), ("path", PATHS), ("objective", OBJECTIVES)):
        assert {getattr(each, name) for each in valid} == set(parts)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_go_together_and_round_trip_through_yaml(name, tmp_path):
    config = Config(method(name), recipe("torchcfm", n_steps=7))
    path = tmp_path / "config.yaml"
    path.write_text(config.to_yaml())
    assert read_config(path) == config


@given(sigma=st.floats(0, 10), rank=st.integers(1, 100), tau=st.floats(0.01, 1))
def test_numbers_round_trip_through_yaml(tmp_path_factory, sigma, rank, tau):
    config = Config(method("ot-cfm", sigma=sigma, rank=rank, tau_a=tau), recipe("default"))
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
        ({"growth": "gene-sets", "objective": "mean-flow"}, "growth is learned by objective"),
        ({"growth": "learned"}, "those of coupling 'wfr'"),
        ({"coupling": "entropic", "sigma": 0.0}, "takes epsilon from sigma, which is 0"),
        ({"objective": "growth"}, "growth is learned by objective 'growth'"),
        ({"objective": "growth", "growth": "learned"}, "those of coupling 'wfr'"),
        ({"path": "bridge", "sigma": 0.0}, "path 'bridge' needs sigma over 0"),
        (
            {"objective": "edm", "sigma": 0.1},
            "takes all noise from the source: set sigma 0, not 0.1",
        ),
        ({"objective": "edm", "path": "bridge"}, "'edm' cannot be learned on path 'bridge'"),
        ({"cost": "cubed"}, "method setting cost='cubed'"),
        (
            {"coupling": "entropic", "cost": "euclidean"},
            "'entropic' does not take cost 'euclidean'; couplings that do: ot, partial, exact-full",
        ),
        ({"tau_a": 0}, "method setting tau_a=0"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_with_the_reason(changes, message):
    with pytest.raises(InputError, match=message):
        method("ot-cfm", **changes)


def test_growth_brings_the_objective_that_learns_it():
    assert method("ot-cfm", growth="gene-sets").objective == "growth"


def test_denoising_brings_paths_without_noise_of_their_own():
    assert method("ot-cfm", objective="edm").sigma == 0
    assert method("aot", p_mean=-0.5).cost == "euclidean"


def test_unknown_methods_are_named_with_the_nearest():
    with pytest.raises(InputError, match=r"unknown method 'ot-fm' .did you mean"):
        method("ot-fm")
    with pytest.raises(InputError, match="must be a name or a Method"):
        method(3)


def test_settings_hold_plain_values():
    assert Method(**yaml.safe_load(yaml.safe_dump(method("sf2m").model_dump()))) == method("sf2m")


def test_patience_needs_cells_to_check_on():
    with pytest.raises(InputError, match="patience=3 needs points to check on"):
        recipe("default", patience=3)


def test_what_a_user_gets_is_the_default_and_parts_are_changed_in_ot_cfm():
    assert method() == method("default")
    assert method(sigma=None) == method("default")
    assert method(coupling="independent") == method("i-cfm")
