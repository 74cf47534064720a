"""Which replicates have enough cells at which times, and what scores say beside them."""

import numpy as np
import pandas as pd

from cellflow.evaluation.held_out_parts import HeldOutPart
from cellflow.evaluation.replicates import Replicates, describe_replicates


def test_enough_are_twenty_cells_and_a_quarter_of_the_largest_replicate():
    codes = np.repeat([0, 1, 2, -1], [80, 20, 19, 5])
    found = Replicates("donor", ("a", "b", "c"), codes).find(np.ones(124, dtype=bool))
    assert {name: len(rows) for name, rows in found.items()} == {"a": 80, "b": 20}


def test_two_replicates_are_held_out_between_their_first_and_last_times():
    replicates = Replicates("donor", ("a", "b"), np.tile(np.repeat([0, 1], 20), 3))
    elapsed = np.repeat([0.0, 1.0, 2.0], 40)
    assert replicates.start_times("b", elapsed) == [0, 1, 2]
    parts = replicates.find_parts(elapsed, [0.0, 1.0, 2.0])
    assert parts == [HeldOutPart(1.0, "a"), HeldOutPart(1.0, "b")]


def test_scores_are_averaged_where_replicates_were_measured():
    scores = pd.DataFrame(
        {"time": [1.0, 1.0, 2.0], "w1": [1.0, 2.0, 9.0], "w1_replicates": [2.0, 2.0, np.nan]}
    )
    (sentence,) = describe_replicates(scores)
    assert "replicates are 2.000 apart, and the prediction is 1.500 from" in sentence
    assert "25 % nearer than" in sentence
