"""Reading times from whatever a column holds."""

import re
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellflow import CellflowWarning, InputError
from cellflow.io import (
    detect_unit,
    format_time,
    parse_times,
    time_key_of,
    time_points_for_flow,
    time_points_of,
)
from cellflow.pp import time_points
from cellflow.tl import fit


def column(values, repeat=2, **kwargs):
    return pd.Series(np.repeat(np.array(values, dtype=object), repeat), name="t", **kwargs)


@pytest.mark.parametrize(
    ("values", "times", "unit"),
    [
        ([0, 2, 7], (0, 2, 7), ""),
        ([7.0, 2.5, 0.0], (0, 2.5, 7), ""),
        (["2", "10", "1"], (1, 2, 10), ""),
        (["day 3", "day 10"], (3, 10), "day"),
        (["Day_3", "DAY4", "day.5", "day:6"], (3, 4, 5, 6), "day"),
        (["day-3", "DAY-4"], (3, 4), "day"),
        (["d3", "D7"], (3, 7), "day"),
        (["E12.5", "E13.5"], (12.5, 13.5), "day"),
        (["24h", "72hr", "96 hours"], (24, 72, 96), "hour"),
        (["0min", "30 min"], (0, 30), "minute"),
        (["week 1", "2 wks"], (1, 2), "week"),
        (["3 months", "12 months"], (3, 12), "month"),
        (["t0", "T1", "timepoint 2"], (0, 1, 2), ""),
        (["day -1", "day 0", "day 2"], (-1, 0, 2), "day"),
        ([".5h", "1h"], (0.5, 1), "hour"),
        (["1e-1", "2e2"], (0.1, 200), ""),
        (["24h", "d2", "week 1"], (24, 48, 168), "hour"),
        ([" day 3 ", "day 4"], (3, 4), "day"),
    ],
)
def test_what_columns_say(values, times, unit):
    points = parse_times(column(values))
    assert points.times == pytest.approx(times)
    assert points.unit == unit
    assert points.counts == (2,) * len(times)


def test_ordered_categories_with_numbers_are_times_and_without_are_ranks():
    days = pd.Categorical(["day 10", "day 2"] * 2, ["day 2", "day 10"], ordered=True)
    assert parse_times(pd.Series(days, name="t")).times == (2, 10)
    stages = pd.Categorical(["late", "early"] * 2, ["early", "mid", "late"], ordered=True)
    points = parse_times(pd.Series(stages, name="t"))
    assert points.times == (0, 2)
    assert points.labels == ("early", "late")
    assert points.unit == "rank"


@given(st.lists(st.floats(-1e4, 1e4), min_size=2, max_size=8, unique=True), st.randoms())
def test_numbers_come_back_whatever_the_order_of_cells(values, random):
    cells = list(values) * 2
    random.shuffle(cells)
    points = parse_times(pd.Series(cells, name="t"))
    assert points.times == tuple(sorted(values))
    np.testing.assert_array_equal(points.elapsed, cells)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([1.0, np.nan], r"no time for 2 of 4 cells \(first: 2\)"),
        ([None, "day 1"], "no time for 2 of 4 cells"),
        ([1.0, np.inf], "not times: inf"),
        (["day 3"], r"a single time \(day 3\)"),
        (["d3", "day 3", "d4"], "several labels for the time 3: 'd3', 'day 3'"),
        (["24h", "d1", "d2"], "several labels for the time 24"),
        (["early", "late"], r"not times: 'early', 'late'; expected numbers, ordered categories"),
        (["day 3", "day three"], "not times: 'day three'"),
        (["day 3_1", "day 3_2", "day 4_1"], "not times: 'day 3_1'"),
        (["0", "1", "1e400"], "not times: '1e400'"),
        (["unknown", "8 pcw", "9 pcw"], r"no time for 2 of 6 cells \(first: 0, 'unknown'\); take"),
        (["TS12", "E9"], "units that do not convert: Theiler stage, day; .*--time-order"),
        (["3dpi", "5dpa"], r"different events \(a, i\)"),
        (["E12.5", "P0", "day 3"], r"different events \(birth, conception\)"),
        (["2021-02-30", "2021-03-01"], "not dates: 2021-02-30"),
        (["3 apples", "4 apples"], "not times: '3 apples'"),
        (["h3d", "h4d"], "not times: 'h3d'"),
        (["day-1", "day0", "day1"], "with a hyphen and without: day-1 may be after"),
        (["3", "24h"], "units that do not convert: hour, no unit"),
    ],
)
def test_columns_that_say_nothing_clear_are_refused(values, message):
    with pytest.raises(InputError, match=message):
        parse_times(column(values))


