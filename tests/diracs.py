"""The Wasserstein-Fisher-Rao distance of two Dirac masses, in closed form."""

import math


def wfr_squared(distance, m0, m1, delta):
    """Squared distance 2 delta^2 (m0 + m1 - 2 sqrt(m0 m1) cos(d / 2 delta)) of two Dirac masses.

    It is the least 1/2 integral of (u^2 + delta^2 g^2) m over unit time; from d = pi delta on,
    mass does not move.
    """
    angle = (distance / (2 * delta)).clamp(max=math.pi / 2)
    return 2 * delta**2 * (m0 + m1 - 2 * (m0 * m1).sqrt() * angle.cos())
