"""Growth rates from gene sets."""

import anndata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from anndata import AnnData
from scipy import sparse

import cellflow as cf
from cellflow.pp._growth import DAYS, gene_names

#: Middle and width of the rise of the rates, in the tutorial of Waddington-OT.
BIRTH_RISE, DEATH_RISE = (0.25, 0.5), (0.1, 0.2)
SCORES = ["cellflow_proliferation", "cellflow_apoptosis"]


def symbols(species, *sets):
    """The present symbols of sets."""
    return [names[0] for names in gene_names(species, *sets)]


def culture(species="human", unit="h"):
    """60 cells by 328 genes: 20 that divide, 20 that die and 20 that do neither."""
    generator = np.random.default_rng(1)
    dividing, dying = symbols(species, "S", "G2M"), symbols(species, "apoptosis")
    background = [f"ACTB{k}" if species == "human" else f"Actb{k}" for k in range(200)]
    mean = generator.uniform(0.5, 2, (1, 328)) * np.ones((60, 1))
    mean[:20, :97] *= 4
    mean[20:40, 97:128] *= 4
    obs = pd.DataFrame(
        {
            "time": [f"{k % 2}{unit}" for k in range(60)],
            "fate": np.repeat(["divide", "die", "rest"], 20),
        },
        index=[f"cell{k}" for k in range(60)],
    )
    return AnnData(
        sparse.csr_matrix(generator.poisson(mean).astype(np.float32)),
        obs=obs,
        var=pd.DataFrame(index=[*dividing, *dying, *background]),
    )


@pytest.fixture
def cells():
    return culture()


def logistic(score, low, high, centre, width):
    return low + (high - low) / (1 + np.exp(-4 * (score - centre) / width))


def test_dividing_cells_grow_and_dying_ones_shrink(cells):
    assert cf.pp.growth(cells) is None
    by_fate = cells.obs.groupby("fate")["cellflow_growth"]
    assert by_fate.min()["divide"] > by_fate.max()["rest"]
    assert by_fate.max()["die"] < by_fate.min()["rest"]


def test_rates_are_the_logistic_function_of_the_scores(cells):
    cf.pp.growth(cells, per="hour", birth=(0.5, 2.0), death=(0.1, 0.9))
    divided, died = (cells.obs[key] for key in SCORES)
    expected = logistic(divided, 0.5, 2.0, *BIRTH_RISE) - logistic(died, 0.1, 0.9, *DEATH_RISE)
    np.testing.assert_allclose(cells.obs["cellflow_growth"], expected / 24, rtol=1e-12)
    assert cells.obs["cellflow_growth"].dtype == np.float64


def test_scores_are_differences_of_means():
    expression = np.array([[3.5, 0.25, 0.5, 0.0], [0.5, 0.75, 0.25, 1.0]])
    cells = AnnData(expression, var=pd.DataFrame(index=["TOP", "SET", "X", "Y"]))
    cf.pp.growth(cells, proliferation=["SET"], apoptosis=(), per="day")
    # TOP is alone in the highest bin, so SET is compared with X and Y.
    np.testing.assert_allclose(cells.obs["cellflow_proliferation"], [0.0, 0.125])


def test_scores_are_those_of_scanpy_with_all_controls(cells):
    cf.pp.growth(cells)
    work = cells.copy()
    depth = np.asarray(cells.X.sum(axis=1)).ravel()
    sc.pp.normalize_total(work, target_sum=np.median(depth))
    sc.pp.log1p(work)
    sc.tl.score_genes(work, symbols("human", "S", "G2M"), ctrl_size=10**6, n_bins=16)
    np.testing.assert_allclose(cells.obs[SCORES[0]], work.obs["score"], atol=1e-6)


def test_growth_stays_between_the_limits(cells):
    cells.X = cells.X.toarray()
    cells.X[0, :97] = 500
    cells.X[20, 97:128] = 500
    cf.pp.growth(cells, birth=(0.2, 1.0), death=(0.1, 3.0), per="hour")
    per_day = cells.obs["cellflow_growth"] * 24
    assert per_day.between(0.2 - 3.0, 1.0 - 0.1).all()
    assert per_day.iloc[0] > 0.5
    assert per_day.iloc[20] < -2.5


