"""The summary of a benchmark: what is averaged, and what is marked."""

import pandas as pd
import pytest

from cellflow import InputError
from cellflow.evaluation.benchmark import make_table
from cellflow.evaluation.summary import average_scores, format_summary, write_benchmark

FIXED = {"data": "d", "protocol": "strict", "time_axis": "real", "n_dims": 5, "whiten": True,
         "representation_may_have_seen_held_out": False, "reference": 0.5, "w1_reference": 0.4,
         "time_unit": "hour"}  # fmt: skip


def row(method, role, time, seed, w1, energy=0.2, error=""):
    scores = {"w1": w1, "w1_half": (w1 or 0) + 0.1, "energy": energy, "cov_error": 0.1}
    scores |= {"gap_closed": 0.0, "seconds": 2.0}
    shown = {} if error else scores
    place = {"method": method, "role": role, "time": time, "seed": seed, "error": error}
    return {**FIXED, **place, **shown}


@pytest.fixture
def table():
    return make_table(
        [
            *(row("midpoint", "baseline", time, None, 1.0) for time in (1.0, 2.0)),
            row("ours", "model", 1.0, 0, 0.8), row("ours", "model", 1.0, 1, 0.9),
            row("ours", "model", 2.0, 0, 1.0), row("ours", "model", 2.0, 1, 0.9),
            *(row("bought", "model", time, 0, 0.9, energy=0.3) for time in (1.0, 2.0)),
            row("half", "model", 1.0, 0, 0.1), row("half", "model", 2.0, 0, None, error="broke"),
        ]
    )  # fmt: skip


def test_means_are_over_times_and_spreads_over_seeds(table):
    means = average_scores(table)
    assert means.loc["ours", "w1"] == pytest.approx(0.9)
    assert means.loc["ours", "w1_sd"] == pytest.approx(0.0)
    assert means.loc["midpoint", "w1"] == 1
    assert pd.isna(means.loc["midpoint", "w1_sd"])


def test_a_method_that_failed_somewhere_has_no_mean(table):
    assert pd.isna(average_scores(table).loc["half", "w1"])
    text = format_summary(table)
    assert "- d, 2 h, half, seed 0: broke" in text
    assert "| `half` |  |" in text


def test_gains_at_a_cost_are_marked_and_the_best_is_bold(table):
    text = format_summary(table)
    assert "| `bought` † | **0.900** | 90.0 % |" in text
    assert "| `ours` | **0.900** ± 0.000 | 90.0 % |" in text
    assert "| *midpoint* | 1.000 | 100.0 % |" in text


def test_each_time_has_its_mean_spread_and_best(table):
    lines = format_summary(table).splitlines()
    first = lines.index("| W1, held out | 1 h | 2 h |")
    assert lines[first + 2 : first + 7] == [
        "| `ours` | 0.850 ± 0.071 | 0.950 ± 0.071 |",
        "| `bought` | 0.900 | **0.900** |",
        "| `half` | **0.100** |  |",
        "| *midpoint* | 1.000 | 1.000 |",
        "| reference | 0.400 | 0.400 |",
    ]


def test_data_sets_keep_their_order(table):
    both = pd.concat([table.assign(data="z"), table], ignore_index=True)
    text = format_summary(both)
    assert text.index("## z") < text.index("## d")
    assert "5 whitened dimensions; held out: " in text


def test_a_summary_has_one_size_and_a_unit(table):
    text = format_summary(table)
    assert "half at" not in text
    assert "| reference | 0.400 | 40.0 % |" in text
    assert "| W1, held out | 1 h | 2 h |" in text
    assert "| reference | 0.400 | 0.400 |" in text


def test_gaps_are_closed_from_the_rival_of_each_time(table):
    ours = table[table["method"] == "ours"]
    assert (ours["rival"] == "midpoint").all()
    assert ours["gap_closed_best"].iloc[0] == pytest.approx((1.1 - 0.9) / (1.1 - 0.5))


def test_a_rival_at_the_reference_leaves_no_gap(table):
    low = make_table(table.assign(reference=1.2).to_dict("records"))
    assert low["gap_closed_best"].isna().all()


def test_table_and_summary_are_written(table, tmp_path):
    write_benchmark(table, tmp_path)
    written = pd.read_csv(tmp_path / "benchmark.csv")
    pd.testing.assert_series_equal(written["w1"], table["w1"], check_dtype=False)
    assert (tmp_path / "benchmark.md").read_text(encoding="utf-8") == format_summary(table)


def test_a_foreign_table_is_refused():
    with pytest.raises(
        InputError, match=r"not a table of cellflow\.tl\.benchmark; missing columns: data"
    ):
        format_summary(pd.DataFrame({"w1": [1]}))
