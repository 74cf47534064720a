"""Labels that cannot be coupled everywhere are named, with the times of the user."""

import warnings

import numpy as np
import pandas as pd
import pytest

import cellflow as cf
from cellflow import CellflowWarning, InputError
from cellflow.io.label_intervals import check_label_intervals


def _obs(*labels):
    return pd.DataFrame({"line": list(labels)}, index=[f"c{k}" for k in range(len(labels))])


def test_labels_at_one_end_are_named_with_both_times():
    elapsed, names = np.array([2, 2, 4, 4, 9, 9]), {2.0: "E2", 4.0: "E4", 9.0: "E9"}
    with pytest.warns(CellflowWarning) as caught:
        check_label_intervals(_obs(*"abacac"), ["line"], elapsed, names)
    (message,) = (str(each.message) for each in caught)
    assert "obs['line']" in message
    assert message.endswith("not coupled there: b, c from E2 to E4")


def test_nothing_is_said_of_labels_at_all_times():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_label_intervals(_obs(*"abab"), ["line"], np.array([0, 0, 1, 1]), {})
        check_label_intervals(_obs(*"abcd"), [], np.array([0, 0, 1, 1]), {})


def test_intervals_without_a_common_label_are_refused():
    with pytest.raises(
        InputError, match=r"obs\['line'\].*at time 4 \(a, b\) and at time 9 \(c, d\)"
    ):
        check_label_intervals(_obs(*"abcd"), ["line"], np.array([4, 4, 9, 9]), {})


@pytest.mark.parametrize("stages", [("early", "late"), ("day 3", "day 9"), (3, 9)])
def test_a_fit_names_times_as_the_column_has_them(course, stages):
    adata = course[course.obs["day"] < 2].copy()
    elapsed = adata.obs["day"].to_numpy().astype(int)
    values = np.where(elapsed == 0, *stages) if isinstance(stages[0], str) else elapsed * 6 + 3
    adata.obs["stage"] = pd.Categorical(values, stages, ordered=True)
    adata.obs["line"] = np.where(np.arange(adata.n_obs) % 2, "a", np.where(elapsed == 0, "b", "c"))
    shown = [stage if isinstance(stage, str) else f"time {stage}" for stage in stages]
    with pytest.warns(CellflowWarning) as caught:
        cf.tl.fit(
            adata,
            time_key="stage",
            use_rep="X_pca",
            label_key="line",
            recipe=cf.recipe("default", n_steps=1),
            progress=False,
        )
    (message,) = (str(each.message) for each in caught)
    assert message.endswith(f"from {shown[0]} to {shown[1]}")
