"""The figure of scores against what images cost."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import pyplot as plt

import cellflow as cf

ROWS = [
    ("generated", "euler:8", 8.0, "Frechet-100", 0.5),
    ("generated", "euler:2", 2.0, "Frechet-100", 2.0),
    ("generated", "dopri5", 30.0, "Frechet-100", 0.4),
    ("test images", None, np.nan, "Frechet-100", 0.1),
]


@pytest.fixture
def scores():
    table = pd.DataFrame(ROWS, columns=["of", "by", "nfe", "measure", "frechet"])
    return table.assign(space="random conv")


def drawn(scores):
    return cf.pl.image_scores(scores, show=False)


def test_fixed_steps_are_a_line_adaptive_ones_crosses_test_images_a_level(scores):
    line, crosses, level = drawn(scores).lines
    np.testing.assert_array_equal(line.get_xydata(), [[2, 2.0], [8, 0.5]])
    np.testing.assert_array_equal(crosses.get_xydata(), [[30, 0.4]])
    assert crosses.get_color() == line.get_color()
    assert set(level.get_ydata()) == {0.1}


def test_axes_tell_the_measure_and_the_space(scores):
    ax = drawn(scores)
    assert ax.get_ylabel() == "Frechet-100"
    assert "random conv" in ax.get_title()
    assert [text.get_text() for text in ax.get_legend().get_texts()] == ["generated", "test images"]


def test_marks_of_the_axes_are_plain_numbers(scores):
    ax = drawn(scores)
    ax.figure.canvas.draw()
    assert {"2", "4", "8", "16"} <= {tick.get_text() for tick in ax.get_xticklabels()}
    assert {"0.1", "0.2", "0.5", "1", "2"} <= {tick.get_text() for tick in ax.get_yticklabels()}


def test_several_flows_have_a_line_each(scores):
    both = pd.concat([scores.assign(name="a"), scores.assign(name="b", frechet=1.0)])
    ax = drawn(both)
    assert len(ax.lines) == 5
    texts = [text.get_text() for text in ax.get_legend().get_texts()]
    assert texts == ["a", "b", "test images"]


def test_flows_that_share_a_colour_differ_in_their_markers(scores):
    many = pd.concat([scores.assign(name=f"flow {k}") for k in range(12)])
    *lines, _level = drawn(many).lines
    looks = {(line.get_color(), line.get_marker()) for line in lines}
    assert len(looks) == len(lines) == 24


def test_images_of_other_numbers_are_left_out_where_flows_have_one_in_common(scores):
    """Rows at the number of the test images are those that compare with them."""
    more = scores[:3].assign(measure="Frechet-900", frechet=0.01)
    line, crosses, _ = drawn(pd.concat([more, scores])).lines
    np.testing.assert_array_equal(line.get_ydata(), [2.0, 0.5])
    np.testing.assert_array_equal(crosses.get_ydata(), [0.4])


def test_samples_that_tell_no_cost_are_left_out(scores):
    sampled = scores[2:].assign(by=None, nfe=np.nan, measure="Frechet-7", frechet=3.0, name="file")
    ax = drawn(pd.concat([sampled, scores.assign(name="flow")]))
    assert len(ax.lines) == 3
    assert set(ax.lines[-1].get_ydata()) == {0.1}
    assert ax.get_ylabel() == "Frechet-100"


def test_without_test_images_there_is_no_level(scores):
    assert len(drawn(scores[:3]).lines) == 2


def test_it_takes_axes_and_gives_them_back(scores, tmp_path):
    ax = plt.figure().add_subplot()
    assert cf.pl.image_scores(scores, ax=ax, show=False) is ax
    cf.pl.save(ax, tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 5_000


def test_what_does_not_compare_is_refused(scores):
    a, b = scores[:3].assign(name="a"), scores[:3].assign(name="b")
    for other in (b.assign(space="Inception"), b.assign(measure="Frechet-50")):
        with pytest.raises(cf.InputError, match="Frechet-100 in space random conv, Frechet-"):
            drawn(pd.concat([a, other]))
    with pytest.raises(cf.InputError, match="missing: by, nfe"):
        drawn(scores.drop(columns=["by", "nfe"]))
    with pytest.raises(cf.InputError, match="missing: values of nfe"):
        drawn(scores.assign(nfe=np.nan))
