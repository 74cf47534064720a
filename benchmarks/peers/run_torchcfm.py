"""Fit OT-CFM by TorchCFM and predict a held-out time, with the Python of an environment of it.

    python run_torchcfm.py COURSE.h5ad OUTPUT --variant 10000

The recipe of its notebook on single cells: 10,000 steps (or as many as `--variant` says) of Adam at
0.0001, 256 cells of each time a step, one exact plan for each pair of times, a perceptron with
three layers of 64. Cells of the time before the held-out one are moved by 100 Euler steps.
`requirements-torchcfm.txt` has the versions.
"""

import anndata
import numpy as np
import torch
from stages import Stages, read_arguments
from torchcfm.conditional_flow_matching import ExactOptimalTransportConditionalFlowMatcher
from torchcfm.models import MLP

BATCH, RATE = 256, 1e-4


def main() -> None:
    """Measure the fit and the prediction."""
    options = read_arguments()
    stages = Stages(options.output)
    torch.manual_seed(0)
    # Its sampler of pairs draws from numpy's global state.
    np.random.seed(0)  # noqa: NPY002
    adata = anndata.read_h5ad(options.course)
    points = np.asarray(adata.obsm["X_cellflow"], np.float32)
    times = adata.obs["time"].to_numpy(float)
    kept = [each for each in np.unique(times) if each != options.held_out]
    cells = [torch.from_numpy(points[times == each]) for each in kept]
    steps = 10_000 if options.variant == "default" else int(options.variant)
    net = stages.measure("fit", lambda: fit(cells, kept, steps))
    before = max(each for each in kept if each < options.held_out)
    start = torch.from_numpy(points[times == before])
    stages.arrays["predicted"] = stages.measure(
        "predict", lambda: push(net, start, before, options.held_out)
    )
    stages.write()


def fit(cells: list[torch.Tensor], times: list[float], steps: int) -> torch.nn.Module:
    """Return the velocity net, in the unit of the times."""
    matcher = ExactOptimalTransportConditionalFlowMatcher(sigma=0.1)
    net = MLP(dim=cells[0].shape[1], time_varying=True, w=64)
    optimiser = torch.optim.Adam(net.parameters(), RATE)
    for _ in range(steps):
        optimiser.zero_grad()
        rows = []
        for k in range(len(cells) - 1):
            x0 = cells[k][torch.randint(len(cells[k]), (BATCH,))]
            x1 = cells[k + 1][torch.randint(len(cells[k + 1]), (BATCH,))]
            t, x, u = matcher.sample_location_and_conditional_flow(x0, x1)
            length = times[k + 1] - times[k]
            rows.append((times[k] + t * length, x, u / length))
        t, x, u = (torch.cat(each) for each in zip(*rows, strict=True))
        loss = (net(torch.cat([x, t[:, None]], dim=1)) - u).square().mean()
        loss.backward()
        optimiser.step()
    return net


@torch.no_grad()
def push(net: torch.nn.Module, x: torch.Tensor, start: float, stop: float) -> np.ndarray:
    """Return the points moved from one time to another."""
    length = (stop - start) / 100
    for step in range(100):
        t = torch.full((len(x), 1), start + step * length)
        x = x + length * net(torch.cat([x, t], dim=1))
    return x.numpy()


if __name__ == "__main__":
    main()
