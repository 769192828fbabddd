"""Callbacks and hooks of fastai v1 besides those of the notebook."""
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from host import host
from tiny import Spy, fit_quietly, line_learner, scripted

from minifast import Tensor
from minifast.callbacks import (
    EarlyStoppingCallback,
    LossMetrics,
    PeakMemMetric,
    RecordOnCPU,
    ShowGraph,
    TrackEpochCallback,
)
from minifast.inspect import dummy_batch, dummy_eval, in_channels, model_sizes, model_summary
from minifast.nn import BatchNorm1d, Flatten, Linear, ReLU, Sequential


class TwoParts:
    """The mean error and the mean squared error, added."""

    metric_names = ("bias", "square")

    def __call__(self, pred: Tensor, target: Tensor) -> Tensor:
        error = pred.reshape(-1) - target
        parts = error.mean(), (error * error).mean()
        self.metrics = dict(zip(self.metric_names, parts, strict=True))
        return parts[0] + parts[1]


# ---------------------------------------------------------------- columns of the table


def test_parts_of_a_loss_are_columns() -> None:
    learn = line_learner(2, 3, loss_func=TwoParts(), callback_fns=LossMetrics)
    fit_quietly(learn)
    assert learn.recorder.names[3:5] == ["bias", "square"]
    errors = np.concatenate([host(learn.model(Tensor(x).to(learn.data.device)))[:, 0] - y
                             for x, y in learn.data.valid_dl])
    expected = [errors.mean(), (errors ** 2).mean()]
    np.testing.assert_allclose(learn.recorder.metrics[0], expected, rtol=1e-5)  # rounding


def test_a_loss_without_parts_is_refused() -> None:
    with pytest.raises(TypeError, match="has no parts to show: give it metric_names"):
        fit_quietly(line_learner(callback_fns=LossMetrics))


@pytest.mark.cpu_only("counts the memory of Python")
def test_memory_is_measured_per_epoch() -> None:
    kept: list[Any] = []

    def grow(event: str, state: dict[str, Any]) -> None:
        if event == "batch_end" and state["train"]:
            kept.append(np.zeros(2**20, np.uint8))  # 1 MB stays
            np.zeros(4 * 2**20, np.uint8).sum()  # 4 MB are freed
    learn = line_learner(2, 1, callback_fns=PeakMemMetric)
    fit_quietly(learn, callbacks=[Spy(grow)])
    used, peak = learn.recorder.metrics[0]
    assert learn.recorder.names[3:5] == ["cpu used", "cpu peak"]
    assert 2 <= used < 2.5
    assert 3 <= peak < 4.5


# ---------------------------------------------------------------- epochs on disk


def test_a_fit_goes_on_after_the_last_finished_epoch(tmp_path: Path) -> None:
    def epochs(n: int, stop_after: int | None = None) -> tuple[Any, list[int]]:
        learn, seen = line_learner(2, 1, path=tmp_path), []

        def hear(event: str, state: dict[str, Any]) -> dict[str, Any] | None:
            if event == "epoch_begin":
                seen.append(state["epoch"])
            return {"stop_training": True} if event == "epoch_end" \
                and state["epoch"] == stop_after else None
        with learn.no_logging():
            learn.fit_one_cycle(n, .1, callbacks=[TrackEpochCallback(learn), Spy(hear)])
        return learn, seen
    _, first = epochs(4, stop_after=1)
    assert first == [0, 1]
    assert (tmp_path / "models/epoch").read_text() == "1"
    learn, second = epochs(4)
    assert second == [2, 3]
    whole, _ = epochs(4)  # nothing is left to train
    assert whole.recorder.losses == []
    cycle = line_learner(2, 1)
    fit_quietly(cycle)
    with cycle.no_logging():
        cycle.fit_one_cycle(4, .1)
    assert learn.recorder.lrs == cycle.recorder.lrs[4:]
    learn.track_epoch_callback.restart()
    assert epochs(1)[1] == [0]


