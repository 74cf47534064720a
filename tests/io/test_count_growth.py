"""Growth that numbers of cells would mean."""

import numpy as np
import pandas as pd

from cellflow.io import count_growth, describe_count_growth, parse_times, per_unit


def test_doublings_are_logarithms_of_ratios_per_time():
    """10 cells, 40 two days later, 20 after four more days."""
    points = parse_times(pd.Series(np.repeat(["day 0", "day 2", "day 6"], [10, 40, 20])))
    found = [
        (each.start, each.stop, each.doublings, each.per_time) for each in count_growth(points)
    ]
    assert found == [(0, 2, 2, 1), (2, 6, -1, -0.25)]
    text = describe_count_growth(points)
    assert text == "doublings in an interval (per day): 0 to 2: +2.00 (+1), 2 to 6: -1.00 (-0.25)"


def test_the_unit_of_a_rate_is_named_if_there_is_one():
    assert per_unit(parse_times(pd.Series([0, 0, 1, 1]))) == "per unit of time"
    assert per_unit(parse_times(pd.Series(["2h", "2h", "4h", "4h"]))) == "per hour"
