"""The table of layer groups: what trains, at which rate, how far the last update went."""
from typing import Any

import numpy as np
import pytest
from tiny import Spy, fit_quietly, host, line_learner, plain_sgd, ratings_learner, three_groups

from minifast.devices.fakecuda.counting import count, forbid
from minifast.inspect.group_table import GroupRow, group_rows
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
    return [(row.state, row.trainable) for row in group_rows(learn)]


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
    row, = group_rows(learn)
    assert row.layers == "u_weight .. i_bias (4)"  # with the classes it would be too long
    learn.split(learn.model.u_bias)
    assert [row.layers for row in group_rows(learn)] == [
        "u_weight .. i_weight (2)", "u_bias .. i_bias (2)"]
    learn.model.freeze("i_weight")
    assert [row.layers for row in group_rows(line_learner())] == ["Linear (1)"]


def test_a_parameter_that_a_model_owns_itself() -> None:
    class Scaled(Module):
        def __init__(self) -> None:
            self.scale = Parameter(np.ones(1, np.float32))
            self.line = line_learner().model

        def forward(self, x: Any) -> Any:
            return self.line(x) * self.scale
    learn = Learner(line_learner().data, Scaled(), loss_func=line_learner().loss_func)
    assert [row.layers for row in group_rows(learn)] == ["line Linear .. scale (2)"]


def test_a_row_as_text() -> None:
    row = GroupRow(1, "a .. b (2)", "partly", 12_000, 1_500, (4e-7, 1e-5), .1, 123.4, .00123)
    assert row.cells() == ("1", "a .. b (2)", "partly", "1,500 of 12,000", "4e-7..1e-5", "0.1",
                           "1.2e+02", "1.2e-3")


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
    for i, row in enumerate(group_rows(learn)):
        low, high = row.lr
        rates = [rates[i] for rates in learn.recorder.group_lrs]
        assert (low, high) == (min(rates), max(rates))
        assert high == pytest.approx(1e-4 * 10 ** i)
        assert low < high / 100
    assert [rates[-1] for rates in learn.recorder.group_lrs] == learn.recorder.lrs
    assert max(map(len, learn.group_table().splitlines())) <= 100


def test_a_new_optimizer_knows_nothing_of_the_old_one_s_fit() -> None:
    learn = fit_quietly(three_groups(), 1, 1e-3)
    assert "-" not in column(learn, "lr")
    learn.freeze_to(0)
    assert [column(learn, head) for head in ("lr", "Gradient", "Update")] == [["-"] * 3] * 3


def test_an_optimizer_that_was_read_has_rates_and_no_gradient(tmp_path: Any) -> None:
    learn = fit_quietly(three_groups(path=tmp_path), 1, 2e-3)
    learn.save("one")
    learn = three_groups(path=tmp_path).load("one")
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
    learn = three_groups(callbacks=[Spy(look)], wd=.1)
    fit_quietly(learn, 2, slice(1e-3, 1e-1))
    for i, row in enumerate(group_rows(learn)):
        before, after = seen[f"backward_end{i}"], seen[f"step_end{i}"]
        update = norm([b - a for a, b in zip(before, after, strict=True)])
        # the norms are of float32 arrays, their sums rounded in float32
        assert row.grad_norm == pytest.approx(norm(seen[f"grad{i}"]), rel=1e-5)
        assert row.update == pytest.approx(update / norm(before), rel=1e-5)


def test_with_plain_gradient_descent_the_update_is_the_rate_times_the_gradient() -> None:
    learn = fit_quietly(line_learner(opt_func=plain_sgd), 1, .1)
    row, = group_rows(learn)
    weights = norm([host(p.data) + .1 * host(p.home)  # as they were before the step
                    for p in learn.model.parameters()])
    assert row.update == pytest.approx(.1 * row.grad_norm / weights, rel=1e-4)


def test_a_frozen_group_has_neither() -> None:
    learn = three_groups(train_bn=False)
    learn.freeze_to(1)
    fit_quietly(learn, 1, 1e-3)
    rows = list(group_rows(learn))
    assert (rows[0].grad_norm, rows[0].update) == (None, None)
    assert column(learn, "Update")[0] == "-"
    assert all(row.grad_norm > 0 and row.update > 0 for row in rows[1:])
    learn.model.freeze("7")
    assert list(group_rows(learn))[2].update is None


