"""What can be measured of a figure after it is drawn."""
from typing import Any

import matplotlib as mpl
import numpy as np


def visible_texts(figure: Any) -> list[Any]:
    return [text for text in figure.findobj(mpl.text.Text)
            if text.get_text() and text.get_visible()]


def assert_readable(figure: Any, column: int = 350) -> None:
    """Text has 11 pixels or more, also where a wider figure is scaled to a narrow column."""
    figure.canvas.draw()
    for text in visible_texts(figure):
        points = text.get_fontsize()
        assert points * figure.dpi / 72 >= 11, text
        assert points / 72 * column / figure.get_figwidth() >= 11 or \
            figure.get_figwidth() * figure.dpi <= column, text


def overlapping(texts: Any) -> list[tuple[str, str]]:
    """Pairs of texts whose boxes overlap when they are drawn."""
    drawn = [text for text in texts if text.get_text() and text.get_visible()]
    boxes = [text.get_window_extent() for text in drawn]
    return [(a.get_text(), b.get_text()) for i, a in enumerate(drawn)
            for j, b in enumerate(drawn[:i]) if boxes[i].overlaps(boxes[j])]


def assert_ticks_apart(figure: Any) -> None:
    for axes in figure.axes:
        assert overlapping(axes.get_xticklabels()) == []
        assert overlapping(axes.get_yticklabels()) == []


def luminance(color: Any) -> float:
    """As WCAG 2 defines it."""
    c = np.array(mpl.colors.to_rgb(color))
    return float(np.where(c <= .04045, c / 12.92, ((c + .055) / 1.055) ** 2.4)
                 @ [.2126, .7152, .0722])


def contrast(a: Any, b: Any) -> float:
    low, high = sorted([luminance(a), luminance(b)])
    return (high + .05) / (low + .05)
