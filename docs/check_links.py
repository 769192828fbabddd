"""Check every link inside the built site: ``python docs/check_links.py [folder of the site]``.

Each page, file and anchor that a page names has to exist, and no page loads anything from the
network. Links to other sites are not followed.
"""
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

SITE = Path(__file__).parents[1] / "out" / "site"
LOADING = {"script": "src", "img": "src", "iframe": "src", "link": "href"}
"""Elements that load a file, with the attribute that names it."""


class Page(HTMLParser):
    """The anchors of a page, the links on it, and what it loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors, self.links, self.loaded = {"", "top"}, set[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what an element names."""
        found = {name: value for name, value in attrs if value}
        self.anchors |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        if (name := LOADING.get(tag, "")) in found and found.get("rel") != "canonical":
            self.loaded.add(found[name])


def problems(site: Path) -> list[str]:
    """Return the links that lead nowhere, and what is loaded from the network."""
    files = [path for path in site.rglob("*.html") if "_static" not in path.parts]
    pages = {path.resolve(): Page(path.read_text(encoding="utf-8")) for path in files}
    found = []
    for path, page in pages.items():
        name = path.relative_to(site.resolve())
        found += [f"{name} loads {url}" for url in page.loaded if urlsplit(url).netloc]
        for link in sorted(page.links | page.loaded):
            parts = urlsplit(link)
            if not parts.scheme and not parts.netloc and not leads_somewhere(path, link, pages):
                found.append(f"{name} links to {link}")
    return found


def leads_somewhere(path: Path, link: str, pages: dict[Path, Page]) -> bool:
    """Whether the file of a link exists, and has the anchor if it is a page."""
    parts = urlsplit(link)
    target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
    if target.is_dir():
        target /= "index.html"
    page = pages.get(target)
    return target.exists() if page is None else unquote(parts.fragment) in page.anchors


if __name__ == "__main__":
    site = Path(*sys.argv[1:]) if sys.argv[1:] else SITE
    broken = problems(site) if (site / "index.html").exists() else [f"no site in {site}"]
    print("\n".join(broken) or "every link leads somewhere")
    sys.exit(bool(broken))
