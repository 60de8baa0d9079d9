"""How Sphinx builds the documentation: ``nox -s docs``."""

from __future__ import annotations

import sys
from pathlib import Path

import trio_tlsx

sys.path.insert(0, str(Path(__file__).parent))
from inventories import inventories

project = "trio-tlsx"
author = "The trio-tlsx contributors"
version = release = trio_tlsx.__version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
    "sphinx.ext.napoleon",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"trio-tlsx {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_default_options = {"members": True}
napoleon_use_ivar = True

intersphinx_mapping = inventories(Path(__file__).parent / "_build")