def test_a_time_with_one_cell_is_named():
    with pytest.raises(InputError, match=r"fewer than 2 cells: 4.0 \(1 cell\)"):
        parse_times(pd.Series([1.0, 1.0, 4.0], name="t"))


def test_types_that_are_no_times_are_refused():
    with pytest.raises(InputError, match="is of type"):
        parse_times(pd.Series([True, False], name="t").repeat(2))


@pytest.mark.parametrize("digits", [12, 3])
def test_continuous_columns_say_how_to_bin_them(digits):
    pseudotime = np.random.default_rng(0).random(2000).round(digits)
    obs = pd.DataFrame({"dpt": pseudotime})
    with pytest.raises(
        InputError, match=r"obs\['dpt'\] is continuous.* values in 2,000 cells"
    ) as e:
        parse_times(obs["dpt"])
    call = re.search(r"adata\.obs\['bin'\] = (pandas\.cut\(.*?False\))", str(e.value))[1]
    binned = eval(call, {"pandas": pd, "adata": SimpleNamespace(obs=obs)})
    assert parse_times(binned).times == tuple(range(8))
    assert len(parse_times(pd.Series(np.arange(40.0).repeat(12), name="frame")).times) == 40


@pytest.mark.parametrize(
    ("values", "times"),
    [
        (["WT_E12.5", "WT_E13.5", "KO_E14.5"], (12.5, 13.5, 14.5)),
        (["Day0_1", "Day0_2", "Day2_1"], (0, 2)),
        (["s1 d3 x", "s1 d4 x"], (3, 4)),
    ],
)
def test_labels_with_a_time_in_them_say_how_to_take_it(values, times):
    obs = pd.DataFrame({"t": column(values).astype("category")})
    with pytest.raises(InputError, match="make a column of it") as raised:
        parse_times(obs["t"])
    call = str(raised.value).split("adata.obs['time'] = ")[1]
    taken = eval(call, {"adata": SimpleNamespace(obs=obs)})
    assert parse_times(taken).times == times


def test_some_labels_without_a_time_say_how_to_give_one():
    obs = pd.DataFrame({"t": column(["Uninjured", "3dpi", "7dpi"])})
    with pytest.raises(InputError, match=r"others are, such as '3dpi'.*--time-order") as raised:
        parse_times(obs["t"])
    call = re.search(r"adata\.obs.*?\}\)", str(raised.value))[0].replace("...", "0 dpi")
    given = eval(call, {"adata": SimpleNamespace(obs=obs)})
    assert parse_times(given).times == (0, 3, 7)


def test_names_of_cells_are_refused_without_reading_them():
    barcodes = pd.Series([f"day {k} rep {k}" for k in range(1001)], name="barcode")
    with pytest.raises(InputError, match="1,001 different values, too many to be time points"):
        parse_times(barcodes)


def test_replicates_of_a_time_are_joined_with_a_word():
    points = parse_times(column(["Day0_rep1", "Day0_rep2", "Day2-r1", "Day7 batch A"]))
    assert (points.times, points.labels) == ((0, 2, 7), ("Day0", "Day2", "Day7"))
    assert points.counts == (4, 2, 2)
    assert points.notes == (
        "labels are read as replicates of 3 times: Day0_rep1, Day0_rep2, Day2-r1, Day7 batch A",
    )
    assert points.find("Day0_rep2") == points.find("Day0") == points.find("d0") == 0


def test_birth_is_embryonic_day_19_where_ages_before_and_after_it_meet():
    points = parse_times(column(["E17.5", "E18.5", "P0", "P7"]))
    assert (points.times, points.unit) == ((17.5, 18.5, 19, 26), "day")
    assert "P0 = E19" in points.notes[0]
    assert points.to_elapsed("P3") == 22
    assert points.to_elapsed("postnatal day 3") == 22
    assert parse_times(column(["P0", "P7"])).times == (0, 7)
    assert parse_times(column(["P0", "P7"])).notes == ()


