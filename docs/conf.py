"""How the documentation is built: ``make docs``. Why with Sphinx: CONTRIBUTING.md, "Dependencies"."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

from pygments.lexers.shell import BashLexer
from sphinx.application import Sphinx

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

# Operators are read from their docstrings, and Airflow writes its configuration wherever it is imported.
_home = tempfile.TemporaryDirectory(prefix="airflow-home-")
os.environ |= {"AIRFLOW_HOME": _home.name, "AIRFLOW__LOGGING__LOGGING_LEVEL": "WARNING"}

from airflow_provider_partition_registry import __version__  # noqa: E402

project = "Partition Registry"
author = "The Partition Registry authors"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx_click",
    "generating.command_line",
    "generating.http_api",
    "generating.python_api",
]
exclude_patterns = ["_build", "generating"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_default_options = {"members": True, "show-inheritance": True, "member-order": "bysource"}
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
python_maximum_signature_line_length = 80
python_use_unqualified_type_names = True
add_module_names = False
toc_object_entries_show_parents = "hide"
smartquotes = False  # "--url" is no dash

html_theme = "pydata_sphinx_theme"
html_title = "Partition Registry"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_copy_source = False
html_show_sphinx = False
html_show_search_summary = False  # pages that are opened as files may not be fetched by scripts
html_context = {"default_mode": "auto"}
html_theme_options = {
    "navbar_align": "left",
    "secondary_sidebar_items": ["page-toc"],
    "show_prev_next": True,
    "primary_sidebar_end": [],  # where the theme would put advertisements
    "use_edit_page_button": False,
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_toc_level": 2,
}
copyright = "the Partition Registry authors, Apache License 2.0"


def setup(app: Sphinx) -> None:
    """Let crontabs be coloured as what they mostly are."""
    app.add_lexer("cron", BashLexer)
