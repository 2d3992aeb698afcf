"""Sphinx configuration; from the repository's root

python -m sphinx -W --keep-going -b html docs docs/_build/html

Nothing is fetched: no inventories of other projects, formulas are MathML.
"""

import re
import sys
from pathlib import Path

import matplotlib

from skdiffrec import __version__

matplotlib.use("agg")
sys.path.insert(0, str(Path(__file__).parent / "_ext"))

project = "skdiffrec"
author = "skdiffrec developers"
copyright = author
version = release = __version__

extensions = [
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
templates_path = ["_templates"]
exclude_patterns = ["_build", "auto_examples/**.ipynb", "auto_examples/**.py"]

# Pages are Markdown that reads well on a code host too.
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 3

# A page for each public module, from its __all__, and one for each name in it.
autosummary_generate = True
autosummary_imported_members = True
autosummary_ignore_module_all = False
autodoc_typehints = "none"
add_module_names = False
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_validation_checks = {
    "GL03",  # blank lines
    "GL06",  # unknown section
    "GL07",  # order of sections
    "GL08",  # no docstring
    "PR01",  # undocumented parameters
    "PR02",  # unknown parameters
    "PR10",  # space before the colon of a type
    "SS01",  # no summary
    "SS03",  # summary without a full stop
}
numpydoc_validation_exclude = {r"\.__\w+__$", r"metrics\.(Comparison|RankingReport)$", "paper$"}

html_math_renderer = "mathml"
html_theme = "pydata_sphinx_theme"
html_title = "skdiffrec"
html_static_path = ["_static"]
html_css_files = ["skdiffrec.css"]
html_sidebars = {page: [] for page in ("quickstart", "coming-from", "design-notes", "changelog")}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    "show_nav_level": 1,
    "footer_start": ["copyright"],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "logo": {"text": "skdiffrec"},
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"/plot_",
    "ignore_pattern": r"^(?!plot_)",
    "within_subsection_order": "FileNameSortKey",
    "backreferences_dir": "generated/backreferences",
    "doc_module": ("skdiffrec",),
    "inspect_global_variables": True,
    "show_memory": False,
    "show_signature": False,
    "download_all_examples": False,
    "plot_gallery": "True",
    "capture_repr": (),
    "min_reported_time": 5,
    "remove_config_comments": True,
}


def prepare_page(app, docname, source):
    """Makes of links that a code host can follow what Sphinx needs.

    Links to gallery scripts and to their folder lead to their pages, and the pages that the user
    guide and the studies list become their children.
    """
    text = source[0]
    listed = re.findall(r"^\* \[.*\]\(([\w/-]+)\.md\)", text, re.M)
    children = {"guide": listed, "studies/index": listed, "benchmarks": ["accuracy"]}
    if docname in children:
        text += "\n```{toctree}\n:hidden:\n\n" + "\n".join(children[docname]) + "\n```\n"
    text = re.sub(r"\]\(\.\./examples/(plot_\w+)\.py\)", r"](auto_examples/\1.rst)", text)
    source[0] = text.replace("](../examples)", "](auto_examples/index.rst)")


def setup(app):
    app.connect("source-read", prepare_page)
