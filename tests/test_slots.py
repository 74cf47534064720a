"""The page of slots: every slot of the code is on it, under the verb that writes it."""

import importlib.util
import re
from pathlib import Path

import pytest

from cellflow import _keys

DOCS = Path(__file__).parents[1] / "docs"
SLOTS = {name: value for name, value in vars(_keys).items() if name.isupper()}


@pytest.fixture(scope="module")
def table():
    """The table that the build of the site reads from the docstrings."""
    spec = importlib.util.spec_from_file_location("conf", DOCS / "conf.py")
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    return conf.slot_table()


@pytest.mark.parametrize("name", SLOTS)
def test_every_slot_is_on_the_page(name, table):
    assert SLOTS[name] in table + (DOCS / "guide" / "slots.md").read_text()


def test_the_default_of_key_added_is_filled_in_and_cells_are_on_one_line(table):
    assert '| `tl.landscape` | `obs["cellflow_potential"]` | Minus log-density' in table
    assert '`obsm["fate_probabilities"]`' in table
    assert "key_added]" not in table
    rows = table.splitlines()
    assert len(rows) > 30
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows)
