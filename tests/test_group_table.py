"""The table of layer groups: what trains, at which rate, how far the last update went."""
from typing import Any

import numpy as np
import pytest
from tiny import Spy, fit_quietly, host, line_learner, plain_sgd, ratings_learner, three_groups

from minifast.devices.fakecuda.counting import count, forbid
from minifast.inspect import LastUpdate
from minifast.nn import Module, Parameter
from minifast.train import Learner

LINE = "_" * 81
BEFORE = f"""\
Layer groups
{LINE}
#  Layers                         State      Trains    lr  wd    Gradient  Update
{LINE}
0  0 Linear .. 2 BatchNorm1d (3)  trainable  30 of 30  -   0.01  -         -
1  3 Linear .. 6 Dropout (4)      trainable  32 of 32  -   0.01  -         -
2  7 Linear (1)                   trainable  5 of 5    -   0.01  -         -
{LINE}"""


def states(learn: Learner) -> list[tuple[str, int]]:
    """What trains in each group, and how many parameters."""
    counts = [int(cell.split()[0]) for cell in column(learn, "Trains")]
    return list(zip(column(learn, "State"), counts, strict=True))


def measured(**kwargs: Any) -> Learner:
    """A learner of three groups whose last update is measured."""
    return three_groups(callback_fns=[LastUpdate], **kwargs)


def column(learn: Learner, head: str) -> list[str]:
    """The cells below a head of the printed table."""
    lines = learn.group_table().splitlines()
    start = lines[2].index(head)
    return [line[start:].split("  ")[0].strip() for line in lines[4:-1]]


# ---------------------------------------------------------------- what it says of freezing


def test_the_table_before_a_fit() -> None:
    text = three_groups().group_table()
    assert text == BEFORE
    assert repr(text) == BEFORE


def test_it_ends_the_summary() -> None:
    learn = three_groups()
    assert learn.summary().endswith(f"\nLoss: FlattenedLoss of MSELoss()\n\n{BEFORE}")


def test_it_says_what_freezing_did() -> None:
    learn = three_groups()
    learn.freeze()
    assert states(learn) == [("partly (bn)", 10), ("partly (bn)", 8), ("trainable", 5)]
    learn.freeze_to(1)
    assert states(learn) == [("partly (bn)", 10), ("trainable", 32), ("trainable", 5)]
    learn.unfreeze()
    assert states(learn) == [("trainable", 30), ("trainable", 32), ("trainable", 5)]
    learn.train_bn = False
    learn.freeze()
    assert states(learn) == [("frozen", 0), ("frozen", 0), ("trainable", 5)]
    learn.model.unfreeze("0.bias", "2.weight")
    assert states(learn) == [("partly", 10), ("frozen", 0), ("trainable", 5)]
    learn.split(learn.model[3])
    assert states(learn) == [("partly", 10), ("partly", 5)]


def test_layers_are_named_so_that_they_can_be_frozen() -> None:
    learn = ratings_learner()
    assert column(learn, "Layers") == ["u_weight .. i_bias (4)"]  # too long with the classes
    learn.split(learn.model.u_bias)
    assert column(learn, "Layers") == ["u_weight .. i_weight (2)", "u_bias .. i_bias (2)"]
    learn.model.freeze("i_weight")
    assert column(line_learner(), "Layers") == ["Linear (1)"]


def test_a_parameter_that_a_model_owns_itself() -> None:
    class Scaled(Module):
        def __init__(self) -> None:
            self.scale = Parameter(np.ones(1, np.float32))
            self.line = line_learner().model

        def forward(self, x: Any) -> Any:
            return self.line(x) * self.scale
    learn = Learner(line_learner().data, Scaled(), loss_func=line_learner().loss_func)
    assert column(learn, "Layers") == ["line Linear .. scale (2)"]


# ---------------------------------------------------------------- rates and decay


def test_the_rates_that_a_slice_gave() -> None:
    learn = fit_quietly(three_groups(), 1, slice(1e-5, 1e-3))
    assert column(learn, "lr") == ["1e-5", "1e-4", "1e-3"]
    assert learn.lr_range(slice(1e-5, 1e-3)) == pytest.approx([1e-5, 1e-4, 1e-3])
    fit_quietly(learn, 1, slice(1e-3))
    assert column(learn, "lr") == ["1e-4", "1e-4", "1e-3"]
    fit_quietly(learn, 1, [.1, 2e-2, .5], wd=[0, .1, .25])
    assert column(learn, "lr") == ["0.1", "2e-2", "0.5"]
    assert column(learn, "wd") == ["0", "0.1", "0.25"]


