"""Write the images that workflows/images/config/comparison-fashion.yaml compares methods on.

    python scripts/fashion_subset.py /usr/share/datasets/fashion-mnist fashion.npz

The folder holds the four idx files of Fashion-MNIST (Debian: `dataset-fashion-mnist`). The first
10,000 training and 2,000 test images are written, at 14 x 14 pixels: enough to compare methods,
and little enough to train a dozen of them on one CPU core in an hour or two.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

import cellflow as cf

SIZE, COUNTS = 14, {"train": 10_000, "test": 2_000}


def main(folder: str, output: str) -> None:
    """Read, cut and write."""
    arrays = {}
    for split, count in COUNTS.items():
        images = cf.images.read(Path(folder), split=split, size=SIZE)
        arrays[f"{split}_images"] = images.pixels[:count]
        arrays[f"{split}_labels"] = images.labels[:count]
    np.savez_compressed(output, **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