def test_equal_limits_make_a_constant_rate(cells):
    cf.pp.growth(cells, birth=(1.2, 1.2), death=(0.0, 0.0))
    np.testing.assert_allclose(cells.obs["cellflow_growth"], 1.2 / 24)


def test_growth_does_not_depend_on_the_order_of_genes(cells, rng):
    shuffled = cells[:, rng.permutation(cells.n_vars)].copy()
    cf.pp.growth(cells)
    cf.pp.growth(shuffled)
    np.testing.assert_allclose(
        shuffled.obs["cellflow_growth"], cells.obs["cellflow_growth"], rtol=1e-9
    )


def test_growth_goes_with_the_cells_when_they_are_reordered(cells, rng):
    order = rng.permutation(cells.n_obs)
    shuffled = cells[order].copy()
    cf.pp.growth(cells)
    cf.pp.growth(shuffled)
    np.testing.assert_allclose(
        shuffled.obs["cellflow_growth"], cells.obs["cellflow_growth"].iloc[order], rtol=1e-9
    )


def test_dense_and_sparse_counts_grow_alike(cells):
    dense = cells.copy()
    dense.X = dense.X.toarray()
    cf.pp.growth(cells)
    cf.pp.growth(dense)
    np.testing.assert_allclose(dense.obs["cellflow_growth"], cells.obs["cellflow_growth"])


def test_the_global_seed_of_numpy_is_not_touched(cells):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    cf.pp.growth(cells)
    np.testing.assert_array_equal(np.random.get_state()[1], state)  # noqa: NPY002


@pytest.mark.parametrize(("label", "unit"), [("min", "minute"), ("d", "day"), ("w", "week")])
def test_rates_are_told_per_unit_of_the_course(label, unit):
    hours, other = culture(unit="h"), culture(unit=label)
    cf.pp.growth(hours)
    cf.pp.growth(other)
    per_day = hours.obs["cellflow_growth"] * 24
    np.testing.assert_allclose(other.obs["cellflow_growth"], per_day * DAYS[unit])
    assert other.uns["cellflow"]["growth"]["per"] == unit


def test_the_name_of_a_column_of_numbers_may_tell_the_unit(cells):
    days = cells.copy()
    days.obs = pd.DataFrame({"day": np.arange(60) % 2}, index=cells.obs_names)
    cf.pp.growth(cells)
    cf.pp.growth(days)
    np.testing.assert_allclose(days.obs["cellflow_growth"], cells.obs["cellflow_growth"] * 24)


def test_the_column_that_time_points_read_is_the_one_that_counts(cells):
    cells.obs["when"] = [f"day {k % 2}" for k in range(60)]
    cf.pp.time_points(cells, "when")
    cf.pp.growth(cells)
    assert cells.uns["cellflow"]["growth"]["per"] == "day"


def test_times_without_a_unit_need_per(cells):
    cells.obs["time"] = np.arange(60) % 2
    with pytest.raises(
        cf.InputError, match=r"no unit.*by per= \(--per day\): 'second', 'minute', 'hour', .* or"
    ):
        cf.pp.growth(cells)
    expected = 2 * cf.pp.growth(cells, per="days", copy=True).obs["cellflow_growth"]
    for per in (2.0, np.int64(2), "2"):
        cf.pp.growth(cells, per=per)
        np.testing.assert_allclose(cells.obs["cellflow_growth"], expected)
    assert cells.uns["cellflow"]["growth"]["per"] == "2 days"


def test_no_times_are_needed_where_per_is_given(cells):
    del cells.obs["time"]
    cf.pp.growth(cells, per="h")
    assert cells.uns["cellflow"]["growth"]["days_per_unit"] == 1 / 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per": "day"}, "per is 'day', but the times are in hours"),
        (
            {"per": "fortnight"},
            "unknown unit of time 'fortnight'; valid: second, minute, hour, day",
        ),
        ({"per": -1.0}, "per must be positive"),
        ({"birth": (1.7, 0.3)}, r"birth must be .lowest, highest.*\(1.7, 0.3\)"),
        ({"death": (-0.1, 0.3)}, "death must be .lowest, highest"),
        ({"species": "rat"}, "unknown species 'rat'; valid: human, mouse"),
        ({"proliferation": "CDK1"}, "must be a list of names, got 'CDK1'"),
        ({"proliferation": ()}, "0 of 0 proliferation genes"),
        ({"apoptosis": ["NOT", "THERE"]}, r"0 of 2 apoptosis genes.*missing: NOT, THERE"),
        ({"layer": "raw"}, "no layer 'raw'"),
    ],
)
def test_what_makes_no_sense_is_refused(cells, options, message):
    with pytest.raises(cf.InputError, match=message):
        cf.pp.growth(cells, **options)
    assert list(cells.obs) == ["time", "fate"]


