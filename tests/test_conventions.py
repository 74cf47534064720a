"""The conventions of all that is public: scanpy's, and those of numpydoc."""

import inspect
import re

import numpy as np
import pytest
from numpydoc.validate import validate

import cellflow as cf
from cellflow.images.encoders import Encoder

PACKAGES = ("pp", "tl", "pl", "datasets", "images", "report")
FUNCTIONS = {
    f"{package}.{name}": getattr(getattr(cf, package), name)
    for package in PACKAGES
    for name in getattr(cf, package).__all__
    if inspect.isfunction(getattr(getattr(cf, package), name))
} | {name: getattr(cf, name) for name in cf.__all__ if inspect.isfunction(getattr(cf, name))}
CLASSES = {
    f"{package}.{name}".removeprefix("."): getattr(home, name)
    for package, home in [("", cf), *((package, getattr(cf, package)) for package in PACKAGES)]
    for name in home.__all__
    if inspect.isclass(getattr(home, name))
}
METHODS = {
    f"{name}.{method}": getattr(each, method)
    for name, each in CLASSES.items()
    # Those that encode do what `Encoder` says.
    if each is Encoder or not issubclass(each, Encoder)
    for method, value in vars(each).items()
    if not method.startswith(("_", "model_"))
    and (inspect.isfunction(value) or isinstance(value, classmethod | staticmethod))
}
PUBLIC = FUNCTIONS | METHODS
VERBS = {name: each for name, each in FUNCTIONS.items() if name.startswith(("pp.", "tl."))}
FIGURES = {
    name: each for name, each in FUNCTIONS.items() if name.startswith("pl.") and name != "pl.save"
}

#: What a parameter is wherever it is optional. Others may differ from verb to verb.
ALIKE = {
    "time_key": ("str | None", None),
    "use_rep": ("str | None", None),
    "layer": ("str | None", None),
    "kind": ("str", "auto"),
    "n_dims": ("int | None", None),
    "condition_key": ("str", inspect.Parameter.empty),
    "condition_keys": ("str | Sequence[str]", ()),
    "label_key": ("str | None", None),
    "lineage_key": ("str | None", None),
    "cost_rep": ("str | None", None),
    "components": ("tuple[int, int]", (0, 1)),
    "copy": ("bool", False),
    "overwrite": ("bool", False),
    "resume": ("bool", False),
    "extrapolate": ("bool", False),
    "encoder": ("Encoder | None", None),
    "show": ("bool | None", None),
    "weights": ("str | Path | None", None),
    "checkpoint": ("Checkpoint | str | Path | None", None),
    "growth_key": ("str | None", None),
    "group_key": ("str | None", None),
    "replicate_key": ("str | None", None),
}
#: What a parameter may be, whatever its default.
TYPES = {
    "rng": {"RNG", "RNG | Sequence[int]"},
    "device": {"str", "str | torch.device"},
    "progress": {"bool"},
    "decode": {"bool"},
    "key": {"str"},
    "key_added": {"str"},
    "by": {"str", "str | None", "Sequence[str] | None"},
    "groups": {"str", "str | None"},
    "genes": {"Sequence[str] | None", "str | Sequence[str] | None"},
    "n_neighbors": {"int"},
    "n_samples": {"int | None"},
    "method": {"str", "str | Method", "str | Method | None"},
    "recipe": {"str | Recipe", "str | Recipe | None"},
}
#: Words of other packages for what has a name here.
FOREIGN = {
    "seed", "random_state", "random_seed", "inplace", "verbose", "n_iter", "n_epochs", "epochs",
    "lr", "n_jobs", "save", "filename", "fname", "colour", "n_neighbours", "cluster_key", "groupby",
}  # fmt: skip
#: Faults of docstrings, by numpydoc: parameters and results that are not told, told of what is not
#: there, or in another order; summaries that are missing or no sentence.
FAULTS = {
    "PR01", "PR02", "PR03", "PR07", "PR08", "PR09", "PR10", "RT01", "YD01",
    "GL05", "GL06", "GL07", "GL08", "GL09", "SS01", "SS02", "SS03", "SS04", "SS06",
}  # fmt: skip


