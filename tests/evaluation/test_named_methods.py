"""Methods to evaluate, from all that users may give."""

import pytest

import cellflow as cf
from cellflow.evaluation.named_methods import name_methods

RECIPE = cf.recipe("default")


def test_a_method_is_given_by_name_as_an_object_or_in_a_mapping():
    changed = cf.method("ot-cfm", coupling="low-rank", rank=7)
    made = name_methods(
        ["sf2m", changed, {"method": changed, "name": "rank 7", "n_steps": 20}], RECIPE
    )
    assert [each.name for each in made] == ["sf2m", "low-rank + straight + velocity", "rank 7"]
    assert made[1].method == made[2].method == changed
    assert (made[1].recipe.n_steps, made[2].recipe.n_steps) == (RECIPE.n_steps, 20)


def test_one_name_needs_no_list():
    assert [each.name for each in name_methods("ot-cfm", RECIPE)] == ["ot-cfm"]


@pytest.mark.parametrize("entry", [3, {"name": "x"}, {"method": 3}])
def test_other_entries_are_refused_with_what_a_method_may_be(entry):
    with pytest.raises(cf.InputError, match=r"a name, a cellflow.method\(...\) or a mapping"):
        name_methods([entry], RECIPE)
