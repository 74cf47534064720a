"""Configuration of the documentation site; `make docs` builds it without a network."""

import os

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
exclude_patterns = ["_build", "_templates"]
templates_path = ["_templates"]

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
# Notebooks are kept without outputs; `make docs NOTEBOOKS=cache` runs them first, for minutes.
nb_execution_mode = "off"
nb_execution_in_temp = True
nb_execution_timeout = 1800
nb_execution_excludepatterns = [] if "CELLFLOW_DATA" in os.environ else ["**/clones.ipynb"]
# Progress bars without widgets are no fault of a page.
os.environ["PYTHONWARNINGS"] = "ignore:IProgress not found"

# `name` in a docstring is code, as in Markdown.
default_role = "code"
highlight_language = "none"
# Options begin with two hyphens, not with a dash.
smartquotes_action = "qe"
autodoc_typehints = "none"
autodoc_member_order = "bysource"
autosummary_generate = True
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