def parameters(call):
    return [each for each in inspect.signature(call).parameters.values() if each.name != "self"]


def named(call):
    """Its parameters by name, without those that stand for many."""
    many = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {each.name: each for each in parameters(call) if each.kind not in many}


def annotates(call):
    return inspect.signature(call).return_annotation == "AnnData | None"


@pytest.mark.parametrize("name", PUBLIC)
def test_everything_has_its_type(name):
    signature = inspect.signature(PUBLIC[name])
    assert signature.return_annotation is not signature.empty
    assert all(each.annotation is not each.empty for each in parameters(PUBLIC[name]))


@pytest.mark.parametrize("name", PUBLIC)
def test_options_are_keywords_and_what_must_be_given_is_little(name):
    given = [each for each in parameters(PUBLIC[name]) if each.kind is each.POSITIONAL_OR_KEYWORD]
    # Of these the last positional one is a condition, a method or recipe by name, or a size as in
    # the data sets that scikit-learn makes.
    exempt = ("Flow.velocity", "images.Discriminator.log_ratio", "method")
    if name not in (*exempt, "datasets.simulate_course", "tl.fates"):
        assert all(each.default is each.empty for each in given)
    assert len(given) <= 4


@pytest.mark.parametrize("name", PUBLIC)
def test_no_default_can_be_changed(name):
    for each in parameters(PUBLIC[name]):
        assert not isinstance(each.default, list | dict | set | np.ndarray)


@pytest.mark.parametrize("name", PUBLIC)
def test_one_thing_has_one_name_and_one_type(name):
    found = named(PUBLIC[name])
    assert not found.keys() & FOREIGN
    assert {each for each in found if each.endswith("_key")} <= ALIKE.keys()
    for each, value in found.items():
        if each in ALIKE and value.default is not value.empty:
            assert (value.annotation, value.default) == ALIKE[each]
        if each in TYPES:
            assert value.annotation in TYPES[each]


@pytest.mark.parametrize("name", PUBLIC)
def test_what_is_random_takes_rng_and_is_the_same_again(name):
    found = named(PUBLIC[name])
    if "rng" in found:
        assert found["rng"].default == 0


@pytest.mark.parametrize("name", VERBS)
def test_verbs_take_the_cells_first_and_say_what_they_write(name):
    found, text = named(VERBS[name]), inspect.getdoc(VERBS[name])
    assert next(iter(found)) == "adata"
    assert annotates(VERBS[name]) == ("copy" in found)
    if annotates(VERBS[name]):
        assert list(found)[-1] == "copy"
        assert "key_added" in found or name == "pp.time_points"
        assert "None, or" in text
    if "key_added" in found or annotates(VERBS[name]):
        assert re.search(r"ritten (is|are)", text) or "Writes" in text
        assert re.search(r"`(obs|obsm|uns|layers)\[", text)


@pytest.mark.parametrize("name", FIGURES)
def test_figures_take_axes_and_return_them(name):
    signature = inspect.signature(FIGURES[name])
    assert list(signature.parameters)[-2:] == ["ax", "show"]
    assert signature.parameters["ax"].default is None
    assert signature.return_annotation in ("Axes", "list[Axes]", "FuncAnimation")
    kinds = ("AnnData", "pd.DataFrame", "Flow")
    assert next(iter(signature.parameters.values())).annotation in kinds


@pytest.mark.parametrize("name", PUBLIC)
def test_docstrings_are_complete(name):
    """Every parameter and result is told, by numpydoc's own checks."""
    found = validate(f"cellflow.{name}")["errors"]
    assert [error for error in found if error[0] in FAULTS] == []


@pytest.mark.parametrize("name", sorted(CLASSES))
def test_classes_tell_their_attributes(name):
    text = inspect.getdoc(CLASSES[name])
    assert text
    fields = getattr(CLASSES[name], "__dataclass_fields__", {})
    words = set(re.findall(r"\w+", text))
    assert {field for field in fields if not field.startswith("_")} <= words
