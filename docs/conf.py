"""Configuration of the documentation site; `make docs` builds it without a network."""

import re
from inspect import signature
from pathlib import Path

from numpydoc.docscrape import FunctionDoc

import cellflow
from cellflow import __version__

project = "cellflow"
author = "The cellflow developers"
copyright = "2026, the cellflow developers"
release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "numpydoc",
    "myst_nb",
    "sphinx_click",
    "sphinx_copybutton",
]
exclude_patterns = ["_build", "_templates", "api/generated/slots.md"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# Notebooks are shown as they are kept; `make tutorials` runs them.
nb_execution_mode = "off"

# `name` in a docstring is code, as in Markdown.
default_role = "code"
highlight_language = "none"
# Options begin with two hyphens, not with a dash.
smartquotes_action = "qe"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = True
# The pages of packages list what is in `__all__`.
autosummary_ignore_module_all = False
# `Method` and `method` are one file name where case does not count.
autosummary_filename_map = {
    "cellflow.method": "cellflow.method-function",
    "cellflow.recipe": "cellflow.recipe-function",
}
numpydoc_show_class_members = False
copybutton_exclude = ".linenos, .gp, .go"

html_theme = "sphinx_book_theme"
html_title = "cellflow"
html_static_path = ["_static"]
html_css_files = ["cellflow.css"]
html_theme_options = {
    "show_navbar_depth": 1,
    "show_toc_level": 2,
    "use_download_button": False,
    "use_fullscreen_button": False,
    # The search stands in the sidebar.
    "navbar_persistent": [],
}


#: An entry under `Returns` that names slots of an AnnData.
_SLOT = re.compile(r"`(obs|obsm|var|layers|uns)\[")


def slot_table() -> str:
    """Return a table of the slots that verbs write, read from their docstrings."""
    lines = ["| verb | slot | content |", "|---|---|---|"]
    for package in (cellflow.pp, cellflow.tl, cellflow.datasets):
        for name in package.__all__:
            verb = getattr(package, name)
            key = signature(verb).parameters.get("key_added")
            verb_name = f"`{package.__name__.removeprefix('cellflow.')}.{name}`"
            for entry in FunctionDoc(verb)["Returns"]:
                if not (_SLOT.match(entry.type) and entry.desc):
                    continue
                slot, content = entry.type, " ".join(entry.desc).replace("|", "\\|")
                if key is not None:
                    slot = re.sub(r'f"{key_added}(\w+)"', rf'"{key.default}\1"', slot)
                    slot = slot.replace("[key_added]", f'["{key.default}"]')
                lines.append(f"| {verb_name} | {slot} | {content} |")
                verb_name = ""
    return "\n".join(lines) + "\n"


def setup(_app: object) -> None:
    """Write the table that the page of slots includes."""
    generated = Path(__file__).parent / "api" / "generated"
    generated.mkdir(exist_ok=True)
    (generated / "slots.md").write_text(slot_table())