def test_an_epoch_broken_off_keeps_the_numbers_of_the_one_before() -> None:
    def stop(event: str, state: dict[str, Any]) -> Any:
        return {"stop_epoch": True} if event == "batch_end" and state["epoch"] == 1 else None
    learn = fit_quietly(three_groups(callbacks=[Spy(stop)]), 2, 1e-2)
    whole = fit_quietly(three_groups(), 1, 1e-2)
    assert learn.recorder.nb_batches == [10, 1]
    ratios, expected = (fitted.recorder.last_update.ratios for fitted in (learn, whole))
    assert ratios == expected
    assert all(ratio > 0 for ratio in expected)
    learn.callbacks = [Spy(lambda event, state: {"stop_epoch": True} if event == "batch_end"
                           else None)]
    fit_quietly(learn, 1, 1e-2)
    assert column(learn, "Update") == ["-"] * 3  # this fit had no whole epoch
    assert "-" not in column(learn, "Gradient")


@pytest.mark.parametrize("event", ["batch_end", "epoch_end"])
def test_what_comes_after_the_last_step_is_no_update(event: str) -> None:
    """A callback that changes weights, before or after validation."""
    learn, plain = three_groups(), fit_quietly(three_groups(), 1, 1e-2)

    def halve(now: str, state: dict[str, Any]) -> Any:
        if now == event and state["num_batch"] >= 9:
            for p in learn.model.parameters():
                p.data *= .5
    learn.callbacks = [Spy(halve)]
    fit_quietly(learn, 1, 1e-2)
    assert learn.recorder.last_update.ratios == plain.recorder.last_update.ratios


def test_a_loader_that_gives_more_than_it_says() -> None:
    class Longer(list[Any]):
        def __len__(self) -> int:
            return 3
    learn, plain = three_groups(), three_groups()
    plain.data.train_dl = list(plain.data.train_dl)[:3]
    learn.data.train_dl = Longer(learn.data.train_dl)
    for each in (learn, plain):
        fit_quietly(each, 1, 1e-2)
    assert learn.recorder.nb_batches == [10]
    assert learn.recorder.last_update.ratios == plain.recorder.last_update.ratios


def test_a_fit_that_is_interrupted_keeps_no_copy_of_the_weights() -> None:
    def interrupt(event: str, state: dict[str, Any]) -> Any:
        if event == "backward_end" and state["num_batch"] == 9:
            raise KeyboardInterrupt
    learn = three_groups(callbacks=[Spy(interrupt)])
    with pytest.raises(KeyboardInterrupt):
        fit_quietly(learn, 1, 1e-2)
    assert learn.recorder.last_update._before == []
    learn.callbacks = []
    fit_quietly(learn, 1, 1e-2)
    assert all(ratio > 0 for ratio in learn.recorder.last_update.ratios)


def test_weights_of_zero_and_weights_that_have_left_all_bounds() -> None:
    learn = line_learner()
    for p in learn.model.parameters():
        p.data[...] = 0
    learn.data.train_dl = learn.data.train_dl[:1]
    assert [row.update for row in group_rows(fit_quietly(learn, 1, .1))] == [None]
    learn.model.weight.data[...] = np.inf
    learn.recorder.last_update.begin()
    learn.recorder.last_update.end()
    assert column(learn, "Update") == ["nan"]


@pytest.mark.cpu_only("names its device")
def test_an_ordinary_batch_costs_nothing_and_the_last_one_no_wait() -> None:
    import minifast
    with minifast.device("fakecuda"):
        learn = three_groups()
    fit_quietly(learn, 1, 1e-3)
    recorder, last = learn.recorder, learn.recorder.last_update
    recorder.on_epoch_begin()
    with count() as counts, forbid("transfers", "synchronizations"):
        recorder.on_backward_begin(num_batch=8)
        assert counts.launches == 0
        recorder.on_backward_begin(num_batch=9)
        last.end()
    assert 0 < counts.launches <= 3 * 12
    assert last.ratios == [0., 0., 0.]  # no step lay between