def test_human_ages_of_fetus_and_child_meet_at_38_weeks():
    points = parse_times(column(["10 pcw", "GW14", "2-month-old stage", "1-year-old stage"]))
    assert points.unit == "week"
    days = np.array([70, 84, 266 + 365.25 / 6, 266 + 365.25])
    assert points.times == pytest.approx(days / 7)
    assert len(points.notes) == 3
    assert points.to_elapsed("12 pcw") == points.find("GW14") == 12


def test_months_and_years_have_their_mean_length():
    assert parse_times(column(["1 month", "2 weeks"])).times == pytest.approx((2, 4.348214286))
    assert parse_times(column(["1-year-old stage", "18-month-old stage"])).times == (12, 18)


def test_m_is_a_minute_beside_hours_and_a_month_elsewhere():
    assert parse_times(column(["3m", "18m"])).unit == "month"
    points = parse_times(column(["30m", "1h"]))
    assert (points.times, points.unit) == ((30, 60), "minute")
    assert points.find("30m") == points.find("0.5 h") == 30


@pytest.mark.parametrize(
    ("values", "times", "unit"),
    [
        (pd.to_timedelta([0, 6, 48], unit="h"), (0, 6, 48), "hour"),
        (pd.to_timedelta([1, 3], unit="D"), (1, 3), "day"),
        (pd.to_timedelta([0, 20], unit="s"), (0, 20), "second"),
        (pd.to_datetime(["2020-01-01", "2020-01-08"]), (0, 7), "day"),
        (pd.to_datetime(["2020-01-01 06:00", "2020-01-01 18:00"]), (0, 12), "hour"),
        (["2020-02-28", "2020-03-01"], (0, 2), "day"),
        (["0 days 00:00:00", "0 days 06:00:00"], (0, 6), "hour"),
        (["00:00:00", "36:00:00"], (0, 1.5), "day"),
    ],
)
def test_dates_and_durations_are_elapsed_times(values, times, unit):
    series = pd.Series(values, name="t").repeat(2)
    points = parse_times(series)
    assert (points.times, points.unit) == (times, unit)
    assert points.find(points.labels[1]) == times[1]
    categories = parse_times(series.astype(str).astype("category"))
    assert (categories.times, categories.unit) == (times, unit)


def test_other_dates_and_durations_are_counted_from_the_same_day(course, quick):
    dates = ["2021-03-01", "2021-03-02", "2021-03-04", "2021-03-08"]
    course.obs["date"] = np.repeat(dates, 60)
    points = time_points_of(course, "date")
    assert (points.times, points.origin) == ((0, 1, 3, 7), "2021-03-01")
    assert points.to_elapsed("2021-03-03 12:00") == points.to_elapsed("2 days 12:00:00") == 2.5
    flow = fit(course, time_key="date", use_rep="X_pca", recipe=quick, progress=False)
    part = course[course.obs["date"] > "2021-03-01"].copy()
    assert time_points_for_flow(part, flow).times == (1, 3, 7)
    part.obs["date"] = np.repeat(["2021-03-03", "2021-03-05", "2021-03-06"], 60)
    later = time_points_for_flow(part, flow)
    assert (later.times, later.find("2021-03-05")) == ((2, 4, 5), 4)
    part.obs = part.obs.rename(columns={"date": "taken_day"})
    told = r"'date'; the flow was fitted to times in 'date'; .*\(--time-key\); .*: day, taken_day$"
    with pytest.raises(InputError, match=told):
        time_points_for_flow(part, flow)


def test_times_a_second_apart_in_a_billion_are_told_apart():
    points = parse_times(column([1_700_000_000, 1_700_000_001, 1_700_000_002]))
    assert points.find(1_700_000_001) == points.find("1700000001") == 1_700_000_001
    assert points.describe() == "1700000000, 1700000001, 1700000002"


@pytest.mark.parametrize(
    ("name", "unit"),
    [("hours", "hour"), ("age_days", "day"), ("HPF", "hour"), ("pcw", "week"), ("sample", ""),
     ("time", ""), ("stage", "")],
)  # fmt: skip
def test_units_are_read_from_names_of_columns(course, name, unit):
    course.obs[name] = course.obs["day"]
    assert detect_unit(course, name) == unit


