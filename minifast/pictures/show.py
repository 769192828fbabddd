"""show_graph: a picture of the graph behind a tensor."""
from typing import Any

from ..autograd import Tensor
from ..nn import Module
from .graph import note_modules, read_graph
from .page import Picture
from .svg import draw


def show_graph(loss: Tensor, model: Module | note_modules | None = None, **tensors: Any
               ) -> Picture:
    """Draw the graph behind a tensor: operations, their inputs, and boxes around modules.

    Parameters
    ----------
    loss : Tensor
        The result of operations, before ``backward`` releases them.
    model : Module or note_modules, optional
        Gives names to parameters and boxes to modules. A model alone has boxes only around
        operations that read a parameter; ``note_modules`` has one for each call of a module.
    **tensors : Tensor
        Further inputs, under their names.

    Returns
    -------
    Picture
        The drawing. A notebook shows it; ``.save(path)`` writes a page.

    Examples
    --------
    >>> from minifast import tensor
    >>> x = tensor([1., 2.], requires_grad=True)
    >>> show_graph((x * 3).sum(), x=x)
    <Picture: Graph of sum; .save('picture.html') writes a page>
    """
    graph = read_graph(loss, model, **tensors)
    return Picture(f"Graph of {graph.nodes[-1].op.name}", scroll_box(draw(graph)))


def scroll_box(svg: str) -> str:
    """Return a box that scrolls its drawing, by touch, mouse and arrow keys.

    Parameters
    ----------
    svg : str
        The drawing.

    Returns
    -------
    str
        The HTML element.

    Examples
    --------
    >>> scroll_box("<svg></svg>").splitlines()[1]
    '<svg></svg>'
    """
    return ('<div class="mf-scroll" tabindex="0" role="region" aria-label="Graph; '
            f'scrolls">\n{svg}\n</div>')
