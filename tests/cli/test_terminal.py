"""The table of held-out scores that commands print."""

import pandas as pd

from cellflow.cli.terminal import print_scores


def table(**columns):
    scores = pd.DataFrame(
        {"time": [1.0, 1.0, 2.0], "seed": [0, 1, 0], "w1": [0.8, 1.0, 0.5], "w1_midpoint": 1.0,
         "w1_previous": 1.25, "w1_next": 1.5, "w1_reference": 0.75, "w1_reference_sd": 0.01,
         "w1_half": 9.0, "reference": 9.0, **columns}
    )  # fmt: skip
    scores.attrs["settings"] = {"time_unit": "day"}
    return scores


def rows_of(out):
    return [" ".join(line.split()) for line in out.splitlines()]


def test_all_numbers_are_of_all_cells_and_compared_with_the_midpoint(capsys):
    print_scores(table())
    out = capsys.readouterr().out
    rows = rows_of(out)
    assert "held out cellflow midpoint previous next reference" in rows
    assert "day 1 0.900 (90 %) 1.000 1.250 1.500 0.750 (75 %)" in rows
    assert "mean 0.700 (70 %) 1.000 1.250 1.500 0.750 (75 %)" in rows
    assert "9.000" not in out
    assert "replicates" not in out


def test_one_time_has_no_mean_and_replicates_are_shown_where_known(capsys):
    print_scores(table(w1_replicates=[0.7, 0.7, None])[:2])
    rows = rows_of(capsys.readouterr().out)
    assert "day 1 0.900 (90 %) 1.000 1.250 1.500 0.750 (75 %) 0.700" in rows
    assert not any(row.startswith("mean") for row in rows)
    assert "replicates replicates of that time from each other" in rows


def test_a_time_without_replicates_is_blank_and_other_replicates_are_a_baseline(capsys):
    print_scores(table(w1_replicates=[None, None, 0.6]))
    rows = rows_of(capsys.readouterr().out)
    assert "day 1 0.900 (90 %) 1.000 1.250 1.500 0.750 (75 %)" in rows
    assert "day 2 0.500 (50 %) 1.000 1.250 1.500 0.750 (75 %) 0.600" in rows
    print_scores(table(w1_others=0.4))
    rows = rows_of(capsys.readouterr().out)
    assert "day 1 0.900 (90 %) 1.000 1.250 1.500 0.750 (75 %) 0.400" in rows
    assert "others other replicates for the held-out one, a baseline" in rows
