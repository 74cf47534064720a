"""Growth, trends and drivers of flows whose answers are known."""

from dataclasses import replace

import anndata
import numpy as np
import pandas as pd
import pytest
from matplotlib.colors import to_hex
from scipy import sparse, stats

import cellflow as cf
from cellflow.io import read_table, write_table
from cellflow.marginals import TimeAxis
from cellflow.pl._colours import group_colours
from cellflow.representation import LinearMap, Representation, read_slots, write_slots
from tests.linear_flows import linear_flow

GENES = ["A", "B", "C", "D"]
#: How the change of each gene (rows) depends on each gene (columns), per day.
REGULATION = np.array([[0, 0.8, 0, 0], [0, 0, 0, 0], [-0.3, 0, -0.5, 0], [0, 0, 0, 0.1]])


@pytest.fixture
def measured(rng):
    """Four genes at three days."""
    x = rng.normal(size=(150, 4)) * [1.0, 2.0, 0.5, 1.0] + [3.0, 1.0, 0.0, -2.0]
    obs = pd.DataFrame({"day": np.repeat([0.0, 1.0, 2.0], 50)}, index=[f"c{k}" for k in range(150)])
    obs["type"] = pd.Categorical(np.tile(["x", "y"], 75))
    adata = anndata.AnnData(x, obs=obs, var=pd.DataFrame(index=GENES))
    linear = LinearMap(tuple(GENES), x.mean(axis=0), x.std(axis=0), np.linalg.qr(x[:4])[0])
    spread = np.array([1.0, 2.0, 0.5, 1.0])
    map_of_all = Representation("other", "", linear, np.zeros(4), spread, whitened=True)
    write_slots(adata, map_of_all, "X_cellflow")
    return adata


@pytest.fixture
def regulated(measured):
    """A flow whose genes obey dx/dt = REGULATION (x - mean) + (1, 0, 0, 0)."""
    fitted = read_slots(measured, "X_cellflow")
    scale, loadings = fitted.linear.scale[:, None], fitted.linear.loadings
    there, back = loadings / scale / fitted.spread, loadings * scale * fitted.spread
    matrix = there.T @ REGULATION @ back
    shift = there.T @ np.array([1.0, 0, 0, 0])
    return linear_flow(measured, matrix, shift, (0, 1, 2), rate=0.7, use_rep="X_cellflow")


def test_growth_is_that_of_the_flow_per_unit_of_elapsed_time(course, tmp_path):
    flow = linear_flow(course, np.eye(3), np.zeros(3), (0, 1, 2, 4), rate=0.8)
    cf.tl.growth(course, flow)
    np.testing.assert_allclose(course.obs["cellflow_growth"], 0.8 * 3 / 4, rtol=1e-4)
    course.write_h5ad(tmp_path / "g.h5ad")
    again = anndata.read_h5ad(tmp_path / "g.h5ad")
    assert again.uns["cellflow"]["learned_growth"]["cellflow_growth"]["flow_id"] == flow.fingerprint
    assert cf.tl.growth(course, flow, key_added="other", copy=True).obs["other"].notna().all()
    assert "other" not in course.obs
    with pytest.raises(cf.InputError, match="this flow keeps mass"):
        cf.tl.growth(course, linear_flow(course, np.eye(3), np.zeros(3), (0, 1, 2, 4)))


def test_jacobian_of_a_linear_flow_is_its_matrix_between_genes(measured, regulated):
    table = cf.tl.drivers(measured, flow=regulated, method="jacobian", by="type")
    for group in ("x", "y"):
        part = table[table["group"] == group]
        found = part.pivot(index="target", columns="regulator", values="effect").loc[GENES, GENES]
        np.testing.assert_allclose(found, REGULATION, atol=1e-4)
    first = table.iloc[0]
    assert (first["regulator"], first["target"]) == ("B", "A")
    # Two intervals in four days: half as fast in elapsed time.
    slow = replace(regulated, axis=TimeAxis("real", (0.0, 1.0, 4.0)))
    halved = cf.tl.drivers(measured, flow=slow, method="jacobian", by="type")["effect"]
    np.testing.assert_allclose(halved, table["effect"] / 2, atol=1e-6)
    assert len(cf.tl.drivers(measured, flow=regulated, method="jacobian", n_top=3)) == 3
    chosen = cf.tl.drivers(measured, flow=regulated, method="jacobian", genes=["A", "C"])
    assert set(chosen["regulator"]) == {"A", "C"}