def test_ordered_categories_that_do_not_convert_are_ranks():
    stages = ["Carnegie stage 13", "9th week post-fertilization stage"]
    ordered = pd.Categorical(stages * 2, stages, ordered=True)
    assert parse_times(pd.Series(ordered, name="t")).unit == "rank"


def test_stages_are_numbers_with_a_warning_when_first_read(course, quick, recwarn):
    course.obs["day"] = pd.Categorical([f"TS{day + 10:.0f}" for day in course.obs["day"]])
    with pytest.warns(CellflowWarning, match="Theiler stages .* not equally far apart in time"):
        points = time_points_of(course, "day")
    assert (points.times, points.unit) == ((10, 11, 12, 14), "Theiler stage")
    with pytest.warns(CellflowWarning, match="not equally far apart in time"):
        time_points(course, "day")
    fit(course, use_rep="X_pca", recipe=quick, progress=False)
    assert not [each for each in recwarn if "equally far" in str(each.message)]


def test_columns_that_can_be_read_as_times_are_named(course):
    course.obs["collected"] = [f"{day:g}h" for day in course.obs.pop("day")]
    course.obs["donor"] = "a"
    with pytest.raises(InputError, match=r"\(--time-key\); these can be read as times: collected$"):
        time_key_of(course)


def test_times_are_named_by_labels_that_are_more_than_a_number():
    points = parse_times(pd.Series(["E8.5", "E9.5"] * 2))
    assert points.labels_in_words == points.names == {8.5: "E8.5", 9.5: "E9.5"}
    numbers = parse_times(pd.Series(["time 2", "3.5"] * 2))
    # A label may begin as the name of a number does.
    assert numbers.labels_in_words == {2.0: "time 2"}
    assert numbers.names == {2.0: "time 2", 3.5: "time 3.5"}


def test_usual_names_are_found_in_upper_case(course):
    course.obs = course.obs.rename(columns={"day": "Day"})
    assert time_key_of(course) == "Day"
    with pytest.raises(InputError, match="no obs column 'day'; there are: Day"):
        time_key_of(course, "day")
    course.obs = course.obs.assign(day=1, DAY=2)
    assert time_key_of(course) == "day"


def test_finding_times_by_number_and_label():
    points = parse_times(column(["day 3", "day 4", "day 7"]))
    assert points.find("day 4") == points.find(4) == points.find("4.0") == points.find("d4") == 4
    assert points.to_elapsed("day 5.5") == points.to_elapsed("132h") == 5.5
    assert points.find_all("day 7") == points.find_all([7]) == [7]
    assert points.find_all(np.array([7, 3])) == [7, 3]
    assert points.around(5.5, points.times) == (4, 7)
    assert points.around(4, points.times) == (4, 4)
    assert points.around(4, [3, 7]) == (3, 7)
    assert points.to_elapsed(1e-5) == points.to_elapsed("1e-5") == 1e-5
    with pytest.raises(InputError, match=r"no cells were measured at time 5; .* 3, 4, 7 \(days\)"):
        points.find(5)
    with pytest.raises(InputError, match="no times were given; times in the data: 3, 4, 7"):
        points.find_all([])
    with pytest.raises(InputError, match="'soon' is not a time of this time course"):
        points.to_elapsed("soon")
    with pytest.raises(InputError, match=r"time 8 is outside the times .*: 3, 4"):
        points.around(8, [3, 4])


def test_single_precision_times_are_those_that_people_write():
    points = parse_times(pd.Series([0.1, 0.1, 0.2, 0.2], dtype="float32", name="t"))
    assert points.times == (0.1, 0.2)
    assert points.find(0.1) == points.find("0.1") == points.find(np.float32(0.1)) == 0.1


@pytest.mark.parametrize(
    ("unit", "text"),
    [("hour", "36 h"), ("minute", "36 min"), ("day", "day 36"), ("", "36"), ("rank", "36")],
)
def test_times_are_written_with_their_unit(unit, text):
    assert format_time(36.0, unit) == text


def test_units_come_from_records_labels_or_names(course):
    assert detect_unit(course, "day") == "day"
    course.obs["when"] = course.obs["day"]
    assert detect_unit(course, "when") == ""
    course.obs["day"] = [f"{24 * day:g}h" for day in course.obs["day"]]
    assert detect_unit(course, "day") == "hour"