def test_the_range_of_a_cycle() -> None:
    learn = three_groups(wd=[.1, .2, .3])
    assert column(learn, "wd") == ["0.1", "0.2", "0.3"]
    assert column(line_learner(wd=[.1, .2]), "wd") == ["-"]  # a fit will say what is wrong
    with learn.no_logging():
        learn.fit_one_cycle(5, slice(1e-4, 1e-2), div_factor=10.)
    assert column(learn, "lr") == ["2e-7..1e-4", "2e-6..1e-3", "2e-5..1e-2"]
    for i, rates in enumerate(zip(*learn.recorder.group_lrs, strict=True)):
        assert max(rates) == pytest.approx(1e-4 * 10 ** i)
    assert [rates[-1] for rates in learn.recorder.group_lrs] == learn.recorder.lrs
    assert max(map(len, learn.group_table().splitlines())) <= 100


def test_a_new_optimizer_knows_nothing_of_the_old_one_s_fit() -> None:
    learn = fit_quietly(measured(), 1, 1e-3)
    assert all("-" not in column(learn, head) for head in ("lr", "Gradient", "Update"))
    learn.freeze_to(0)
    assert [column(learn, head) for head in ("lr", "Gradient", "Update")] == [["-"] * 3] * 3


def test_a_fit_without_the_callback_shows_no_older_fit_s_numbers() -> None:
    learn = three_groups()
    fit_quietly(learn, 1, 1e-3, callbacks=[LastUpdate(learn)])
    assert "-" not in column(learn, "Update")
    fit_quietly(learn, 1, 1e-3)
    assert [column(learn, head) for head in ("Gradient", "Update")] == [["-"] * 3] * 2


def test_an_optimizer_that_was_read_has_rates_and_no_gradient(tmp_path: Any) -> None:
    learn = fit_quietly(measured(path=tmp_path), 1, 2e-3)
    learn.save("one")
    learn = measured(path=tmp_path).load("one")
    assert column(learn, "lr") == ["2e-3"] * 3
    assert column(learn, "Gradient") == ["-"] * 3
    assert column(learn, "Update") == ["-"] * 3


# ---------------------------------------------------------------- gradient and update


def norm(arrays: list[Any]) -> float:
    return float(np.sqrt(sum((np.asarray(a, np.float64) ** 2).sum() for a in arrays)))


def test_gradient_and_update_of_the_last_batch() -> None:
    """Against the weights and gradients of that batch, as a callback sees them."""
    seen: dict[str, list[list[Any]]] = {}

    def look(event: str, state: dict[str, Any]) -> None:
        if event in ("backward_end", "step_end") and state["num_batch"] == 9:
            for i, group in enumerate(learn.layer_groups):
                of_group = group.parameters()
                seen[f"{event}{i}"] = [host(p.data).copy() for p in of_group]
                if event == "backward_end":
                    seen[f"grad{i}"] = [host(p.grad).copy() for p in of_group]
    learn = measured(callbacks=[Spy(look)], wd=.1)
    fit_quietly(learn, 2, slice(1e-3, 1e-1))
    last = learn.last_update
    for i, (grad_norm, ratio) in enumerate(zip(last.grad_norms, last.ratios, strict=True)):
        before, after = seen[f"backward_end{i}"], seen[f"step_end{i}"]
        update = norm([b - a for a, b in zip(before, after, strict=True)])
        # the norms are of float32 arrays, their sums rounded in float32
        assert grad_norm == pytest.approx(norm(seen[f"grad{i}"]), rel=1e-5)
        assert ratio == pytest.approx(update / norm(before), rel=1e-5)
    assert column(learn, "Gradient") == [f"{x:.2g}" for x in last.grad_norms]
    assert [float(cell) for cell in column(learn, "Update")] == pytest.approx(last.ratios, rel=.05)


def test_with_plain_gradient_descent_the_update_is_the_rate_times_the_gradient() -> None:
    weights: list[float] = []

    def look(event: str, state: dict[str, Any]) -> None:
        if event == "backward_end" and state["num_batch"] == 1:
            weights.append(norm([host(p.data) for p in learn.model.parameters()]))
    learn = line_learner(opt_func=plain_sgd, callbacks=[Spy(look)], callback_fns=[LastUpdate])
    last = fit_quietly(learn, 1, .1).last_update
    assert last.ratios[0] == pytest.approx(.1 * last.grad_norms[0] / weights[0], rel=1e-4)


def test_the_gradient_is_the_clipped_one() -> None:
    learn = fit_quietly(measured().clip_grad(.05), 1, 1e-3)
    assert norm(learn.last_update.grad_norms) == pytest.approx(.05, rel=1e-4)


