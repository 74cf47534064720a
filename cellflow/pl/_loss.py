"""The figure `pl.loss`: the loss curve of a fit."""

from __future__ import annotations

from matplotlib.axes import Axes

from cellflow.flow import Flow
from cellflow.pl._canvas import PREDICTED, canvas, finish


def loss(flow: Flow, *, ax: Axes | None = None, show: bool | None = None) -> Axes:
    """Draw the training loss, averaged over stretches of steps.

    Parameters
    ----------
    flow
        The fitted flow.
    ax
        Axes to draw on; None makes a new figure.
    show
        Show the figure; None shows it if the backend is interactive.

    Returns
    -------
    The axes. The loss of conditional flow matching does not fall to zero: the variance of the
    conditional velocities at a point remains.
    """
    ax = canvas(ax, (5.2, 3.4))
    steps = flow.history["step"]
    ax.plot(steps, flow.history["loss"], color=PREDICTED, linewidth=1.3)
    if "check" in flow.history:
        ax.plot(steps, flow.history["check"], color="0.4", linewidth=1.0, label="validation cells")
        ax.legend(frameon=False, fontsize="small")
    ax.set_xlabel("training step")
    ax.set_ylabel("loss")
    ax.spines[["top", "right"]].set_visible(False)
    method = flow.method
    title = f"Loss, coupling {method.coupling.name}, path {method.path.name}"
    ax.set_title(title, fontsize="medium")
    return finish(ax, show=show)
