"""The page of slots names every slot of the code, once."""

import re
from pathlib import Path

import pytest

from cellflow import _keys

PAGE = (Path(__file__).parents[1] / "docs" / "slots.md").read_text()
SLOTS = {name: value for name, value in vars(_keys).items() if name.isupper()}


@pytest.mark.parametrize("name", SLOTS)
def test_every_slot_is_on_the_page(name):
    assert SLOTS[name] in PAGE


def test_no_slot_has_two_rows():
    slots = [slot for row in re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
             for slot in row.split(", ")]  # fmt: skip
    assert len(slots) > 30
    assert [slot for slot in slots if slots.count(slot) > 1] == []
