"""Settings of the site: ``sphinx-build -W -n docs out/site``.

`generate.py` next to this file writes the pages that have a source elsewhere: the reference from
the docstrings, the notebooks, the examples with their pictures. `_toc.yml` has the order of the
pages.
"""
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import generate
import pictures

import minifast

project = "minifast"
author = "The minifast authors"
project_copyright = "The minifast authors, Apache License 2.0"
version = release = minifast.__version__
html_title = f"minifast {version}"
html_baseurl = os.environ.get("MINIFAST_SITE_URL", "http://localhost:8000/")

extensions = ["sphinx_external_toc", "myst_nb", "numpydoc", "sphinx.ext.autodoc",
              "sphinx.ext.autosummary", "sphinx.ext.viewcode", "sphinx_copybutton",
              "sphinxcontrib.katex"]
external_toc_path = "_toc.yml"
exclude_patterns = ["_*", "outputs"]
default_role = "literal"  # `x` in a docstring is code
nitpicky = True
# in other libraries
nitpick_ignore_regex = [("py:.*", r"(torch|sklearn|fastai|contextlib|enum|types)\..*")]

# Markdown and notebooks
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 4
myst_links_external_new_tab = False
suppress_warnings = ["myst.xref_ambiguous", "mystnb.unknown_mime_type"]
nb_execution_mode = "cache"
if not os.environ.get("MINIFAST_SITE_COURSE"):  # students run them; a build would take minutes
    nb_execution_excludepatterns = ["course/*"]
nb_execution_cache_path = str(generate.OUT / "notebooks")
nb_execution_timeout = 120
nb_execution_raise_on_error = True
nb_merge_streams = True

# The reference
autodoc_typehints = "none"  # the section Parameters has the types
autodoc_member_order = "bysource"
autodoc_inherit_docstrings = False
autosummary_generate = False
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

# Formulas: KaTeX comes with sphinxcontrib-katex; MathML needs neither its styles nor its fonts
katex_js_path = "katex.min.js"
katex_autorender_path = "auto-render.min.js"
katex_css_path = "katex-math.css"
katex_options = "output: 'mathml'"

# How it looks
html_theme = "pydata_sphinx_theme"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_context = {"home": html_baseurl}
templates_path = ["_templates"]
html_additional_pages = {"404": "404.html"}
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "logo": {"text": "minifast"},
    "navbar_end": ["theme-switcher"],
    "footer_start": ["copyright"],
    "footer_end": [],
    "show_prev_next": True,
    "show_nav_level": 1,
    "navigation_depth": 3,
    "show_toc_level": 2,
    "secondary_sidebar_items": ["page-toc"],
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True

generate.pages()


def setup(app: object) -> None:
    """Put pictures into the pages, and write the map of the site at the end."""
    app.connect("source-read", pictures.insert)  # type: ignore[attr-defined]
    app.connect("viewcode-follow-imported", generate.source_module)  # type: ignore[attr-defined]
    app.connect("doctree-read", generate.more_anchors)  # type: ignore[attr-defined]
    app.connect("doctree-resolved", generate.link_names)  # type: ignore[attr-defined]
    app.connect("build-finished", generate.sitemap)  # type: ignore[attr-defined]
