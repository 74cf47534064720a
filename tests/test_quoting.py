"""Values with `&`, `,` and `=` in text."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cellflow import InputError
from cellflow._quoting import quote, split_text, split_values, unquote

VALUES = st.text(st.sampled_from("ab &,='\"")).map(str.strip)


@given(st.lists(VALUES, min_size=1, max_size=5))
def test_quoted_values_come_back(values):
    assert split_values(",".join(map(quote, values))) == values
    assert [unquote(part) for part in split_text("&".join(map(quote, values)), "&")] == values


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("a,b", ["a", "b"]),
        (" 'a, b' , c", ["a, b", "c"]),
        ('"the ""x"" & y",\'it\'\'s\'', ['the "x" & y', "it's"]),
        ("Crohn's disease,5' end", ["Crohn's disease", "5' end"]),
    ],
)
def test_lists_of_values(text, values):
    assert split_values(text) == values


def test_quotes_that_are_not_closed_or_followed_by_text_are_refused():
    with pytest.raises(InputError, match="not closed in '\"a, b'; close it with \""):
        split_values('"a, b')
    with pytest.raises(InputError, match="text follows the closing quote"):
        split_values('"a" b,c')
