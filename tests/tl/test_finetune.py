"""Fine-tuning a flow of cells through the public verb."""

import anndata
import numpy as np
import pytest

import cellflow as cf
from cellflow import InputError


@pytest.fixture(scope="module")
def quick():
    return cf.recipe("default", n_steps=60, net={"width": 16}, batch_size=32)


def fitted(adata, quick, **options):
    return cf.tl.fit(
        adata,
        **{"use_rep": "X_pca", "method": "i-cfm", "recipe": quick, "progress": False, **options},
    )


def test_a_flow_of_embedded_cells_is_fine_tuned_and_predicts(semrau, quick, tmp_path):
    cf.pp.embed(semrau, n_dims=5)
    flow = fitted(semrau, quick, use_rep=None, time_axis="index")
    tuned = cf.tl.finetune(semrau, flow, progress=False)
    assert tuned.axis == flow.axis
    assert tuned.inputs.prior == flow.fingerprint != tuned.fingerprint
    assert tuned.recipe.n_steps == flow.recipe.n_steps
    numbers = tuned.record.fine_tuning
    assert set(numbers["before"]) == set(numbers["after"]) == {"path_energy", "npe", "w2"}
    entry = semrau.uns["cellflow"]["finetune"]
    assert entry["flow_id"] == tuned.fingerprint
    assert entry["method"]["objective"]["name"] == "oat"
    assert semrau.uns["cellflow"]["fit"]["flow_id"] == flow.fingerprint
    semrau.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad").uns["cellflow"]["finetune"]
    assert again["fine_tuning"]["after"]["npe"] == pytest.approx(numbers["after"]["npe"])
    np.testing.assert_allclose(again["history"]["ratio"], tuned.history["ratio"])
    tuned.save(tmp_path / "flow")
    predicted = cf.tl.interpolate(semrau, cf.Flow.load(tmp_path / "flow"), 30)
    assert predicted.n_vars == 41
    assert np.isfinite(predicted.obsm["X_cellflow"]).all()


def test_a_resumed_fine_tuning_is_of_the_same_cells(course, quick, tmp_path):
    flow = fitted(course, quick)
    whole = cf.tl.finetune(course, flow, progress=False, checkpoint=tmp_path / "state")
    checkpoint = cf.Checkpoint(tmp_path / "state", resume=True)
    cf.tl.finetune(course, flow, progress=False, checkpoint=cf.Checkpoint(tmp_path / "state", 7))
    resumed = cf.tl.finetune(course, flow, progress=False, checkpoint=checkpoint)
    assert resumed.fingerprint == whole.fingerprint
    course.obsm["X_pca"][7, 0] += 1e-3
    with pytest.raises(InputError, match=r"training with other settings \(data\)"):
        cf.tl.finetune(course, flow, progress=False, checkpoint=checkpoint)


@pytest.mark.slow
def test_paths_of_a_population_that_spreads_get_straighter(course):
    """Pairs drawn apart bend the paths of cells that part."""
    late = (course.obs["day"] == course.obs["day"].max()).to_numpy()
    course.obsm["X_pca"][late] *= np.array([4.0, 0.5, 0.5])
    recipe = cf.recipe("default", n_steps=400, net={"width": 32}, batch_size=64)
    flow = fitted(course, recipe)
    tuned = cf.tl.finetune(course, flow, n_steps=400, learning_rate=2e-3, progress=False)
    numbers = tuned.record.fine_tuning
    assert numbers["after"]["npe"] < 0.9 * numbers["before"]["npe"]
    assert numbers["after"]["w2"] < 1.2 * numbers["before"]["w2"]


def test_the_flow_decides_covariates_labels_and_times(course, quick):
    course.obs["drug"] = np.tile(["a", "b"], 120)
    course.obs["donor"] = np.tile(["x", "x", "y"], 80)
    course.obs["other"] = 10 - course.obs["day"]
    flow = fitted(course, quick, condition_keys="drug", label_key="donor", time_key="day")
    del course.uns["cellflow"]
    tuned = cf.tl.finetune(course, flow, n_steps=2, progress=False)
    assert (tuned.inputs.condition_keys, tuned.inputs.label_key) == (("drug",), "donor")
    assert (tuned.time_key, tuned.condition_dim) == ("day", 2)
    assert set(cf.tl.interpolate(course, tuned, 1.5).obs["start_time"]) == {1, 2}


def test_cells_of_other_times_are_left_aside_and_missing_ones_are_told(course, quick):
    kept = course[course.obs["day"] != 2].copy()
    flow = fitted(kept, quick)
    same, other = (cf.tl.finetune(each, flow, n_steps=2, progress=False) for each in (kept, course))
    assert same.fingerprint == other.fingerprint
    flow = fitted(course, quick)
    with pytest.raises(InputError, match="no cells at times 2 of the flow; times in the data: 0"):
        cf.tl.finetune(kept, flow, progress=False)


def test_numbers_come_first_and_seeds_count(course, quick):
    flow = fitted(course, quick)
    settings = {"oat_alpha": 0.9, "oat_target": "hermite", "oat_copy_every": 2, "oat_tolerance": 9}
    options = {"method": cf.method("oat-fm", sigma=0.2, **settings), "progress": False}
    options |= {"n_steps": 3, "learning_rate": 0.01}
    tuned = [cf.tl.finetune(course, flow, rng=rng, **options) for rng in (0, 0, 1)]
    recipe = tuned[0].recipe
    assert tuned[0].method.objective.given == settings
    assert tuned[0].method.path.sigma == 0.2
    assert (recipe.n_steps, recipe.learning_rate) == (3, 0.01)
    assert tuned[0].fingerprint == tuned[1].fingerprint != tuned[2].fingerprint


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "sf2m"}, "has objective 'oat', this method 'velocity-score'"),
        ({"recipe": "torchcfm"}, "keeps the net of the prior"),
        ({"n_steps": 0}, "n_steps=0"),
    ],
)
def test_what_does_not_go_together_is_refused(course, quick, options, message):
    flow = fitted(course, quick)
    with pytest.raises(InputError, match=message):
        cf.tl.finetune(course, flow, progress=False, **options)


def test_flows_of_images_and_of_scores_are_refused(course, quick):
    digits = cf.images.read("digits", split="train")
    images = cf.images.train(digits, n_steps=1, progress=False)
    with pytest.raises(InputError, match="not fitted to an AnnData"):
        cf.tl.finetune(course, images, progress=False)
    with pytest.raises(InputError, match="the prior has velocity and score"):
        cf.tl.finetune(course, fitted(course, quick, method="sf2m"), progress=False)
