"""Run the tutorials and keep what they show: python scripts/run_notebooks.py [NAME ...].

Each notebook of docs/tutorials (or those named) is run from top to bottom in a kernel of its own,
in an empty folder, and written back with its outputs. What differs from run to run is left out:
times of execution, progress bars, versions of the kernel. Figures are kept as PNG with few colours.
A notebook records a digest of its code, so that a test finds outputs of other code. Nothing is
written if a cell fails, or if an output shows a folder of this machine or an address of an object.
"""

from __future__ import annotations

import base64
import hashlib
import io
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1] / "docs" / "tutorials"

#: Key of the notebook's metadata with the digest of its code.
DIGEST = "code_sha256"

#: Notebooks with data that users have to bring: run when they are named.
BRING_DATA = ("clones",)

#: Settings of matplotlib in the kernel, and number of colours of a kept figure.
_STYLE = "figure.dpi: 100\n"
_N_COLOURS = 128

#: Codes of a terminal, for bold text and for moving between lines of progress bars.
_CODES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")

#: Seconds since the start and until the end, in a progress bar.
_BAR = re.compile(r"\[\d+:\d\d[<,]")

#: What no output may show: addresses of objects, and folders of this machine.
_PRIVATE = re.compile(r"^.*(?:0x[0-9a-f]{6,}|/tmp/|/home/|/root/|/Users/).*$", re.MULTILINE)


def digest_of(notebook: dict[str, Any]) -> str:
    """Return the SHA-256 of the sources of the code cells."""
    sources = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    return hashlib.sha256("\n\0\n".join(sources).encode()).hexdigest()


def shrink(png: str) -> str:
    """Return a PNG, in base64, with a palette of few colours."""
    from PIL import Image

    with Image.open(io.BytesIO(base64.b64decode(png))) as image:
        flat = image.convert("RGB").quantize(_N_COLOURS, method=Image.Quantize.MAXCOVERAGE)
    written = io.BytesIO()
    flat.save(written, format="png", optimize=True)
    return base64.b64encode(written.getvalue()).decode()


def clean_output(output: dict[str, Any]) -> dict[str, Any] | None:
    """Return an output without what differs from run to run; None if nothing is left."""
    if output["output_type"] == "stream":
        # A progress bar returns to the start of its line; a terminal ends lines with "\r\n".
        text = _CODES.sub("", output["text"]).replace("\r\n", "\n")
        lines = [line.rpartition("\r")[2].rstrip() for line in text.split("\n")]
        lines = [line for line in lines if not _BAR.search(line)]
        if output["name"] == "stderr":  # Bars leave empty lines between messages.
            lines = [*filter(None, lines), ""]
        output["text"] = "\n".join(lines)
        return output if output["text"].strip() else None
    data = output.get("data", {})
    if "image/png" in data:
        # Pictures of Pillow come in both formats.
        data.pop("image/jpeg", None)
        data["image/png"] = shrink(data["image/png"])
        # Beside a figure the text is its class and size in pixels.
        data["text/plain"] = "figure"
    output["metadata"] = {}
    return output


def merge_streams(outputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return outputs with what one stream wrote in several pieces as one."""
    merged: list[dict[str, Any]] = []
    for output in outputs:
        if "name" in output and merged and merged[-1].get("name") == output["name"]:
            merged[-1]["text"] += output["text"]
        else:
            merged.append(output)
    return merged


def clean(notebook: dict[str, Any]) -> None:
    """Remove in place what differs from run to run, and record the digest of the code."""
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code":
            cell["metadata"].pop("execution", None)
            cleaned = [clean_output(output) for output in merge_streams(cell["outputs"])]
            cell["outputs"] = [output for output in cleaned if output is not None]
    notebook["metadata"] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python", "pygments_lexer": "ipython3"},
        DIGEST: digest_of(notebook),
    }


def texts_of(notebook: dict[str, Any]) -> list[str]:
    """Return the texts that the outputs show."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", ())]
    shown = [output.get("text", "") for output in outputs]
    for output in outputs:
        shown += [text for kind, text in output.get("data", {}).items() if "text" in kind]
    return ["".join(text) for text in shown]


def find_private(text: str) -> list[str]:
    """Return the lines with an address of an object, or a folder of this machine."""
    here = str(FOLDER.parents[1])
    return [*_PRIVATE.findall(text), *(line for line in text.splitlines() if here in line)]


def run(path: Path) -> None:
    """Run a notebook and write it back with its outputs."""
    import nbformat
    from nbclient import NotebookClient

    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        style = Path(folder, "matplotlibrc")
        style.write_text(_STYLE)
        # Bars without widgets, and one thread, so that sums are in one order.
        settings = {"PYTHONWARNINGS": "ignore:IProgress not found", "OMP_NUM_THREADS": "1"}
        # Commands are those beside this Python, and print plain text.
        settings["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        settings |= {"NO_COLOR": "1", "TERM": "dumb", "COLUMNS": "96"}
        # The workflows are in the repository, and the folder of a notebook is not.
        settings["CELLFLOW"] = str(FOLDER.parents[1])
        client = NotebookClient(
            notebook, timeout=1800, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute(env={**os.environ, **settings, "MATPLOTLIBRC": str(style)})
    clean(notebook)
    private = [line for text in texts_of(notebook) for line in find_private(text)]
    if private:
        raise SystemExit("\n".join([f"{path.name}: outputs show", *private]))
    nbformat.write(notebook, path)


def main(names: list[str]) -> None:
    """Run the notebooks of these names, or all that need no data of one's own."""
    known = sorted(path.stem for path in FOLDER.glob("*.ipynb"))
    unknown = set(names) - set(known)
    if unknown:
        raise SystemExit(f"no notebook {sorted(unknown)}; there are {known}")
    for name in names or [name for name in known if name not in BRING_DATA]:
        started = time.monotonic()
        run(FOLDER / f"{name}.ipynb")
        size = (FOLDER / f"{name}.ipynb").stat().st_size / 1024
        print(f"{name}: {time.monotonic() - started:.0f} s, {size:.0f} kB", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
