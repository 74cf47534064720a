"""Approximate dual potentials by Sinkhorn's algorithm, for exact solvers to start from."""

from __future__ import annotations

import numpy as np

#: Regularisation of each stage, in units of the mean reduced cost.
_STAGES = (0.1, 0.03, 0.01)

#: Iterations of a stage.
_N_ITERATIONS = 10

#: Smallest exponent of the kernel; below, float32 numbers are denormal, which are slow.
_LEAST_EXPONENT = -60.0


def approximate_duals(
    cost: np.ndarray, a: np.ndarray | None = None, b: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Return dual potentials near the optimal ones, shapes (n,) and (m,).

    The reduced costs c_ij - u_i - v_j have the same optimal plans as the costs and are close to
    zero on them, so that exact solvers take a fraction of the time on them. Sinkhorn's algorithm
    computes the potentials in float32, with regularisation that falls from stage to stage; the
    kernel of each stage is that of the reduced costs of the stage before, so few iterations do.

    Parameters
    ----------
    cost
        Cost matrix, shape (n, m). The algorithm needs two matrices of its size in float32.
    a, b
        Positive masses of rows and columns, with equal sums; None for uniform masses.
    """
    n, m = cost.shape
    rows, columns = _relative_masses(a, n), _relative_masses(b, m) * np.float32(n / m)
    v = cost.min(axis=0)
    reduced = cost - v
    u = reduced.min(axis=1)
    reduced -= u[:, None]
    scale = float(reduced.mean())
    if scale == 0:
        return u, v
    reduced /= scale
    reduced = reduced.astype(np.float32, copy=False)
    for epsilon in np.array(_STAGES, dtype=np.float32):
        kernel = reduced * (-1 / epsilon)
        np.maximum(kernel, _LEAST_EXPONENT, out=kernel)
        np.exp(kernel, out=kernel)
        right = np.ones(m, dtype=np.float32)
        # Where numbers overflow, the potentials of the stage before are near enough.
        with np.errstate(all="ignore"):
            for _ in range(_N_ITERATIONS):
                left = rows / (kernel @ right)
                right = columns / (left @ kernel)
            du, dv = epsilon * np.log(left), epsilon * np.log(right)
        if not (np.isfinite(du).all() and np.isfinite(dv).all()):
            break
        u, v = u + scale * du, v + scale * dv
        reduced -= du[:, None]
        reduced -= dv
    return u, v


def _relative_masses(masses: np.ndarray | None, n: int) -> np.ndarray:
    """Return masses in units of their mean."""
    if masses is None:
        return np.ones(n, dtype=np.float32)
    relative: np.ndarray = (masses / masses.mean()).astype(np.float32)
    return relative