def with_identifiers(cells, column="feature_name"):
    """The same cells with Ensembl identifiers as names of genes, and symbols in a column."""
    named = cells.copy()
    named.var[column] = pd.Categorical(cells.var_names)
    named.var_names = [f"ENSG{k:011d}.{k % 9}" for k in range(cells.n_vars)]
    return named


@pytest.mark.parametrize("species", ["human", "mouse"])
@pytest.mark.parametrize(
    ("column", "options"), [("gene_symbols", {}), ("mine", {"gene_symbols": "mine"})]
)
def test_growth_by_symbols_is_that_of_symbols_as_names(species, column, options):
    cells = culture(species)
    named = with_identifiers(cells, column)
    cf.pp.growth(cells)
    cf.pp.growth(named, **options)
    np.testing.assert_array_equal(named.obs["cellflow_growth"], cells.obs["cellflow_growth"])
    entry = named.uns["cellflow"]["growth"]
    assert entry["species"] == species
    assert entry["gene_symbols"] == column
    assert entry["proliferation"]["genes"].tolist() == symbols(species, "S", "G2M")
    assert entry["proliferation"]["gene_ids"].tolist() == named.var_names[:97].tolist()


def test_own_sets_may_be_identifiers(cells):
    named = with_identifiers(cells)
    cf.pp.growth(named, proliferation=["ENSG00000000000", "PCNA"], apoptosis=())
    cf.pp.growth(cells, proliferation=["MCM5", "PCNA"], apoptosis=())
    np.testing.assert_array_equal(named.obs["cellflow_growth"], cells.obs["cellflow_growth"])


def test_of_genes_with_one_symbol_the_highest_expressed_is_scored(cells, capsys):
    named = with_identifiers(cells)
    cf.pp.growth(cells, proliferation=["PCNA"], apoptosis=())
    twice = named.var["feature_name"].astype(object)
    silent = int(np.asarray(named.X.sum(axis=0)).ravel()[128:].argmin()) + 128
    twice.iloc[silent] = "PCNA"
    named.var["feature_name"] = twice
    cf.pp.growth(named, proliferation=["PCNA"], apoptosis=())
    np.testing.assert_array_equal(named.obs["cellflow_growth"], cells.obs["cellflow_growth"])
    assert "the highest expressed is used: PCNA (ENSG00000000001.1)" in capsys.readouterr().err


def test_growth_of_the_genes_in_raw(cells):
    """X has variable genes without markers; raw has all, and its symbols stand in var or raw."""
    named = with_identifiers(cells)
    cf.pp.growth(cells)
    few = named[:, 128:].copy()
    few.raw = named
    with pytest.raises(cf.InputError, match=r"raw has 328 genes: layer='raw' \(--layer raw\)"):
        cf.pp.growth(few)
    cf.pp.growth(few, layer="raw")
    np.testing.assert_array_equal(few.obs["cellflow_growth"], cells.obs["cellflow_growth"])
    bare = named.copy()
    del bare.var["feature_name"]
    named.raw = bare
    cf.pp.growth(named, layer="raw")
    np.testing.assert_array_equal(named.obs["cellflow_growth"], cells.obs["cellflow_growth"])


