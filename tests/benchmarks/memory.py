"""Peak memory of a process, above what it took at some moment."""

from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class Peak:
    """Starts a new peak when it is made; Linux only."""

    def __init__(self) -> None:
        _RESET.write_text("5")
        self.start = _megabytes("VmRSS")

    @property
    def above(self) -> float:
        """MB of the peak since then above what there was then."""
        return _megabytes("VmHWM") - self.start


def _megabytes(field: str) -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) * 1024 / 1e6