# ---------------------------------------------------------------- watching


def test_the_last_batch_stays_on_the_cpu() -> None:
    learn = line_learner(2, 1)
    record = RecordOnCPU(learn)
    fit_quietly(learn, callbacks=[record])
    x, y = learn.data.valid_dl[0]
    assert (record.input.device, record.target.device) == ("cpu", "cpu")
    np.testing.assert_array_equal(record.input.numpy(), x)
    np.testing.assert_array_equal(record.target.numpy(), y)


def test_the_graph_grows_with_the_epochs() -> None:
    learn = line_learner(3, 1, callback_fns=ShowGraph)
    fit_quietly(learn, 2, callbacks=[scripted([5., 4.])])
    axes, = learn.show_graph.figure.axes
    train, valid = axes.lines
    assert len(train.get_ydata()) == 6
    assert valid.get_xdata().tolist() == [3, 6]
    assert list(valid.get_ydata()) == [5, 4]
    assert axes.get_xlim() == (0, 6)


# ---------------------------------------------------------------- hooks


def test_a_dummy_batch_fits_the_first_layer() -> None:
    from minifast.vision import Conv2d
    net = Sequential(ReLU(), Conv2d(2, 5, 3), BatchNorm1d(5))
    assert in_channels(net) == 2
    batch = dummy_batch(net, (6, 7))
    assert batch.shape == (1, 2, 6, 7)
    assert (np.abs(host(batch)) <= 1).all()
    with pytest.raises(ValueError, match="no layer of this Sequential has a weight with input"):
        in_channels(Sequential(ReLU(), BatchNorm1d(2)))


def test_sizes_of_a_model() -> None:
    from minifast.vision import Conv2d, MaxPool2d
    net = Sequential(Conv2d(1, 4, 3, padding=1), MaxPool2d(2), Flatten(), Linear(4 * 16, 3))
    assert model_sizes(net, (8, 8)) == [(1, 4, 8, 8), (1, 4, 4, 4), (1, 64), (1, 3)]
    assert dummy_eval(net, (8, 8)).shape == (1, 3)
    assert all(module.training for module in net.modules())


def test_a_summary_has_v1s_name() -> None:
    assert model_summary(line_learner()) == line_learner().summary()


def test_trackers_are_quiet_where_nothing_is_validated() -> None:
    learn = line_learner(2, 1, callback_fns=EarlyStoppingCallback)
    with learn.no_logging():
        learn.lr_find(num_it=4)  # warnings are errors in tests
    learn.data.valid_dl = []
    with learn.no_logging(), pytest.warns(UserWarning, match="watches 'valid_loss', which is not"):
        learn.fit(1)


@pytest.mark.parametrize("monitor", ["valid_loss", "train_loss", "mean_absolute_error"])
def test_a_tracker_of_v1_asks_for_its_value(monitor: str) -> None:
    """The class in v1's documentation: ``get_monitor_value`` and ``operator``."""
    from minifast.basics import TrackerCallback, mae

    class Best(TrackerCallback):
        def on_train_begin(self, **kwargs: Any) -> None:
            super().on_train_begin(**kwargs)
            self.seen: list[Any] = []

        def on_epoch_end(self, epoch: int, **kwargs: Any) -> None:
            current = self.get_monitor_value()
            self.seen.append(current)
            if current is not None and self.operator(current, self.best):
                self.best = current

    learn = line_learner(metrics=[mae])
    tracker = Best(learn, monitor)
    fit_quietly(learn, 3, callbacks=[tracker])
    rec = learn.recorder
    ends = np.cumsum(rec.nb_batches) - 1
    expected = {"valid_loss": rec.val_losses, "train_loss": [float(rec.losses[i]) for i in ends],
                "mean_absolute_error": [row[0] for row in rec.metrics]}[monitor]
    np.testing.assert_allclose(tracker.seen, expected, rtol=1e-6)
    assert tracker.best == min(tracker.seen)
    assert TrackerCallback(learn, "accuracy").operator is np.greater
