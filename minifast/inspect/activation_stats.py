"""What the layers say while a model trains: callbacks that hang hooks on it for a fit."""
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from ..autograd import Tensor
from ..backend import transfer
from ..nn import Module, Parameter
from ..train.callback import Changes, LearnerCallback
from .hooks import Hooks

if TYPE_CHECKING:
    from ..train.learner import Learner

NEAR = .05
"""Activations smaller than this count as near zero."""


class HookCallback(LearnerCallback):
    """Calls its method ``hook(module, inputs, output)`` at each forward of ``modules`` in a fit.

    By default those are the modules that own parameters. ``self.hooks`` keeps what ``hook``
    gives back; the hooks are gone when the fit is over, however it ends (not with
    ``do_remove=False``, until ``remove()``). fastai v1's ``HookCallback``.

    >>> class Shapes(HookCallback):
    ...     def hook(self, module, inputs, output):
    ...         return output.shape
    """

    _order = -30  # at the end, hooks are taken away before anything may fail

    def __init__(self, learn: "Learner", modules: Iterable[Module] | None = None,
                 do_remove: bool = True) -> None:
        super().__init__(learn)
        self.modules = list(modules or with_parameters(learn.model))
        self.do_remove = do_remove
        self.hooks = Hooks([], self.hook)

    def hook(self, module: Module, inputs: Any, output: Any) -> Any:
        """What to keep of a module's forward."""
        raise NotImplementedError(f"{type(self).__name__} has no method hook(module, inputs, "
                                  "output)")

    def on_train_begin(self, **state: Any) -> Changes:
        self.remove()
        self.hooks = Hooks(self.modules, self.hook)
        return None

    def on_train_end(self, **state: Any) -> Changes:
        if self.do_remove:
            self.remove()
        return None

    def remove(self) -> None:
        """Take the hooks away; what they have stored stays."""
        self.hooks.remove()


def with_parameters(model: Module) -> list[Module]:
    """The modules that own parameters themselves.

    >>> from minifast.nn import Linear, ReLU, Sequential
    >>> with_parameters(Sequential(Linear(1, 1), ReLU()))
    [Linear(in_features=1, out_features=1, bias=True)]
    """
    return [module for module in model.modules()
            if any(isinstance(value, Parameter) for value in vars(module).values())]


class ActivationStats(HookCallback):
    """Mean and standard deviation of each layer's outputs, batch by batch; v1's, and one more.

    After a fit ``stats`` has shape (2, layers, batches), means first; ``near_zero`` (layers,
    batches) is the share of outputs smaller than 0.05, which learn little or nothing.
    ``plot()`` shows all three. Only training batches count. Where a layer was not used, or gave
    no tensor, there is NaN.

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

    def __init__(self, learn: "Learner", modules: Iterable[Module] | None = None,
                 do_remove: bool = True) -> None:
        super().__init__(learn, modules, do_remove)
        names = {id(module): name for name, module in learn.model.named_modules()}
        self.names = [f"{names.get(id(module), '')} {type(module).__name__}".strip()
                      for module in self.modules]
        self.listening = False
        self._keep([])

    def on_train_begin(self, **state: Any) -> Changes:
        self._keep([])
        return super().on_train_begin(**state)

    def _keep(self, batches: list[Any]) -> None:
        """Set ``stats`` and ``near_zero``: from the device to the host, all at once."""
        self.batches = batches
        numbers = transfer(np.stack(batches), "cpu") if batches \
            else np.zeros((0, len(self.modules), 3), np.float32)
        self.stats, self.near_zero = numbers.T[:2], numbers.T[2]

    def on_batch_begin(self, train: bool = True, **state: Any) -> Changes:
        self.listening = train
        for hook in self.hooks:
            hook.stored = None
        return None

    def hook(self, module: Module, inputs: Any, output: Any) -> Any:
        """[mean, standard deviation, share near zero], left on the device."""
        if not (self.listening and isinstance(output, Tensor) and output.numel()):
            return None
        a = output.data
        spread = a.std(ddof=min(1, a.size - 1), dtype=np.float32)  # of one element: 0
        near = (np.abs(a) < NEAR).mean(dtype=np.float32)
        return np.stack([a.mean(dtype=np.float32), spread, near])

    def on_batch_end(self, train: bool = True, **state: Any) -> Changes:
        if train:
            rows = self.hooks.stored
            known = next((row for row in rows if row is not None), np.zeros(3, np.float32))
            nothing = np.full_like(known, np.nan)
            self.batches.append(np.stack([nothing if row is None else row for row in rows]))
        return None

    def on_train_end(self, **state: Any) -> Changes:
        super().on_train_end(**state)
        self._keep(self.batches)
        return None

    def plot(self, return_fig: bool = False) -> Any:
        """Mean, standard deviation and share near zero against the batch, a line per layer.

        Dark lines are the early layers, light ones the late.
        """
        import matplotlib.pyplot as plt
        used = [i for i, row in enumerate(self.near_zero) if not np.isnan(row).all()]
        if not used:
            raise ValueError("nothing was recorded: train first, with callback_fns="
                             "[ActivationStats] or callbacks=[ActivationStats(learn)]")
        figure, grid = plt.subplots(3, 1, sharex=True, figsize=(9, 7), layout="constrained")
        shades = plt.get_cmap("viridis")(np.linspace(0, .9, len(used)))
        labels = ("mean", "standard deviation", f"share nearer to 0 than {NEAR}")
        for axes, values, label in zip(grid, [*self.stats, self.near_zero], labels, strict=True):
            for i, shade in zip(used, shades, strict=True):
                axes.plot(values[i], color=shade, label=self.names[i], linewidth=1.2)
            axes.set_ylabel(label)
            axes.grid(alpha=.3)
        grid[0].axhline(0, color="grey", linewidth=.8, zorder=0)
        grid[2].set_xlabel("Batches processed")
        grid[2].set_ylim(bottom=0)
        figure.legend(*grid[0].get_legend_handles_labels(), loc="outside right upper")
        return figure if return_fig else None
