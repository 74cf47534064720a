"""Single labels: each row of the table that users read, and those that are no times."""

import math
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellflow.io.time_columns import label_of, resolve_minutes
from cellflow.io.time_labels import parse_label

PAGE = Path(__file__).parents[2] / "docs" / "guide" / "times_and_cells.md"
ROW = re.compile(r"^\| `([^`]+)`[^|]*\| (-?[\d.]+) \| ([^|]*)\| ([^|]*)\|$", re.MULTILINE)
ROWS = [[cell.strip() for cell in row] for row in ROW.findall(PAGE.read_text())]


def test_the_page_has_a_table():
    assert len(ROWS) > 40


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_labels_are_read_as_documented(row):
    value, time, unit, event = row
    label = resolve_minutes(parse_label(value), minutes=False)
    assert label[:3] == (float(time), unit, event)


@pytest.mark.parametrize(
    "value",
    [
        "unknown", "adult stage", "embryonic stage", "1e400", "-1e400", "nan", "Day0_1", "3 apples",
        "mouse 3",
        "h3d", "day - 3", "3-5", "day 3-5", "m3", "12.5e", "passage 3", "under-1-year-old stage",
        "3 weeks 2 days", "E8.5 P0", "dpi", "", "day", "5-3h",
    ],
)  # fmt: skip
def test_other_values_are_no_times(value):
    assert parse_label(value) is None


@pytest.mark.parametrize(
    ("value", "label"),
    [
        ("Day0_rep1", "Day0"),
        ("24hrep2", "24h"),
        ("E12.5-mouse3", "E12.5"),
        ("day 3 batch A", "day 3"),
        ("D0.r2", "D0"),
        ("early_rep1", "early_rep1"),
        ("4 hr", "4 hr"),
        ("rep1", "rep1"),
    ],
)
def test_suffixes_of_replicates_are_left_out(value, label):
    assert label_of(value) == label


WORDS = st.sampled_from(["day", "E", "p", "rep", "stage", "m", "old", "post", "(", ")", "1e999"])
PIECES = st.lists(
    WORDS | st.sampled_from(list("0123456789.-_ =:")) | st.text("ab\u00e9\u0663\u00b2 ", max_size=2)
)


@given(PIECES.map("".join))
def test_any_text_is_a_finite_time_or_none(text):
    label = parse_label(text)
    assert label is None or math.isfinite(label.number)
    assert text.startswith(label_of(text))


def test_long_texts_are_not_read():
    for text in ("a " * 10**6, "_" * 10**6 + "rep1", "1" * 10**6):
        assert parse_label(text) is None
        assert label_of(text) == text
