"""What a result keeps of how it was made."""

from __future__ import annotations

from typing import Any

from cellflow._versions import versions
from cellflow.flow import Flow


def made_by(flow: Flow, seed: int | None = None) -> dict[str, Any]:
    """The flow, the data that it was fitted to, the seed of what was drawn, device and versions."""
    return {
        "flow_id": flow.fingerprint,
        "data": flow.settings.get("data"),
        "seed": seed,
        "device": str(flow.device),
        "versions": versions(),
    }
