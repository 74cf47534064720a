"""Names that users choose from, each with one line on what it is and its source."""

from __future__ import annotations

COUPLINGS = {
    "ot": "exact optimal transport between minibatches (OT-CFM, Tong et al. 2024)",
    "independent": "source and target drawn apart (I-CFM, Tong et al. 2024)",
}

PROTOCOLS = {
    "strict": "nothing of the held-out cells enters; real time axis",
    "paper": "as published: whitening sees all cells, index time axis, previous cells pushed by Euler",
}
