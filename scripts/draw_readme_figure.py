"""Draw the figure of the README from the embedded data: python scripts/draw_readme_figure.py."""

from __future__ import annotations

from pathlib import Path

from matplotlib import pyplot as plt

import cellflow as cf

TARGET = Path(__file__).parent.parent / "docs" / "images" / "demo.png"
HELD_OUT = 36.0


def main() -> None:
    """Hold 36 h out, fit, predict, and draw both views side by side."""
    course = cf.datasets.semrau2017()
    course = course[course.X.getnnz(axis=1) > 0].copy()
    kept = course[course.obs["time"] != HELD_OUT].copy()
    cf.pp.embed(kept, n_dims=5, whiten=True)
    flow = cf.tl.fit(kept)
    _, (left, right) = plt.subplots(1, 2, figsize=(11.5, 4.4), layout="constrained")
    predicted = cf.tl.interpolate(kept, flow, HELD_OUT)
    cf.pl.interpolation(course, predicted, ax=left, show=False)
    cf.pl.save(cf.pl.trajectories(kept, flow, ax=right, show=False), TARGET)


if __name__ == "__main__":
    main()
