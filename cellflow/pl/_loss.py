"""The loss curve of a fit."""

from __future__ import annotations

from matplotlib.axes import Axes

from cellflow.flow import Flow
from cellflow.pl._canvas import PREDICTED, canvas, finish


def loss(flow: Flow, *, ax: Axes | None = None, show: bool | None = None) -> Axes:
    """Draw the loss of each stretch of training steps.

    Parameters
    ----------
    flow
        The fitted flow.
    ax
        Axes to draw on; None makes a figure.
    show
        Show the figure at once; None does so where the backend is interactive.

    Returns
    -------
    The axes. The loss of conditional flow matching does not fall to zero: what remains is the
    spread of conditional velocities at one point.
    """
    ax = canvas(ax, (5.2, 3.4))
    ax.plot(flow.history["step"], flow.history["loss"], color=PREDICTED, linewidth=1.3)
    ax.set_xlabel("training step")
    ax.set_ylabel("mean squared velocity error")
    ax.spines[["top", "right"]].set_visible(False)
    ax.set_title(f"Loss, coupling {flow.settings['coupling']}", fontsize="medium")
    return finish(ax, show=show)
