"""Callbacks that hook layers during a fit: statistics of their outputs."""
from collections.abc import Iterable
from typing import Any

import numpy as np

from ..autograd import Tensor
from ..backend import transfer
from ..nn import Module, Parameter
from ..train import Learner, LearnerCallback
from .hooks import Hooks
from .style import GREY, legend_below, panels, plot_style

NEAR_ZERO = .05
"""Activations smaller than this count as near zero."""
MOST_NAMES = 8
"""Layers that a plot's legend names at most."""


class HookCallback(LearnerCallback):
    """Call the method ``hook(module, inputs, output)`` at each forward of modules during a fit.

    ``self.hooks`` keeps what ``hook`` returns.

    Parameters
    ----------
    learn : Learner
        The learner to hook.
    modules : iterable of Module, optional
        The modules to hook; by default those that own parameters.
    do_remove : bool
        Remove the hooks when the fit ends, however it ends. Otherwise ``remove()`` does.

    Raises
    ------
    NotImplementedError
        In a fit, if a subclass has no method ``hook``.

    Notes
    -----
    fastai v1's ``HookCallback``.

    Examples
    --------
    >>> class Shapes(HookCallback):
    ...     def hook(self, module, inputs, output):
    ...         return output.shape
    """

    _order = -30  # removes hooks before another callback's on_train_end can fail

    def __init__(self, learn: Learner, modules: Iterable[Module] | None = None,
                 do_remove: bool = True) -> None:
        super().__init__(learn)
        self.modules = list(modules or with_parameters(learn.model))
        self.do_remove = do_remove
        self.hooks = Hooks([], self.hook)

    def hook(self, module: Module, inputs: Any, output: Any) -> Any:
        """Return what to keep of a module's forward.

        Parameters
        ----------
        module : Module
            The module.
        inputs, output : Any
            Its inputs, a tuple, and its output, without their history.

        Returns
        -------
        Any
            What ``self.hooks`` stores.

        Examples
        --------
        >>> class Means(HookCallback):
        ...     def hook(self, module, inputs, output):
        ...         return output.mean().item()
        """
        raise NotImplementedError(f"{type(self).__name__} has no method hook(module, inputs, "
                                  "output)")

    def on_train_begin(self, **state: Any) -> None:
        self.remove()
        self.hooks = Hooks(self.modules, self.hook)

    def on_train_end(self, **state: Any) -> None:
        if self.do_remove:
            self.remove()

    def remove(self) -> None:
        """Remove the hooks. What they have stored stays."""
        self.hooks.remove()


def with_parameters(model: Module) -> list[Module]:
    """Return the modules that own parameters themselves.

    Parameters
    ----------
    model : Module
        The model.

    Returns
    -------
    list of Module
        The modules, depth first.

    Examples
    --------
    >>> from minifast.nn import Linear, ReLU, Sequential
    >>> with_parameters(Sequential(Linear(1, 1), ReLU()))
    [Linear(in_features=1, out_features=1, bias=True)]
    """
    return [module for module in model.modules()
            if any(isinstance(value, Parameter) for value in vars(module).values())]


