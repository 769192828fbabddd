"""The training loop as text, with the callbacks in their places."""
from collections.abc import Iterable
from typing import TYPE_CHECKING

from ..train.callback import Callback, handles

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
    """``LOOP`` with the names of those who have a method for each event, in their order."""
    before = dict(vars(learn))
    made = [make(learn) for make in learn.callback_fns]
    vars(learn).clear()  # those callbacks were for show: the learner's own come back
    vars(learn).update(before)
    callbacks = sorted([*learn.callbacks, *made], key=lambda cb: cb._order)
    return "\n".join(_line(line, callbacks) for line in LOOP.splitlines())


def _line(line: str, callbacks: Iterable[Callback]) -> str:
    event = line.strip()
    if not event.startswith("on_"):
        return line
    names = [type(cb).__name__ for cb in callbacks
             if handles(cb, event.removeprefix("on_"))]
    return f"{line:<30}{', '.join(names)}".rstrip()
