"""The training loop as text, with the callbacks in their places."""
from collections.abc import Iterable
from copy import copy
from importlib.util import find_spec
from textwrap import indent
from typing import TYPE_CHECKING

from ..train.callback import Callback

if TYPE_CHECKING:
    from ..train.learner import Learner

LOOP = """\
on_train_begin
for epoch in range(epochs):
    model.train()
    on_epoch_begin
    for xb, yb in data.train_dl:
        on_batch_begin
        output = model(xb)
        on_loss_begin
        loss = loss_func(output, yb)
        on_backward_begin
        loss.backward()
        on_backward_end
        opt.step()
        on_step_end
        opt.zero_grad()
        on_batch_end
    model.eval()
    for xb, yb in data.valid_dl:
        on_batch_begin
        output = model(xb)
        on_loss_begin
        loss = loss_func(output, yb)
        on_batch_end
    on_epoch_end
on_train_end"""


def training_loop(learn: "Learner") -> str:
    """Return the loop with the path that a fit takes and the callbacks that handle each event."""
    twin = copy(learn)  # callbacks set attributes of their learner
    callbacks = sorted([*learn.callbacks, *(make(twin) for make in learn.callback_fns)],
                       key=lambda cb: cb._order)
    loop = "\n".join(_line(line, callbacks) for line in LOOP.splitlines())
    if not getattr(learn, "fast", False):
        return f"# plain path: learn.fast is False\n{loop}"
    if find_spec("..fast", __package__) is None:
        return f"# plain path: there is no minifast.fast\n{loop}"
    return "with fast.accelerate(model, opt):   # learn.fast = False takes the plain path\n" \
        + indent(loop, "    ")


def _line(line: str, callbacks: Iterable[Callback]) -> str:
    event = line.strip()
    if not event.startswith("on_"):
        return line
    names = [type(cb).__name__ for cb in callbacks
             if getattr(type(cb), event, None) is not getattr(Callback, event, None)]
    return f"{line:<30}{', '.join(names)}".rstrip()
