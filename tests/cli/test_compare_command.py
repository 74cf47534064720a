"""`cellflow compare` and its figure: the API's results in files."""

import numpy as np
import pandas as pd

import cellflow as cf
from cellflow.io import read_table


def test_the_table_is_that_of_the_api_and_is_drawn(run, course, tmp_path):
    course.obs["dose"] = np.arange(course.n_obs) % 2 * 1.5
    course.obs["side"] = np.where(course.obsm["X_pca"][:, 1] > 0, "up", "down")
    course.write_h5ad("cells.h5ad")
    words = ["compare", "cells.h5ad", "--condition-key", "dose"]
    populations = ["--use-rep", "X_pca", "--n-permutations", "50", "--seed", "3"]
    for more in (
        [*words, *populations, "--output", "p.csv"],
        [*words, "--of", "fates", "--by", "side", "--reference", "1.5", "--output", "f.tsv"],
        ["plot", "compare", "p.csv", "--output", "p.png"],
        ["plot", "compare", "f.tsv", "--condition", "0", "--output", "f.png"],
    ):
        code, _, err = run(*more)
        assert code == 0, (more, err)
    own = cf.tl.compare(course, "dose", use_rep="X_pca", n_permutations=50, rng=3)
    pd.testing.assert_frame_equal(read_table("p.csv"), own)
    own = cf.tl.compare(course, "dose", of="fates", by="side", reference=1.5)
    pd.testing.assert_frame_equal(read_table("f.tsv"), own)
    assert (tmp_path / "p.png").stat().st_size > 1000
    assert run("plot", "compare", "p.csv", "--condition", "7", "--output", "q.png")[0] == 2