def test_a_skipped_step_is_an_update_of_zero() -> None:
    skip = Spy(lambda event, state: {"skip_step": True} if event == "backward_end" else None)
    last = fit_quietly(measured(callbacks=[skip]), 1, 1e-2).last_update
    assert last.ratios == [0, 0, 0]
    assert all(x > 0 for x in last.grad_norms)


def test_a_frozen_group_has_neither() -> None:
    learn = measured(train_bn=False)
    learn.freeze_to(1)
    fit_quietly(learn, 1, 1e-3)
    last = learn.last_update
    assert (last.grad_norms[0], last.ratios[0]) == (None, None)
    assert (column(learn, "Gradient")[0], column(learn, "Update")[0]) == ("-", "-")
    assert all(x > 0 for x in last.grad_norms[1:] + last.ratios[1:])


def test_an_epoch_broken_off_keeps_the_numbers_of_the_one_before() -> None:
    def stop(event: str, state: dict[str, Any]) -> Any:
        return {"stop_epoch": True} if event == "batch_end" and state["epoch"] == 1 else None
    learn = fit_quietly(measured(callbacks=[Spy(stop)]), 2, 1e-2)
    whole = fit_quietly(measured(), 1, 1e-2)
    assert learn.recorder.nb_batches == [10, 1]
    assert learn.last_update.ratios == whole.last_update.ratios
    assert learn.last_update.grad_norms == whole.last_update.grad_norms
    assert all(ratio > 0 for ratio in whole.last_update.ratios)
    learn.callbacks = [Spy(lambda event, state: {"stop_epoch": True} if event == "batch_end"
                           else None)]
    fit_quietly(learn, 1, 1e-2)  # this fit had no whole epoch
    assert [column(learn, head) for head in ("Gradient", "Update")] == [["-"] * 3] * 2


@pytest.mark.parametrize("event", ["batch_end", "epoch_end"])
def test_what_comes_after_the_last_step_is_no_update(event: str) -> None:
    """A callback that changes weights, before or after validation."""
    learn, plain = measured(), fit_quietly(measured(), 1, 1e-2)

    def halve(now: str, state: dict[str, Any]) -> Any:
        if now == event and state["num_batch"] >= 9:
            for p in learn.model.parameters():
                p.data *= .5
    learn.callbacks = [Spy(halve)]
    fit_quietly(learn, 1, 1e-2)
    assert learn.last_update.ratios == plain.last_update.ratios


def test_a_loader_that_gives_more_than_it_says() -> None:
    class Longer(list[Any]):
        def __len__(self) -> int:
            return 3
    learn, plain = measured(), measured()
    plain.data.train_dl = list(plain.data.train_dl)[:3]
    learn.data.train_dl = Longer(learn.data.train_dl)
    for each in (learn, plain):
        fit_quietly(each, 1, 1e-2)
    assert learn.recorder.nb_batches == [10]
    assert learn.last_update.ratios == plain.last_update.ratios


def test_a_fit_that_is_interrupted_keeps_no_copy_of_the_weights() -> None:
    def interrupt(event: str, state: dict[str, Any]) -> Any:
        if event == "backward_end" and state["num_batch"] == 9:
            raise KeyboardInterrupt
    learn = measured(callbacks=[Spy(interrupt)])
    with pytest.raises(KeyboardInterrupt):
        fit_quietly(learn, 1, 1e-2)
    assert learn.last_update._before == []
    learn.callbacks = []
    fit_quietly(learn, 1, 1e-2)
    assert all(ratio > 0 for ratio in learn.last_update.ratios)


def test_weights_of_zero_and_weights_that_have_left_all_bounds() -> None:
    learn = line_learner(1, callback_fns=[LastUpdate])
    for p in learn.model.parameters():
        p.data[...] = 0
    assert fit_quietly(learn, 1, .1).last_update.ratios == [None]
    learn.model.weight.data[...] = np.inf
    learn.last_update.on_backward_end(num_batch=0)
    learn.last_update.on_step_end()
    assert column(learn, "Update") == ["nan"]


@pytest.mark.cpu_only("names its device")
def test_an_ordinary_batch_costs_nothing_and_the_last_one_no_wait() -> None:
    import minifast
    with minifast.device("fakecuda"):
        learn = measured()
    fit_quietly(learn, 1, 1e-3)
    last = learn.last_update
    with count() as counts, forbid("transfers", "synchronizations"):
        last.on_backward_end(num_batch=8)
        last.on_step_end()
        assert counts.launches == 0
        last.on_backward_end(num_batch=9)
        last.on_step_end()
    assert 0 < counts.launches <= 10 * 12  # for each of ten parameters
    assert last.ratios == [0., 0., 0.]  # no step lay between