def test_velocity_of_genes_is_known_in_each_group(measured, regulated):
    table = cf.tl.drivers(measured, flow=regulated, method="velocity", by="type", times=1)
    cells = measured[(measured.obs["day"] == 1) & (measured.obs["type"] == "y")]
    speed = (cells.X - measured.X.mean(axis=0)) @ REGULATION.T + [1, 0, 0, 0]
    found = table[table["group"] == "y"].set_index("gene").loc[GENES]
    np.testing.assert_allclose(found["velocity"], speed.mean(axis=0), atol=1e-4)
    np.testing.assert_allclose(found["share_up"][["A", "D"]], (speed > 0).mean(axis=0)[[0, 3]])


def test_correlation_finds_the_gene_of_a_fate_and_agrees_with_scipy(measured, rng):
    fate = 1 / (1 + np.exp(-3 * measured.X[:, 2]))
    measured.obsm["fate_probabilities"] = np.stack([fate, 1 - fate], axis=1)
    measured.obsm["fate_probabilities"][:7] = np.nan
    measured.uns["cellflow"]["fate_probabilities"] = {
        "names": np.array(["left", "right"], dtype=object)
    }
    measured.X[:, 3] = 3.3
    table = cf.tl.drivers(measured)
    left = table[table["group"] == "left"].set_index("gene")
    assert left.index[0] == "C"
    assert left.index[-1] == "D"
    assert left["correlation"].iloc[:3].is_monotonic_decreasing
    assert left["n"].eq(143).all()
    for gene, column in (("A", 0), ("C", 2)):
        r, p = stats.pearsonr(measured.X[7:, column], fate[7:])  # as if fates were measured
        assert left.loc[gene, "correlation"] == pytest.approx(r)
        assert p < left.loc[gene, "p"] <= 1
    assert left.loc["D", ["correlation", "p", "q"]].isna().all()
    assert (left["q"].dropna() >= left["p"].dropna()).all()
    right = table[table["group"] == "right"].set_index("gene")
    assert right.index.tolist() == [*left.index[:3][::-1], "D"], "genes that fall are last"
    assert right.loc["C", "correlation"] == pytest.approx(-left.loc["C", "correlation"])


def test_p_is_that_of_the_fate_and_not_of_its_probability(measured, rng):
    """Against fates drawn from the probabilities, and scipy where fates are certain."""
    gene = measured.X[:, 2]
    slope = 1 / (1 + np.exp(-gene))
    weak = 0.5 + 1e-3 * (slope - 0.5)
    fates = {"slope": slope, "weak": weak, "sure": (gene > 0).astype(float), "score": 5 * gene}
    measured.obsm["fate_probabilities"] = pd.DataFrame(fates, index=measured.obs_names)
    table = cf.tl.drivers(measured, genes="C").set_index("group")
    drawn = rng.uniform(size=(4000, 150)) < slope
    mean = np.mean([np.corrcoef(gene, each)[0, 1] for each in drawn])
    p = 2 * stats.t.sf(mean * np.sqrt(148 / (1 - mean**2)), 148)
    assert np.log(table.loc["slope", "p"]) == pytest.approx(np.log(p), rel=0.03)
    assert table.loc["slope", "correlation"] > mean
    assert table.loc["weak", "correlation"] > 0.95
    assert table.loc["weak", "p"] > 0.9
    other = cf.tl.drivers(measured, genes="A").set_index("group")
    for name in ("sure", "score"):
        assert table.loc[name, "p"] == pytest.approx(stats.pearsonr(gene, fates[name])[1], abs=1e-9)
        expected = stats.pearsonr(measured.X[:, 0], fates[name])[1]
        assert other.loc[name, "p"] == pytest.approx(expected, rel=1e-6)


