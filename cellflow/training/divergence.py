"""What to tell of a training whose loss is no number any more."""

from __future__ import annotations

from torch import Tensor

from cellflow._batch import Pairs


def told_of_divergence(
    loss: float, step: int, before: float | None, pairs: Pairs | None, rate: float
) -> str:
    """One sentence with the step and the batch, and what to try.

    Parameters
    ----------
    loss
        What it became.
    step
        The first step that it was so.
    before
        Mean loss at the last reading.
    pairs
        The batch that was served last.
    rate
        Step size at that step.
    """
    was = "" if before is None else f" (it was {before:.3g} at the last reading)"
    seen = "" if pairs is None else f", last batch of {_described(pairs)}"
    return (
        f"the loss became {loss} at step {step}{was}; learning rate {rate:.3g}{seen}: "
        "try a tenth of the learning_rate, clip 1, or look for cells far from all others"
    )


def _described(pairs: Pairs) -> str:
    ends = f"sources {_spread(pairs.x0)}, targets {_spread(pairs.x1)}"
    return f"{len(pairs)} pairs, {ends}"


def _spread(x: Tensor) -> str:
    x = x.detach().double()
    return f"{float(x.mean()):.3g} +- {float(x.std()):.3g}, at most {float(x.abs().max()):.3g}"
