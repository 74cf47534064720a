"""Semidiscrete potentials of OTT-JAX, with the Python of an environment that has it.

    python run_ott.py ATOMS.npy OUTPUT.npz --steps 2000

Standard normal noise to the atoms, squared distances, no entropy, batches of 1,024. The solver has
no default optimiser, so several are run, each with moving averages of about 10 and 100 steps, which
are better than its last potentials. They are kept at steps that grow by a factor of 1.3, with the
CPU seconds until then; compilation and estimates of the error are left out.
"""

import argparse
import os
import time
from functools import partial

os.environ.setdefault("JAX_PLATFORMS", "cpu")

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ott.geometry import semidiscrete_pointcloud
from ott.problems.linear import semidiscrete_linear_problem
from ott.solvers.linear import semidiscrete

BATCH = 1024
FIRST, FACTOR = 10, 1.3

#: Weights of the newest potentials in their averages, by name.
AVERAGES = {"mean of 10": 0.1, "mean of 100": 0.01}


def main() -> None:
    """Run all optimisers and write their potentials and seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("atoms")
    parser.add_argument("output")
    parser.add_argument("--steps", type=int, required=True)
    options = parser.parse_args()
    atoms = np.load(options.atoms).astype(np.float32)
    arrays: dict[str, np.ndarray] = {}
    for name, optimiser in optimisers(atoms).items():
        seconds, found = run(atoms, optimiser, options.steps)
        print(name, f"{seconds[-1]:.1f} s", flush=True)
        for word, g in zip(AVERAGES, found, strict=True):
            arrays |= {f"{name}, {word}|seconds": seconds, f"{name}, {word}|g": g}
    np.savez(options.output, **arrays)


def optimisers(atoms: np.ndarray) -> dict[str, optax.GradientTransformation]:
    """Return optimisers by name, rates in units of the spread of the costs.

    Gradients are differences of masses, so the rate of plain descent grows with the number of
    atoms. Rates 3 times larger and smaller were later on 256 atoms in two dimensions.
    """
    noise = np.random.default_rng(0).normal(size=(1024, atoms.shape[1]))
    spread = 2 * float((noise @ (atoms - atoms.mean(axis=0)).T).std())
    return {
        "adam 0.03": optax.adam(0.03 * spread),
        "adam 0.3/sqrt(k)": optax.adam(partial(_decayed, 0.3 * spread)),
        "sgd 3/sqrt(k)": optax.sgd(partial(_decayed, 3 * spread * len(atoms) ** 0.5)),
    }


def _decayed(scale: float, step: jax.Array) -> jax.Array:
    return scale / jnp.sqrt(1.0 + step)


def run(
    atoms: np.ndarray, optimiser: optax.GradientTransformation, n_steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return CPU seconds, and the potentials by average and time."""
    cloud = semidiscrete_pointcloud.SemidiscretePointCloud(
        jax.random.normal, jnp.asarray(atoms), epsilon=0.0
    )
    problem = semidiscrete_linear_problem.SemidiscreteLinearProblem(cloud)
    solver = semidiscrete.SemidiscreteSolver(
        num_iterations=n_steps, batch_size=BATCH, optimizer=optimiser
    )
    key, weights = jax.random.key(0), jnp.array(list(AVERAGES.values()))[:, None]

    def step(_: int, now: tuple[semidiscrete.SemidiscreteState, jax.Array]) -> tuple:
        state, means = now
        state = solver.step(jax.random.fold_in(key, state.it), state, problem)
        return state, weights * state.g + (1 - weights) * means

    @jax.jit
    def advance(now: tuple, n: int) -> tuple:
        return jax.lax.fori_loop(0, n, step, now)

    g = jnp.zeros(len(atoms), jnp.float32)
    empty = jnp.full((n_steps,), jnp.inf, jnp.float32)
    state = semidiscrete.SemidiscreteState(
        it=jnp.array(0), epsilon=jnp.array(jnp.nan, jnp.float32), g=g, g_ema=g,
        opt_state=optimiser.init(g), losses=empty, grad_norms=empty, errors=empty,
    )  # fmt: skip
    now = state, jnp.tile(g, (len(AVERAGES), 1))
    jax.block_until_ready(advance(now, 1))
    seconds, found, spent, done, following = [], [], 0.0, 0, float(FIRST)
    while done < n_steps:
        n = min(round(following), n_steps) - done
        began = time.process_time()
        now = jax.block_until_ready(advance(now, n))
        spent, done = spent + time.process_time() - began, done + n
        seconds.append(spent)
        found.append(np.asarray(now[1]))
        following = max(following * FACTOR, done + 1)
    return np.array(seconds), np.stack(found, axis=1)


if __name__ == "__main__":
    main()