class ActivationStats(HookCallback):
    """Record mean, standard deviation and share near zero of each layer's training outputs.

    After a fit, ``stats`` has shape (2, layers, batches), means first, and ``near_zero`` has
    shape (layers, batches): the share of outputs smaller than 0.05. They are NaN where a layer
    was not used or returned no tensor.

    Parameters
    ----------
    learn, modules, do_remove : Learner, iterable of Module, bool
        See ``HookCallback``.

    Notes
    -----
    fastai v1's ``ActivationStats`` has no ``near_zero``. Such outputs learn little or nothing.

    Examples
    --------
    >>> from minifast.data import DataBunch
    >>> from minifast.nn import Linear, MSELossFlat
    >>> from minifast.train import Learner
    >>> x = np.ones((4, 1), np.float32)
    >>> learn = Learner(DataBunch([(x, x)] * 5), Linear(1, 1), loss_func=MSELossFlat(),
    ...                 callback_fns=[ActivationStats])
    >>> with learn.no_logging():
    ...     learn.fit(2)
    >>> learn.activation_stats.stats.shape
    (2, 1, 10)
    """

    def __init__(self, learn: Learner, modules: Iterable[Module] | None = None,
                 do_remove: bool = True) -> None:
        super().__init__(learn, modules, do_remove)
        names = {id(module): name for name, module in learn.model.named_modules()}
        self.names = [f"{names.get(id(module), '')} {type(module).__name__}".strip()
                      for module in self.modules]
        self.unknown = transfer(np.full(3, np.nan, np.float32), learn.data.device)
        self._set_stats([])

    def _set_stats(self, batches: list[Any]) -> None:
        """Set ``stats`` and ``near_zero``; arrays leave the device together."""
        empty = np.zeros((0, len(self.modules), 3), np.float32)
        numbers = transfer(np.stack(batches), "cpu") if batches else empty
        self.stats, self.near_zero = numbers.T[:2], numbers.T[2]

    def on_train_begin(self, **state: Any) -> None:
        super().on_train_begin()
        self.batches: list[Any] = []

    def on_batch_begin(self) -> None:
        for hook in self.hooks:
            hook.stored = self.unknown

    def hook(self, module: Module, inputs: Any, output: Any) -> Any:
        if not (self.learn.model.training and isinstance(output, Tensor) and output.numel()):
            return self.unknown
        a = output.data
        spread = a.std(ddof=min(1, a.size - 1), dtype=np.float32)  # of one element: 0
        near_zero = (np.abs(a) < NEAR_ZERO).mean(dtype=np.float32)
        return np.stack([a.mean(dtype=np.float32), spread, near_zero])

    def on_batch_end(self, train: bool) -> None:
        if train:
            self.batches.append(np.stack(self.hooks.stored))

    def on_train_end(self, **state: Any) -> None:
        super().on_train_end()
        self._set_stats(self.batches)

    @plot_style()
    def plot(self, return_fig: bool = False, axs: Any = None) -> Any:
        """Plot the three statistics by batch, a line per layer: early layers dark, late ones light.

        Parameters
        ----------
        return_fig : bool
            Return the figure.
        axs : sequence of three Axes, optional
            Axes to draw in; there is no legend then.

        Returns
        -------
        matplotlib.figure.Figure or None
            The figure, if asked for.

        Raises
        ------
        ValueError
            If nothing was recorded.

        Examples
        --------
        >>> from minifast.data import DataBunch
        >>> from minifast.nn import Linear, MSELossFlat
        >>> from minifast.train import Learner
        >>> x = np.ones((4, 1), np.float32)
        >>> learn = Learner(DataBunch([(x, x)] * 5), Linear(1, 1), loss_func=MSELossFlat(),
        ...                 callback_fns=[ActivationStats])
        >>> with learn.no_logging():
        ...     learn.fit(1)
        >>> [axes.get_ylabel() for axes in learn.activation_stats.plot(return_fig=True).axes]
        ['mean', 'standard deviation', 'share within ±0.05']
        """
        used = [i for i, row in enumerate(self.near_zero) if not np.isnan(row).all()]
        if not used:
            raise ValueError("nothing was recorded: train first, with callback_fns="
                             "[ActivationStats] or callbacks=[ActivationStats(learn)]")
        from matplotlib import colormaps
        figure, grid = panels(3, axs, sharex=True)
        labels = ("mean", "standard deviation", f"share within ±{NEAR_ZERO}")
        for axes, values, label in zip(grid, [*self.stats, self.near_zero], labels, strict=True):
            axes.set_prop_cycle(color=colormaps["viridis"](np.linspace(0, .85, len(used))))
            axes.plot(values[used].T, label=[self.names[i] for i in used])
            axes.set_ylabel(label)
        grid[0].axhline(0, color=GREY, linewidth=.8, zorder=0)
        grid[0].set_title("Outputs of the layers")
        grid[2].set(xlabel="batches processed", ylim=(0, None))
        if axs is None:
            _add_legend(figure, grid[0])
        return figure if return_fig else None


def _add_legend(figure: Any, axes: Any) -> None:
    """Add a legend below a figure; of many names it has some."""
    lines, names = axes.get_legend_handles_labels()
    shown = np.unique(np.linspace(0, len(names) - 1, MOST_NAMES).round().astype(int))
    columns = max(1, 40 // (max(len(names[i]) for i in shown) + 5))
    legend_below(figure, axes, -(-len(shown) // columns), ncols=columns,
                 handles=[lines[i] for i in shown], labels=[names[i] for i in shown])
