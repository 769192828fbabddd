"""The training loop as text, with the callbacks in their places."""
from collections.abc import Iterable
from copy import copy
from importlib.util import find_spec
from textwrap import indent

from ..train import Callback, Learner
from ..train.callback import EVENTS, handles

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


def show_training_loop(learn: Learner) -> None:
    """Print the loop with the path that a fit takes and the callbacks that handle each event."""
    twin = copy(learn)  # callbacks set attributes of their learner
    callbacks = sorted([*learn.callbacks, *(make(twin) for make in learn.callback_fns)],
                       key=lambda cb: cb._order)
    loop = "\n".join(_line(line, callbacks) for line in LOOP.splitlines())
    if not learn.fast or find_spec("minifast.fast") is None:
        why = "there is no minifast.fast" if learn.fast else "learn.fast is False"
        print(f"# plain path: {why}\n{loop}")
    else:
        print("with fast.accelerate(model, opt):   # learn.fast = False takes the plain path")
        print(indent(loop, "    "))


def _line(line: str, callbacks: Iterable[Callback]) -> str:
    event = line.strip().removeprefix("on_")
    names = [type(cb).__name__ for cb in callbacks if event in EVENTS and handles(cb, event)]
    return f"{line:<30}{', '.join(names)}".rstrip()
