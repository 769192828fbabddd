"""The site has every page and every public name; ``.ci/run`` builds it and checks its links."""
import re
import sys
from operator import attrgetter
from pathlib import Path
from pkgutil import resolve_name

import check_docs
import pytest

DOCS = Path(__file__).parents[1] / "docs"
sys.path.insert(0, str(DOCS))
import check_links
import from_fastai
import generate
import pictures

pytestmark = pytest.mark.cpu_only("reads documents and docstrings")


def test_every_public_name_is_in_the_reference() -> None:
    pages = generate.documented()
    count = 0
    for package, modules in pages.items():
        lines = set(generate.package_page(package, modules))
        for module in modules:
            for name, thing, cls in check_docs.public(module):
                path = generate.public_path(package, name, thing) if cls is None else ""
                assert cls is not None or lines & {f".. autoclass:: {path}",
                                                   f".. autofunction:: {path}"}, path
                count += cls is None
    left_out = {name for name in map(attrgetter("__name__"), check_docs.modules())
                if name not in {m.__name__ for modules in pages.values() for m in modules}}
    assert count > 400
    assert all(name.startswith(generate.NOT_IN_REFERENCE)
               or not list(check_docs.public(sys.modules[name])) for name in left_out)


def test_methods_are_shown_with_their_class() -> None:
    modules = generate.documented()["minifast.optim"]
    lines = list(generate.package_page("minifast.optim", modules))
    at = lines.index(".. autoclass:: minifast.optim.Optimizer")
    assert "   :members:" in lines[at:at + 3]


def test_every_page_has_its_place_in_the_order() -> None:
    toc = (DOCS / "_toc.yml").read_text(encoding="utf-8")
    listed = [page for page in re.findall(r"(?:file|root): (\S+)", toc)
              if not page.startswith(("examples/", "course/"))]  # copies
    pages = [p.relative_to(DOCS).with_suffix("").as_posix()
             for p in (*DOCS.glob("*.md"), *DOCS.glob("gpu/*.md"))]
    assert sorted(listed) == sorted(pages)


def test_every_picture_in_a_page_is_known() -> None:
    found = {name for page in DOCS.glob("*.md")
             for name in pictures.PLACE.findall(page.read_text(encoding="utf-8"))}
    assert {"graph", "backward", "one_cycle"} <= found <= set(pictures.PICTURES)


def test_a_picture_and_links_to_other_folders_are_replaced() -> None:
    source = ["[a](../course/unit02/student.ipynb)\n\n<!-- picture: lookup -->\n\n## Next\n"]
    pictures.insert(None, "page", source)
    assert source[0].startswith("[a](course/unit02.ipynb)\n\n```{raw} html\n<div")
    assert source[0].endswith("</div>\n```\n\n## Next\n")


def test_the_table_of_fastais_names_is_up_to_date() -> None:
    text = from_fastai.PAGE.read_text(encoding="utf-8")
    assert from_fastai.rewritten(text) == text, "run python docs/from_fastai.py"


def test_each_name_that_a_page_gives_for_fastais_exists() -> None:
    for path in re.findall(r"`(minifast(?:\.\w+)+)`", from_fastai.PAGE.read_text(encoding="utf-8")):
        resolve_name(path)


def test_a_broken_link_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text(
        '<p id="here"><a href="b.html#there">b</a><a href="#here">a</a>')
    (tmp_path / "b.html").write_text('<p id="there"><a href="a.html#x">a</a><a href="c.html">c</a>'
                                     '<script src="https://example.org/x.js"></script>')
    assert check_links.problems(tmp_path) == [
        "b.html loads https://example.org/x.js", "b.html links to a.html#x",
        "b.html links to c.html"]