def test_missing_genes_are_named_with_what_to_do(cells):
    told = (
        r"0 of 97 proliferation genes \(0%\) are in the data, at least 30% are required; "
        r"missing: MCM5, PCNA, .*\(85 more\)\. "
    )
    cells.var_names = [f"ENSG{k:011d}" for k in range(cells.n_vars)]
    with pytest.raises(cf.InputError, match=told + "var_names are identifiers, and var has no"):
        cf.pp.growth(cells)
    cells.var["alias"] = [f"G{k}" for k in range(cells.n_vars)]
    with pytest.raises(cf.InputError, match=told + r".*gene_symbols= .*there are: alias"):
        cf.pp.growth(cells)
    with pytest.raises(cf.InputError, match=told + r"Does var\['alias'\] hold gene symbols, is"):
        cf.pp.growth(cells, gene_symbols="alias")
    cells.var["other"] = "x"
    cells.var["highly_variable"] = True
    with pytest.raises(cf.InputError, match=r"hold gene symbols \(.* another column: other\), is"):
        cf.pp.growth(cells, gene_symbols="alias")
    cells.var_names = cells.var["alias"]
    with pytest.raises(cf.InputError, match=told + r"Does var_names hold .*species 'human'"):
        cf.pp.growth(cells)


def test_some_missing_genes_are_recorded(cells):
    some = cells[:, 10:].copy()
    cf.pp.growth(some)
    entry = some.uns["cellflow"]["growth"]["proliferation"]
    assert entry["missing"].tolist() == symbols("human", "S")[:10]
    assert entry["genes"].tolist() == symbols("human", "S", "G2M")[10:]
    assert entry["share"] == 87 / 97


def test_without_apoptosis_genes_all_cells_die_at_the_rate_of_score_zero(cells, capsys):
    some = cells[:, [*range(100), *range(128, 328)]].copy()
    cf.pp.growth(some)
    assert "only 3 of 31 apoptosis genes are in the data" in capsys.readouterr().err
    death = logistic(0.0, 0.3, 1.7, *DEATH_RISE)
    birth = logistic(some.obs[SCORES[0]], 0.3, 1.7, *BIRTH_RISE)
    np.testing.assert_allclose(some.obs["cellflow_growth"], (birth - death) / 24)
    assert not some.obs[SCORES[1]].any()
    assert some.uns["cellflow"]["growth"]["apoptosis"]["share"] == 0
    without = some.copy()
    cf.pp.growth(without, apoptosis=())
    np.testing.assert_array_equal(without.obs["cellflow_growth"], some.obs["cellflow_growth"])


def test_own_genes_are_scored_instead(cells):
    cf.pp.growth(cells, proliferation=["ACTB1", "ACTB2"], apoptosis=["ACTB3"])
    entry = cells.uns["cellflow"]["growth"]
    assert entry["proliferation"]["genes"].tolist() == ["ACTB1", "ACTB2"]
    assert entry["apoptosis"]["genes"].tolist() == ["ACTB3"]


def test_earlier_symbols_are_found(cells):
    before = cells.copy()
    earlier = {"CENPU": "MLF1IP", "PIMREG": "FAM64A", "JPT1": "HN1"}
    before.var_names = [earlier.get(name, name) for name in before.var_names]
    cf.pp.growth(cells)
    cf.pp.growth(before)
    np.testing.assert_allclose(before.obs["cellflow_growth"], cells.obs["cellflow_growth"])
    assert {"MLF1IP", "FAM64A", "HN1"} <= set(
        before.uns["cellflow"]["growth"]["proliferation"]["genes"]
    )


@pytest.mark.parametrize("species", ["human", "mouse"])
def test_the_species_is_told_by_the_case_of_names(species):
    cells = culture(species)
    cf.pp.growth(cells)
    entry = cells.uns["cellflow"]["growth"]
    assert entry["species"] == species
    assert entry["proliferation"]["share"] == entry["apoptosis"]["share"] == 1
    given = culture(species)
    cf.pp.growth(given, species=species)
    np.testing.assert_array_equal(given.obs["cellflow_growth"], cells.obs["cellflow_growth"])


def test_the_wrong_species_is_refused(cells):
    with pytest.raises(cf.InputError, match=r"0 of 97 .*missing: Mcm5.* species 'mouse'"):
        cf.pp.growth(cells, species="mouse")


def test_a_layer_with_counts_is_as_good_as_x(cells):
    other = AnnData(obs=cells.obs, var=cells.var, layers={"counts": cells.X})
    with pytest.raises(
        cf.InputError, match=r"X is empty.*choose a layer \(--layer\), there are: counts"
    ):
        cf.pp.growth(other)
    cf.pp.growth(other, layer="counts")
    cf.pp.growth(cells)
    np.testing.assert_array_equal(other.obs["cellflow_growth"], cells.obs["cellflow_growth"])