def test_no_gene_drives_a_fate_that_is_not_drawn_yet(quick):
    """At day 0 nothing is known of the fates, drawn at day 2.45; at day 4 they are expressed."""
    adata = cf.datasets.simulate_course(n_cells=600, n_genes=60, rng=3)
    cf.pp.embed(adata, n_dims=6)
    flow = cf.tl.fit(adata, time_key="time", recipe=quick, progress=False)
    cf.tl.fates(adata, flow, "fate")
    early = cf.tl.drivers(adata, times=0)
    r, n = early["correlation"].to_numpy(), early["n"].to_numpy()
    as_measured = 2 * stats.t.sf(np.abs(r) * np.sqrt((n - 2) / (1 - r**2)), n - 2)
    assert (stats.false_discovery_control(as_measured) < 0.05).any()
    assert not (early["q"] < 0.05).any()
    late = cf.tl.drivers(adata, times=4)
    assert (late["q"] < 0.001).sum() > 10


def test_missing_correlations_have_a_note_and_the_rest_finite_p(
    measured, caplog, monkeypatch, tmp_path
):
    early = np.arange(150) < 3
    fates = {
        "ramp": np.where(early, [*range(3)] + [0] * 147, np.nan),
        "same": np.full(150, 0.65) + 1e-9 * np.arange(150),
        "two": np.where(np.arange(150) < 2, [0, 1] + [0] * 148, np.nan),
    }
    measured.obsm["fate_probabilities"] = pd.DataFrame(fates, index=measured.obs_names)
    measured.X[:3, 0] = [5.0, 6.0, 7.0]
    measured.X[:, 3] = 3.3
    monkeypatch.setattr("cellflow._log.logger.propagate", True)
    with caplog.at_level("INFO", logger="cellflow"):
        table = cf.tl.drivers(measured)
    assert "no correlation with 'same': the fate has one value (150 cells used)" in caplog.messages
    assert "no correlation with 'two': fewer than three cells (2 cells used)" in caplog.messages
    assert any(
        "no correlation of 1 of 4 genes" in text and ": D" in text for text in caplog.messages
    )
    notes = table.set_index(["group", "gene"])["note"]
    assert notes["ramp"].to_dict() == {"A": "", "B": "", "C": "", "D": "the gene has one value"}
    assert notes["same"].eq("the fate has one value").all()
    assert table["correlation"].isna().equals(table["note"] != "")
    first = table.iloc[0]
    assert first["gene"] == "A"
    assert first["correlation"] == pytest.approx(1)
    assert 0 <= first["p"] < 1e-6
    numbers = table.loc[table["note"] == "", ["correlation", "p", "q"]]
    assert np.isfinite(numbers).all(axis=None)
    assert numbers[["p", "q"]].stack().between(0, 1).all()
    write_table(table, tmp_path / "d.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "d.csv"), table, check_dtype=False)
    measured.obsm["fate_probabilities"].loc[:, :] = np.nan
    with pytest.raises(cf.InputError, match="needs 3 cells or more with a known fate, got 0"):
        cf.tl.drivers(measured)


def test_shares_stay_shares_and_weights_of_means_are_not_negative(measured, rng):
    rising = linear_flow(
        measured, np.zeros((4, 4)), np.full(4, 9.0), (0, 1, 2), use_rep="X_cellflow"
    )
    weights = rng.uniform(size=(150, 40))
    assert ((weights / weights.sum(axis=0)).T @ np.ones(150) > 1).any(), "rounding is tried"
    measured.obsm["w"] = pd.DataFrame(weights, index=measured.obs_names)
    table = cf.tl.drivers(measured, flow=rising, method="velocity", by="w")
    assert table["share_up"].between(0, 1).all()
    assert table["share_up"].max() == pytest.approx(1)
    measured.obsm["w"] -= 0.5
    with pytest.raises(cf.InputError, match=r"obsm\['w'\] has negative weights"):
        cf.tl.drivers(measured, flow=rising, method="velocity", by="w")


def test_sparse_counts_correlate_as_dense_ones(semrau):
    semrau.obsm["fate_probabilities"] = pd.DataFrame(
        {"late": semrau.obs["time"].to_numpy() / 96}, index=semrau.obs_names
    )
    expected = cf.tl.drivers(semrau, n_top=5)
    for dtype in (np.float32, np.float16):
        semrau.X = (semrau.X if dtype == np.float16 else semrau.X.toarray()).astype(dtype)
        pd.testing.assert_frame_equal(cf.tl.drivers(semrau, n_top=5), expected)


@pytest.mark.filterwarnings("ignore:Variable names are not unique")
def test_genes_may_be_one_and_share_a_name(measured, regulated):
    one = cf.tl.drivers(measured, by="type", genes="B")
    assert one["gene"].tolist() == ["B", "B"]
    assert set(cf.tl.drivers(measured, flow=regulated, method="velocity", genes="B").gene) == {"B"}
    measured.var_names = ["A", "B", "B", "D"]
    assert len(cf.tl.drivers(measured, by="type", genes=["B"])) == 4


@pytest.fixture
def identified(measured):
    """The same cells: genes have identifiers, and two of them share a symbol."""
    measured.var["gene_name"] = ["SOX2", "MKI67", "MKI67", None]
    measured.obsm["fates"] = pd.DataFrame({"up": measured.obs["day"]}, index=measured.obs_names)
    return measured


def test_drivers_have_symbols_and_keep_identifiers(identified, regulated, tmp_path):
    labels = {"A": "SOX2", "B": "MKI67_B", "C": "MKI67_C", "D": "D"}
    bare = identified.copy()
    del bare.var["gene_name"]
    for settings in ({"by": "fates"}, {"flow": regulated, "method": "velocity"}):
        plain = cf.tl.drivers(bare, **settings)
        table = cf.tl.drivers(identified, **settings, gene_symbols="gene_name")
        assert table.columns.tolist()[:3] == ["group", "gene", "gene_id"]
        assert table["gene"].tolist() == table["gene_id"].map(labels).tolist()
        renamed = table.drop(columns="gene").rename(columns={"gene_id": "gene"})
        pd.testing.assert_frame_equal(renamed, plain)
        some = cf.tl.drivers(identified, **settings, gene_symbols="gene_name", genes=["MKI67", "A"])
        assert set(some["gene_id"]) == {"A", "B", "C"}
    table = cf.tl.drivers(
        identified, flow=regulated, method="jacobian", gene_symbols="gene_name", genes="MKI67"
    )
    assert table.columns.tolist() == [
        "group", "regulator", "regulator_id", "target", "target_id", "effect",
    ]  # fmt: skip
    assert set(table["target_id"]) == {"B", "C"}
    table["target_id"] = ["1", "2", "3", "4"]  # numbers, as of Entrez, stay text
    write_table(table, tmp_path / "j.csv")
    pd.testing.assert_frame_equal(read_table(tmp_path / "j.csv"), table)


def test_trends_have_symbols_and_keep_identifiers(identified, regulated):
    settings = {"n_times": 2, "gene_symbols": "gene_name"}
    bare = identified.copy()
    del bare.var["gene_name"]
    plain = cf.tl.gene_trends(bare, regulated, n_times=2)
    table = cf.tl.gene_trends(identified, regulated, **settings)
    assert table["gene"].unique().tolist() == ["SOX2", "MKI67_B", "MKI67_C", "D"]
    renamed = table.drop(columns="gene").rename(columns={"gene_id": "gene"})
    pd.testing.assert_frame_equal(renamed, plain)
    decoded = cf.tl.gene_trends(
        identified, regulated, genes="SOX2", decoder=lambda x: x[:, :4] * 0 + 7, **settings
    )
    assert decoded[["gene", "gene_id", "mean"]].to_numpy().tolist() == [["SOX2", "A", 7.0]] * 3
    axes = cf.pl.gene_trends(table, genes=["SOX2", "C"], show=False)
    assert [ax.get_title() for ax in axes] == ["SOX2", "MKI67_C"]


def with_a_fifth_gene(measured):
    """The same cells, and a gene E = 2 + 3 A - C outside the representation."""
    fifth = anndata.AnnData(
        2 + measured.X @ np.array([[3.0], [0.0], [-1.0], [0.0]]), var=pd.DataFrame(index=["E"])
    )
    fifth.obs_names = measured.obs_names
    return anndata.concat([measured, fifth], axis=1, merge="first", uns_merge="first")


def test_genes_outside_the_representation_are_decoded_by_regression(measured, regulated, capsys):
    cells = with_a_fifth_gene(measured)
    settings = {"genes": ["A", "C", "E"], "n_times": 3}
    trends = cf.tl.gene_trends(cells, regulated, **settings)
    assert "was not made of are decoded by regression on its 4" in (told := capsys.readouterr().err)
    assert "E (100%)" in told
    mean = trends.pivot(index="time", columns="gene", values="mean")
    np.testing.assert_allclose(mean["E"], 2 + 3 * mean["A"] - mean["C"], atol=1e-4)
    table = cf.tl.drivers(cells, flow=regulated, method="velocity", genes=["E", "A", "C"])
    velocity = table.set_index("gene")["velocity"]
    assert velocity["E"] == pytest.approx(3 * velocity["A"] - velocity["C"], abs=1e-4)
    plain = cf.tl.gene_trends(cells, regulated, genes=["A", "C"], n_times=3)
    pd.testing.assert_frame_equal(plain, trends[trends["gene"] != "E"].reset_index(drop=True))


def test_genes_of_a_representation_of_raw_have_its_symbols(quick, rng):
    names = [f"ENSG{k:011d}" for k in range(12)]
    var = pd.DataFrame({"symbol": [f"G{k}" for k in range(12)], "used": True}, index=names)
    obs = pd.DataFrame({"day": np.repeat([0.0, 1.0], 40)}, index=[f"c{k}" for k in range(80)])
    whole = anndata.AnnData(rng.poisson(5, (80, 12)).astype(float), obs=obs, var=var)
    cells = whole[:, [3, 1]].copy()
    del cells.var["symbol"]
    cells.var["own"] = True
    cells.raw = whole
    cf.pp.embed(cells, layer="raw", n_dims=2)
    flow = cf.tl.fit(cells, time_key="day", recipe=quick, progress=False)
    trends = cf.tl.gene_trends(cells, flow, genes="G7", n_times=2)
    assert set(trends["gene_id"]) == {names[7]}
    table = cf.tl.drivers(cells, flow=flow, method="velocity")
    assert set(table["gene"]) == set(var["symbol"])
    predicted = cf.tl.interpolate(cells, flow, 0.5)
    assert predicted.var["symbol"].tolist() == var["symbol"].tolist()
    assert predicted.var["own"].notna().sum() == 2
    cells.obsm["fates"] = pd.DataFrame({"late": obs["day"]})
    assert cf.tl.drivers(cells, by="fates", layer="raw", genes="G7")["gene_id"].eq(names[7]).all()
    with pytest.raises(cf.InputError, match=r"not in the data: G7.*raw has 12 genes: layer='raw'"):
        cf.tl.drivers(cells, by="fates", genes="G7")


def test_genes_of_an_embedding_without_loadings_are_decoded_by_regression(rng, capsys):
    day = np.repeat([0.0, 1.0], 60)
    points = rng.normal(size=(120, 2)) + day[:, None]
    values = np.log1p(np.exp(points @ np.array([[0.3, 0.0], [0.0, -0.2]])) + 1.0)
    cells = anndata.AnnData(
        values, obs=pd.DataFrame({"day": day}, index=[f"c{k}" for k in range(120)]),
        var=pd.DataFrame(index=["UP", "DOWN"]), obsm={"X_scVI": points}, uns={"log1p": {}},
    )  # fmt: skip
    flow = linear_flow(cells, np.zeros((2, 2)), [1.0, 1.0], (0, 1), use_rep="X_scVI")
    trends = cf.tl.gene_trends(cells, flow, genes=["UP", "DOWN"], n_times=2)
    assert "decoded by regression on its 2 dimensions" in (told := capsys.readouterr().err)
    assert int(told.split("UP (")[1].split("%")[0]) > 95
    mean = trends.pivot(index="time", columns="gene", values="mean")
    for time in (0.0, 1.0):
        np.testing.assert_allclose(
            mean.loc[time, ["UP", "DOWN"]], values[day == time].mean(axis=0), atol=0.02
        )
    velocity = cf.tl.drivers(cells, flow=flow, method="velocity", genes=["UP", "DOWN"])
    assert (velocity.set_index("gene")["velocity"] > 0).to_dict() == {"UP": True, "DOWN": False}
    with pytest.raises(cf.InputError, match="or name genes for gene trends"):
        cf.tl.gene_trends(cells, flow)


def test_a_gene_that_is_noise_is_said_to_be_unexplained(measured, regulated, rng, capsys):
    cells = with_a_fifth_gene(measured)
    cells.X[:, 4] = rng.normal(size=cells.n_obs)
    trends = cf.tl.gene_trends(cells, regulated, genes="E", n_times=3)
    share = int(capsys.readouterr().err.split("E (")[1].split("%")[0])
    assert share < 10
    observed = trends[trends["observed"]]["mean"]
    assert np.abs(observed - cells.X[:, 4].mean()).max() < 0.3


def test_unknown_genes_are_told_from_those_that_a_method_lacks(measured, regulated):
    cells = with_a_fifth_gene(measured)
    with pytest.raises(cf.InputError, match=r"genes of the data .*: E; it has 4 of 5 genes: A, B"):
        cf.tl.drivers(cells, flow=regulated, method="jacobian", genes=["A", "E"])
    for verb in (cf.tl.gene_trends, lambda *a, **k: cf.tl.drivers(a[0], flow=a[1], **k)):
        extra = {} if verb is cf.tl.gene_trends else {"method": "velocity"}
        with pytest.raises(cf.InputError, match=r"genes that are not in the data: Q; it has: A"):
            verb(cells, regulated, genes=["E", "Q"], **extra)


def test_trends_follow_the_equation_of_the_genes(measured, regulated):
    """Gene B stands still, gene D grows by exp(0.1 t) from its mean, to first order as known."""
    trends = cf.tl.gene_trends(measured, regulated, n_times=5, start="previous")
    assert trends["time"].unique().tolist() == [0, 0.5, 1, 1.5, 2]
    wide = trends.pivot(index="time", columns="gene", values="mean")
    own = {
        day: measured.X[(measured.obs["day"] == day).to_numpy()].mean(axis=0) for day in (0, 1, 2)
    }
    centre = measured.X.mean(axis=0)
    for day in (0, 1, 2):
        np.testing.assert_allclose(wide.loc[day, GENES], own[day], atol=1e-4)
    assert wide.loc[0.5, "B"] == pytest.approx(own[0][1], abs=1e-4)
    grown = centre[3] + np.exp(0.05) * (own[0][3] - centre[3])
    assert wide.loc[0.5, "D"] == pytest.approx(grown, abs=1e-4)
    assert trends.groupby("time")["observed"].all().tolist() == [True, False, True, False, True]


def test_bands_are_weighted_quantiles_by_group_and_by_fate(measured, regulated):
    fate = np.linspace(0, 1, 150)
    measured.obsm["fates"] = pd.DataFrame({"one": fate, "two": 1 - fate}, index=measured.obs_names)
    first = (measured.obs["day"] == 0).to_numpy()
    trends = cf.tl.gene_trends(measured, regulated, genes="A", by="type", n_times=2)
    low = trends[(trends["group"] == "y") & (trends["time"] == 0)]["low"].item()
    cells = measured.X[first & (measured.obs["type"] == "y").to_numpy(), 0]
    assert low == pytest.approx(np.quantile(cells, 0.1, method="inverted_cdf"), abs=1e-4)
    by_fate = cf.tl.gene_trends(measured, regulated, genes=["A"], by="fates", n_times=2)
    found = by_fate[(by_fate["group"] == "one") & (by_fate["time"] == 0)]
    assert found["mean"].item() == pytest.approx(
        np.average(measured.X[first, 0], weights=fate[first]), abs=1e-4
    )
    assert found["share"].item() == pytest.approx(fate[first].mean())


def test_trends_of_fates_coincide_until_the_fates_are_known(measured, regulated):
    """Before day 2 the odds are 65 to 35 for all cells; at day 2 each cell has its own fate."""
    last, kind = (measured.obs["day"] == 2).to_numpy(), measured.obs["type"].to_numpy()
    odds = {
        name: np.where(last, (kind == name).astype(float), share)
        for name, share in {"x": 0.65, "y": 0.35}.items()
    }
    measured.obsm["fate_probabilities"] = pd.DataFrame(odds, index=measured.obs_names)
    trends = cf.tl.gene_trends(measured, regulated, genes="B", by="fate_probabilities", n_times=9)
    wide = trends.pivot(index="time", columns="group", values=["mean", "low", "high", "share"])
    numbers = wide.xs("x", axis=1, level=1) - wide.xs("y", axis=1, level=1)
    early = wide.index <= 1
    np.testing.assert_allclose(numbers.loc[early, ["mean", "low", "high"]], 0, atol=1e-9)
    np.testing.assert_allclose(wide["share"].loc[early, "x"], 0.65)
    apart = numbers.loc[~early, "mean"]
    assert apart.is_monotonic_increasing
    cells = measured.X[last, 1]
    expected = cells[kind[last] == "x"].mean() - cells[kind[last] == "y"].mean()
    assert apart[2.0] == pytest.approx(expected, abs=1e-3)
    assert wide["share"].loc[2.0, "x"] == pytest.approx(0.5)
    measured.X[last & (kind == "x"), 1] += 3
    table = cf.tl.drivers(measured)
    assert table["n"].eq(150).all(), "cells of the end times are used"
    assert table.iloc[0][["group", "gene"]].tolist() == ["x", "B"]


@pytest.mark.parametrize("stored", [None, ["red", "grey80", "blue"], {"x": "red", "y": "blue"}])
def test_trends_carry_the_colours_of_groups_and_of_their_fates(measured, regulated, stored):
    measured.obs["kind"] = pd.Categorical(measured.obs["type"], ["x", "gone", "y"])
    if stored is not None:
        measured.uns["kind_colors"] = stored
    known = group_colours(measured, "kind")
    cf.tl.fates(measured, regulated, "kind", by="flow")
    for by in ("kind", "fate_probabilities"):
        trends = cf.tl.gene_trends(measured, regulated, genes="A", by=by, n_times=2)
        found = dict(zip(trends["group"], trends["color"].map(to_hex), strict=True))
        assert found == {name: known[name] for name in ("x", "y")}


def test_trends_by_fate_end_where_no_cell_has_one(measured, regulated):
    last = (measured.obs["day"] == measured.obs["day"].max()).to_numpy()
    measured.obsm["kind"] = pd.DataFrame(
        {"y": np.where(last, np.nan, 0.6), "x": np.where(last, np.nan, 0.4)},
        index=measured.obs_names,
    )
    trends = cf.tl.gene_trends(measured, regulated, by="kind", n_times=2)
    assert trends["group"].unique().tolist() == ["y", "x"]
    ends = trends["time"] == trends["time"].max()
    assert trends.loc[ends, ["mean", "low", "high", "share"]].isna().all(axis=None)
    assert trends.loc[~ends, ["mean", "share"]].notna().all(axis=None)


def test_a_decoder_of_the_user_takes_the_place_of_the_representation(course):
    flow = linear_flow(course, np.zeros((3, 3)), [4 / 3, 0, 0], (0, 1, 2, 4))
    trends = cf.tl.gene_trends(
        course, flow, n_times=9, decoder=lambda x: pd.DataFrame({"speed": 10 * x[:, 0]})
    )
    start = 10 * course.obsm["X_pca"][course.obs["day"] == 0, 0].mean()
    half = trends[trends["time"] == 0.5]["mean"].item()
    assert half == pytest.approx(start + 5, abs=1)
    with pytest.raises(cf.InputError, match="cannot be decoded to genes"):
        cf.tl.gene_trends(course, flow)
    with pytest.raises(cf.InputError, match="3 columns without names, and there are 0 genes"):
        cf.tl.gene_trends(course, flow, decoder=lambda x: x)
    with pytest.raises(cf.InputError, match="1 rows for 60 points"):
        cf.tl.gene_trends(course, flow, decoder=lambda x: x[:1])


BAD = {
    "method": ({"method": "best"}, "unknown method 'best'"),
    "fates": ({}, r"no obsm key 'fate_probabilities'; run cellflow\.tl\.fates"),
    "no time": ({"method": "velocity", "times": []}, "no times were given"),
    "numbers": ({"method": "velocity", "by": "score"}, r"obs\['score'\] has 150 different numb"),
    "genes": (
        {"method": "jacobian", "genes": ["E"]},
        "genes that are not in the representation: E; it has: A",
    ),
    "rows": ({"method": "velocity", "n_top": 0}, "n_top must be positive"),
    "no genes": ({"by": "type", "genes": []}, "no genes were given"),
    "time": ({"method": "velocity", "times": [7]}, "no cells were measured at time 7"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_drivers_are_named(case, measured, regulated):
    options, message = BAD[case]
    measured.obs["score"] = np.linspace(0, 1, 150)
    with pytest.raises(cf.InputError, match=message):
        cf.tl.drivers(measured, flow=regulated, **options)


def test_more_bad_input_is_named(measured, regulated):
    with pytest.raises(cf.InputError, match="method 'velocity' requires a flow"):
        cf.tl.drivers(measured, method="velocity")
    with pytest.raises(cf.InputError, match="genes that are not in the data: Z; it has: A, B"):
        cf.tl.gene_trends(measured, regulated, genes=["A", "Z"])
    with pytest.raises(cf.InputError, match="quantiles must be a lower and an upper one"):
        cf.tl.gene_trends(measured, regulated, quantiles=(0.9, 0.1))
    measured.obsm["w"] = sparse.csr_matrix(np.ones((150, 2)))
    with pytest.raises(cf.InputError, match=r"obsm\['w'\] has 2 columns and 0 names"):
        cf.tl.gene_trends(measured, regulated, by="w")


def test_groups_without_cells_are_left_out_and_times_may_be_of_numpy(measured, regulated):
    measured.obs["type"] = measured.obs["type"].astype(str).where(measured.obs["day"] < 2, "z")
    table = cf.tl.drivers(
        measured,
        flow=regulated,
        method="velocity",
        by="type",
        times=np.int64(2),
        time_key="day",
    )
    assert set(table["group"]) == {"z"}
    measured.obs["type"] = np.nan
    with pytest.raises(cf.InputError, match=r"obs\['type'\] has no value"):
        cf.tl.drivers(measured, flow=regulated, method="velocity", by="type", times=2)


def test_learned_rates_do_not_pass_for_those_of_gene_sets(measured, regulated):
    cf.tl.growth(measured, regulated)
    with pytest.raises(cf.InputError, match="holds growth rates that a flow learned"):
        cf.tl.fit(measured, method=cf.method("ot-cfm", objective="growth"), progress=False)
