"""Look at every page of the built site in headless Chromium: ``python docs/check_pages.py``.

At 390 and at 1280 pixels nothing may be wider than the page, and no text in a picture may be
smaller than 11 pixels. The search has to find weight decay where it is explained. Needs
``pip install playwright`` and a Chromium, whose path ``CHROMIUM`` names.
"""
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

SITE = Path(__file__).parents[1] / "out" / "site"
WIDTHS = 390, 1280
SMALLEST = 11
LOOK = """smallest => {
    const found = [], page = document.documentElement;
    if (page.scrollWidth > page.clientWidth)
        found.push(`is ${page.scrollWidth} px wide`);
    for (const text of document.querySelectorAll("article svg text")) {
        const box = text.ownerSVGElement, drawn = text.getScreenCTM();
        const size = parseFloat(getComputedStyle(text).fontSize) * Math.hypot(drawn.a, drawn.b);
        if (text.textContent.trim() && box.clientWidth && size < smallest - .01)
            found.push(`has ${size.toFixed(1)} px for ${text.textContent.trim()} in a picture`);
    }
    // matplotlib's smallest text has 10 points: 13.3 px in SVG, at least 13.9 px in PNG
    for (const image of document.querySelectorAll("article img"))
        if (image.naturalWidth == 0)
            found.push(`lacks ${image.src}`);
        else if (image.clientWidth / image.naturalWidth < smallest / 13.3)
            found.push(`shrinks ${image.src.slice(-60)} to ${image.clientWidth} px`);
    // what is wider than its box has to scroll
    for (const wide of document.querySelectorAll("article pre, article table, article math")) {
        let box = wide.parentElement;
        let scrolls = /auto|scroll/.test(getComputedStyle(wide).overflowX);
        while (box && box.tagName != "ARTICLE" && !scrolls) {
            scrolls = /auto|scroll/.test(getComputedStyle(box).overflowX); box = box.parentElement;
        }
        if (!scrolls && wide.getBoundingClientRect().right > page.clientWidth + 1)
            found.push(`cuts off a ${wide.tagName} of ${wide.textContent.slice(0, 30)}`);
    }
    for (const formula of document.querySelectorAll("article .math"))
        if (!formula.querySelector("math")) found.push(`shows ${formula.textContent.slice(0, 30)}`);
    return [...new Set(found)].slice(0, 5);
}"""


def problems(browser: Any) -> list[str]:
    """Return what is wrong with the pages, at each width."""
    found = []
    for width in WIDTHS:
        tab = browser.new_page(viewport={"width": width, "height": 900})
        requests: list[str] = []
        errors: list[str] = []
        tab.on("request", lambda request, into=requests: into.append(request.url))
        tab.on("pageerror", lambda error, into=errors: into.append(str(error)))
        for path in sorted(SITE.rglob("*.html")):
            tab.goto(path.as_uri())
            name = path.relative_to(SITE)
            found += [f"{name} at {width} px {problem}" for problem in tab.evaluate(LOOK, SMALLEST)]
        found += [f"asks the network for {url}" for url in set(requests) if url.startswith("http")]
        found += [f"error in a script: {error}" for error in errors]
        tab.close()
    return found


def search(browser: Any, words: str) -> list[str]:
    """Return the addresses that a search finds, best first."""
    tab = browser.new_page()
    tab.goto(f"{(SITE / 'search.html').as_uri()}?q={words.replace(' ', '+')}")
    tab.wait_for_selector("#search-results li a")
    tab.wait_for_timeout(1500)
    links = tab.eval_on_selector_all("#search-results li > a", "all => all.map(a => a.href)")
    tab.close()
    return [str(link).rpartition("/site/")[2].partition("?")[0] for link in links]


def main() -> int:
    """Print the problems and return whether there are any."""
    program = os.environ.get("CHROMIUM") or shutil.which("chromium")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=program, args=["--no-sandbox"])
        found = problems(browser)
        first = search(browser, "weight decay")[:12]
        browser.close()
    if not any(link.startswith("groups.html") for link in first):
        found.append(f"a search for weight decay finds {', '.join(first)} first")
    print("\n".join(found) or "every page is legible")
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