def test_logarithms_are_taken_as_they_are(cells):
    logs = cells.copy()
    depth = np.asarray(cells.X.sum(axis=1)).ravel()
    sc.pp.normalize_total(logs, target_sum=np.median(depth))
    linear = logs.copy()
    sc.pp.log1p(logs)
    cf.pp.growth(cells)
    cf.pp.growth(logs)
    np.testing.assert_allclose(logs.obs["cellflow_growth"], cells.obs["cellflow_growth"], rtol=1e-4)
    linear.X = linear.X * 100
    cf.pp.growth(linear)
    np.testing.assert_allclose(
        linear.obs["cellflow_growth"], cells.obs["cellflow_growth"], rtol=1e-2
    )


def test_cells_without_counts_get_the_rate_of_score_zero(cells):
    cells.X = cells.X.toarray()
    cells.X[5] = 0
    cf.pp.growth(cells)
    birth, death = (logistic(0.0, 0.3, 1.7, *rise) for rise in (BIRTH_RISE, DEATH_RISE))
    np.testing.assert_allclose(cells.obs["cellflow_growth"].iloc[5], (birth - death) / 24)


def test_a_set_without_controls_is_refused(cells):
    few = cells[:, :97].copy()
    with pytest.raises(cf.InputError, match="no other genes have an expression similar to MCM5"):
        cf.pp.growth(few)


def test_repeated_gene_names_are_refused(cells):
    cells.var_names = [*cells.var_names[:-1], "CDK1"]
    with pytest.raises(cf.InputError, match=r"gene names repeat: CDK1; call .*make_unique\(\)"):
        cf.pp.growth(cells)


def test_a_copy_leaves_the_original_alone(cells):
    grown = cf.pp.growth(cells, copy=True, key_added="pace")
    assert list(cells.obs) == ["time", "fate"]
    assert "cellflow" not in cells.uns
    assert list(grown.obs) == ["time", "fate", *SCORES, "pace"]
    assert grown.uns["cellflow"]["growth"]["key_added"] == "pace"
    np.testing.assert_array_equal(grown.X.toarray(), cells.X.toarray())


@pytest.mark.parametrize("apoptosis", [None, ()])
def test_slots_survive_h5ad(cells, tmp_path, apoptosis):
    cf.pp.time_points(cells, "time")
    cf.pp.growth(cells, apoptosis=apoptosis)
    cells.write_h5ad(tmp_path / "a.h5ad")
    again = anndata.read_h5ad(tmp_path / "a.h5ad")
    pd.testing.assert_frame_equal(
        again.obs[["cellflow_growth", *SCORES]], cells.obs[["cellflow_growth", *SCORES]]
    )
    first, second = (a.uns["cellflow"]["growth"] for a in (cells, again))
    assert first.keys() == second.keys()
    assert second["species"] == "human"
    assert second["days_per_unit"] == 1 / 24
    np.testing.assert_array_equal(second["birth"], [0.3, 1.7])
    for name in ("proliferation", "apoptosis"):
        assert list(second[name]["genes"]) == list(first[name]["genes"])
        assert second[name]["share"] == first[name]["share"]


@pytest.mark.parametrize(("name", "size"), [("S", 43), ("G2M", 54), ("apoptosis", 31)])
def test_the_lists_have_their_sizes_in_both_species(name, size):
    assert len(gene_names("human", name)) == len(gene_names("mouse", name)) == size


@pytest.mark.parametrize("species", ["human", "mouse"])
def test_no_symbol_stands_twice_in_the_lists(species):
    every = [name for names in gene_names(species, "S", "G2M", "apoptosis") for name in names]
    assert len(every) == len(set(every))
    assert all(name == name.strip() and name for name in every)


def test_mouse_symbols_are_the_human_ones_in_lower_case_but_for_known_exceptions():
    pairs = zip(
        symbols("human", "S", "G2M", "apoptosis"),
        symbols("mouse", "S", "G2M", "apoptosis"),
        strict=True,
    )
    other = {human: mouse for human, mouse in pairs if mouse != human.capitalize()}
    assert other == {"TP53": "Trp53", "FASLG": "Fasl"}
