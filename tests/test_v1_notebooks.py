"""Notebooks written for fastai v1, with ``fastai`` replaced by ``minifast``, run cell by cell.

They use what notebooks of that time used: star imports, and the calls and arguments of v1.
"""
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from tiny import line_learner

from minifast.datasets import planted_ratings

mpl.use("Agg")
pytestmark = pytest.mark.cpu_only("a notebook as its author ran it")

RATINGS = """
from fastai.collab import *
from fastai.tabular import *

path = Path("data")
ratings = pd.read_csv(path/'ratings.csv')
ratings.head()
---
data = CollabDataBunch.from_df(ratings, seed=42, valid_pct=0.1, item_name='title', bs=64,
                               num_workers=0, path=path)
data.show_batch()
---
y_range = [0, 5.5]
learn = collab_learner(data, n_factors=5, y_range=y_range, wd=1e-1, metrics=[rmse, mae],
                       callback_fns=[partial(EarlyStoppingCallback, monitor='valid_loss',
                                             patience=3), CSVLogger])
learn.lr_find()
learn.recorder.plot(skip_end=15, suggestion=True)
---
learn.fit_one_cycle(3, 5e-2)
learn.recorder.plot_losses()
learn.recorder.plot_lr(show_moms=True)
learn.recorder.plot_metrics()
learn.csv_logger.read_logged_file()
---
learn.save('dotprod')
learn.load('dotprod');
learn.model
---
g = ratings.groupby('title')['rating'].count()
top_movies = g.sort_values(ascending=False).index.values[:30]
movie_bias = learn.bias(top_movies, is_item=True)
mean_ratings = ratings.groupby('title')['rating'].mean()
movie_ratings = [(b, i, mean_ratings.loc[i]) for i,b in zip(top_movies, movie_bias)]
item0 = lambda o: o[0]
best = sorted(movie_ratings, key=lambda o: o[0], reverse=True)[:5]
---
movie_w = learn.weight(top_movies, is_item=True)
movie_pca = movie_w.pca(3)
fac0, fac1, fac2 = movie_pca.t()
movie_comp = [(f, i) for f,i in zip(fac0, top_movies)]
sorted(movie_comp, key=itemgetter(0), reverse=True)[:5]
idxs = np.random.choice(len(top_movies), 10, replace=False)
X = to_np(fac0[idxs]); Y = to_np(fac2[idxs])
plt.figure(figsize=(6, 6))
plt.scatter(X, Y)
for i, x, y in zip(top_movies[idxs], X, Y):
    plt.text(x, y, i, color=np.random.rand(3)*0.7, fontsize=11)
plt.close('all')
---
nn_learn = collab_learner(data, use_nn=True, emb_szs={'userId': 6, 'title': 6}, layers=[16, 8],
                          ps=[0.1, 0.1], y_range=y_range, metrics=rmse)
nn_learn.fit_one_cycle(1, 5e-3, moms=(0.8, 0.7))
preds, targs = learn.get_preds(ds_type=DatasetType.Valid)
learn.validate(learn.data.valid_dl)
learn.predict(ratings.iloc[0])
learn.export()
inference = load_learner(path, test=ratings[['userId', 'title']].head(7))
test_preds, _ = inference.get_preds(ds_type=DatasetType.Test)
"""

TABLE = """
from fastai import *
from fastai.basics import *
from fastai.callbacks import *
from fastai.tabular import *
---
path = Path("data")
df = pd.read_csv(path/'flowers.csv')
procs = [FillMissing, Categorify, Normalize]
valid_idx = range(len(df)-40, len(df))
dep_var = 'target'
cat_names = ['garden']
cont_names = ['sepal length', 'sepal width', 'petal length', 'petal width']
---
test = TabularList.from_df(df.iloc[20:60].copy(), path=path, cat_names=cat_names)
data = (TabularList.from_df(df, path=path, cat_names=cat_names, cont_names=cont_names, procs=procs)
                   .split_by_idx(list(valid_idx))
                   .label_from_df(cols=dep_var)
                   .add_test(test)
                   .databunch(bs=16, num_workers=0, device=defaults.device))
data.show_batch(rows=4)
(cat_x, cont_x), y = next(iter(data.train_dl))
for o in (cat_x, cont_x, y): print(to_np(o[:5]))
---
learn = tabular_learner(data, layers=[30, 15], emb_szs={'garden': 3}, ps=[0.001, 0.01],
                        emb_drop=0.04, metrics=accuracy, callback_fns=ShowGraph)
learn.clip_grad(0.5)
learn.fit_one_cycle(4, 2e-2, wd=0.1, callbacks=[SaveModelCallback(learn, monitor='accuracy')])
---
learn.freeze_to(0)
learn.fit(1, slice(1e-4, 1e-3))
learn.fit_fc(1, 1e-3)
row = df.iloc[0]
category, index, probabilities = learn.predict(row)
x, y = data.one_batch(DatasetType.Valid, detach=True, denorm=False)
valid_loss, acc = learn.validate()
interp = ClassificationInterpretation.from_learner(learn)
interp.confusion_matrix()
interp.most_confused(min_val=1)
learn.summary()
---
class Rows:
    def __init__(self, frame):
        self.x = frame[cont_names].to_numpy(np.float32)
        self.y = pd.factorize(frame[dep_var])[0]
        self.c = 3
    def __len__(self): return len(self.y)
    def __getitem__(self, i): return self.x[i], self.y[i]

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(in_features=4, out_features=16),
                                    nn.ReLU(inplace=True), nn.BatchNorm1d(16), nn.Dropout(0.1),
                                    nn.Linear(16, 3))
    def forward(self, x): return self.layers(x)

rows = DataBunch.create(Rows(df.iloc[:110]), Rows(df.iloc[110:]), bs=10, num_workers=0)
own = Learner(rows, Net(), loss_func=CrossEntropyFlat(weight=tensor([1., 1., 2.])),
              metrics=[accuracy, error_rate], silent=True)
apply_init(own.model, nn.init.kaiming_normal_)
own.fit_one_cycle(3, 1e-2)
own.pred_batch(DatasetType.Valid, activ=lambda o: o)
own.purge()
own.destroy()
"""

IMAGES = """
from fastai.vision import *
from fastai.callbacks.hooks import *
from fastai.metrics import error_rate
---
path = Path("data")
np.random.seed(42)
data = ImageDataBunch.from_folder(path/'digits', train='.', valid_pct=0.2, ds_tfms=None, size=8,
                                  bs=16, num_workers=0).normalize()
data.classes, data.c, len(data.train_ds), len(data.valid_ds)
---
model = simple_cnn((3, 8, 16, data.c), bn=True)
learn = Learner(data, model, metrics=[accuracy, error_rate], model_dir='cnn')
learn.fit_one_cycle(3, max_lr=slice(1e-3, 2e-2))
learn.save('stage-1')
model_sizes(model, size=(8, 8))
with hook_output(model[0]) as hook_a:
    preds = learn.pred_batch(DatasetType.Valid)
hook_a.stored.shape
---
learn = cnn_learner(data, resnet10, pretrained=False, metrics=error_rate, ps=0.2,
                    loss_func=LabelSmoothingCrossEntropy(), callback_fns=[ActivationStats])
learn = learn.mixup()
learn.freeze()
learn.fit_one_cycle(1)
learn.unfreeze()
learn.fit_one_cycle(1, max_lr=slice(1e-4, 1e-2))
interp = ClassificationInterpretation.from_learner(learn)
losses, idxs = interp.top_losses()
len(data.valid_ds) == len(losses) == len(idxs)
"""

TRANSFORMS = """
from fastai.vision import *
from fastai.vision.transform import *
from fastai.core import *
---
path = Path("data")/'digits'
fnames = get_image_files(path/'1')
img = open_image(fnames[0])
turned, lighter = img.rotate(35), brightness(img, 0.7)
tfms = get_transforms(do_flip=False, max_warp=0.1,
                      xtra_tfms=[cutout(n_holes=(1,2), length=(1,3), p=.75), squish(.9)])
def get_ex(): return open_image(fnames[0])
def plots_f(rows, cols, width, height, **kwargs):
    [get_ex().apply_tfms(tfms[0], **kwargs).show(ax=ax)
     for ax in plt.subplots(rows, cols, figsize=(width, height))[1].flatten()]
plots_f(2, 4, 12, 6, size=16)
fig, axs = plt.subplots(1, 5, figsize=(12, 4))
for scale, ax in zip(np.linspace(0.6, 1.4, 5), axs): squish(img, scale).show(ax=ax)
plt.close('all')
---
ds_tfms = ([*rand_pad(2, 16), cutout(1, 4), jitter(magnitude=.01)], [])
pat = re.compile(r'/([^/]+)/[^/]+.png$')
data = ImageDataBunch.from_name_re(path, get_image_files(path, recurse=True), pat, size=16, bs=16,
                                   ds_tfms=ds_tfms, seed=0).normalize()
first, label = data.train_ds[0]
first.show(title=label)
folders = [o.name for o in path.ls()]
learn = Learner(data, simple_cnn((3, 8, data.train_ds.c)), metrics=accuracy)
lr_find(learn, num_it=20)
learn.recorder.plot(skip_start=2)
mixup(learn)
learn.fit_one_cycle(2, 1e-2)
learn.recorder.plot(skip_start=1, skip_end=1)
title = plt.gca().get_title()
pred_class, pred_idx, probs = learn.predict(img)
same = pred_class.obj == data.classes[int(pred_idx)]
plt.close('all')
"""

OWN_LOOP = """
from fastai.basics import *
---
np.random.seed(42)
n = 100
x = tensor(np.ones((n, 2), np.float32))
x.data[:, 0] = np.random.uniform(-1., 1, n)
y = x@tensor([3., 2]) + tensor(np.random.rand(n).astype(np.float32))
def mse(y_hat, y): return ((y_hat-y)**2).mean()
a = nn.Parameter(tensor([-1., 1]))
lr = 1e-1
def update():
    loss = mse(y, x@a)
    loss.backward()
    with no_grad():
        a.data -= lr * a.grad
        a.grad = None
    return loss.item()
sgd_losses = [update() for t in range(100)]
---
points = {k: np.load(f'data/{k}.npy') for k in ('x', 'y', 'vx', 'vy')}
x_train, y_train, x_valid, y_valid = map(tensor, (points[k] for k in ('x', 'y', 'vx', 'vy')))
data = DataBunch.create(TensorDataset(x_train, y_train), TensorDataset(x_valid, y_valid), bs=64)
x, y = next(iter(data.train_dl))

class Mnist_NN(nn.Module):
    def __init__(self):
        super().__init__()
        self.lin1 = nn.Linear(64, 50, bias=True)
        self.lin2 = nn.Linear(50, 10, bias=True)

    def forward(self, xb):
        x = self.lin1(xb)
        x = F.relu(x)
        return self.lin2(x)

model = Mnist_NN().cpu()
loss_func = nn.CrossEntropyLoss()
def update(x,y,lr):
    opt = optim.Adam(model.parameters(), lr)
    y_hat = model(x)
    loss = loss_func(y_hat, y)
    loss.backward()
    opt.step()
    opt.zero_grad()
    return loss.item()
losses = [update(x,y,1e-3) for x,y in data.train_dl]
---
learn = Learner(data, Mnist_NN(), loss_func=F.cross_entropy, metrics=accuracy,
                opt_func=partial(optim.Adam, betas=(0.9, 0.99)))
fit_one_cycle(learn, 5, 2e-2)
preds, targets = learn.get_preds()
class Pairs:
    def __init__(self, *t): self.t = t
    def __len__(self): return len(self.t[0])
    def __getitem__(self, i): return tuple(o[i] for o in self.t)
own = DataBunch.create(Pairs(x_train, y_train), Pairs(x_valid, y_valid), bs=64)
one_x, one_y = own.train_ds[0]
"""

CALLBACKS = """
from fastai.vision import *
from fastai.callbacks import *

points = {k: np.load(f'data/{k}.npy') for k in ('x', 'y', 'vx', 'vy')}
data = DataBunch.create(*[TensorDataset(points[x].reshape(-1, 1, 8, 8), points[y])
                          for x, y in (('x', 'y'), ('vx', 'vy'))], bs=64)
def model(): return nn.Sequential(nn.Conv2d(1, 4, kernel_size=3, stride=2, padding=1), nn.ReLU(),
                                  Flatten(), nn.Linear(64, 10))
---
class Counted(LearnerCallback):
    _order = -20
    def __init__(self, learn:Learner): super().__init__(learn)
    def on_train_begin(self, **kwargs:Any)->None:
        self.learn.recorder.add_metric_names(['rows', 'twice'])
    def on_epoch_begin(self, **kwargs:Any)->None: self.n = 0
    def on_batch_end(self, last_output, last_target, train, **kwargs):
        if not train: self.n += len(last_target)
    def on_epoch_end(self, epoch:int, last_metrics:Collection, **kwargs)->Optional[Dict]:
        return add_metrics(last_metrics, [self.n, 2*self.n])

class Precise(Callback):
    def __init__(self): self.name = 'share of zeros'
    def on_epoch_begin(self, **kwargs): self.correct, self.total = 0, 0
    def on_batch_end(self, last_output, last_target, **kwargs):
        preds = last_output.argmax(1)
        self.correct += ((preds==0)*(last_target==0)).float().sum()
        self.total += (last_target==0).float().sum()
    def on_epoch_end(self, last_metrics, **kwargs):
        return add_metrics(last_metrics, self.correct/self.total)

learn = Learner(data, model(), metrics=[accuracy, Precise()], callback_fns=[Counted])
learn.fit(2, 1e-2)
table = learn.recorder.metrics
---
class Dicts(LearnerCallback):
    def on_batch_begin(self, last_input, last_target, **kwargs):
        return {'last_input': last_input*.5, 'last_target': last_target}
    def on_loss_begin(self, last_output, **kwargs): return {'last_output': last_output*1.}
    def on_backward_begin(self, last_loss, **kwargs): return {'last_loss': last_loss*2}
    def on_batch_end(self, num_batch, **kwargs):
        if num_batch > 3: return {'stop_epoch': True}
    def on_epoch_end(self, epoch, **kwargs): return {'stop_training': epoch==1}
stopped = Learner(data, model(), callback_fns=[Dicts])
stopped.fit(5)
"""


def write_ratings(folder: Path) -> None:
    planted = planted_ratings(n_users=60, n_items=40, n_ratings=1500)
    planted.ratings[["userId", "title", "rating"]].to_csv(folder / "ratings.csv", index=False)


def write_flowers(folder: Path) -> None:
    from sklearn.datasets import load_iris
    frame = load_iris(as_frame=True).frame.rename(columns=lambda name: name.removesuffix(" (cm)"))
    frame = frame.sample(frac=1, random_state=0).reset_index(drop=True)
    frame["garden"] = np.where(np.arange(150) % 3, "north", "south")
    frame.loc[5, "petal width"] = np.nan
    frame["target"] = np.array(["setosa", "versicolor", "virginica"])[frame["target"]]
    frame.to_csv(folder / "flowers.csv", index=False)


def write_digits(folder: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    from sklearn.datasets import load_digits
    digits = load_digits(n_class=3)
    for i, (pixels, label) in enumerate(zip(digits.images[:120], digits.target, strict=False)):
        place = folder / "digits" / str(label)
        place.mkdir(parents=True, exist_ok=True)
        image.fromarray((pixels * 15).astype(np.uint8)).save(place / f"{i}.png")


def run(notebook: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that a notebook leaves, after all its cells ran in a folder with ``data``."""
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {"__name__": "notebook"}
    for i, cell in enumerate(notebook.replace("fastai", "minifast").split("---\n")):
        exec(compile(cell, f"cell {i}", "exec"), names)
    return names


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_a_notebook_on_ratings(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_ratings(data)
    names = run(RATINGS, data.parent, monkeypatch)
    history = pd.read_csv(data / "history.csv")
    assert list(history) == ["epoch", "train_loss", "valid_loss", "root_mean_squared_error",
                             "mean_absolute_error"]
    assert len(names["test_preds"]) == 7
    assert names["best"][0][0] > names["best"][-1][0]
    constant = np.var(names["ratings"]["rating"])
    assert names["learn"].recorder.val_losses[-1] < constant


def test_a_notebook_on_a_table(data: Path, monkeypatch: pytest.MonkeyPatch,
                               capsys: pytest.CaptureFixture[str]) -> None:
    write_flowers(data)
    names = run(TABLE, data.parent, monkeypatch)
    assert names["acc"] > .85
    assert names["category"] in ("setosa", "versicolor", "virginica")
    assert "self-destroyed" in capsys.readouterr().out


def test_a_notebook_on_pictures(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_digits(data)
    names = run(IMAGES, data.parent, monkeypatch)
    assert names["data"].classes == ["0", "1", "2"]
    assert (data / "digits/cnn/stage-1.safetensors").exists()
    assert names["hook_a"].stored.shape[1] == 8


def test_a_notebook_of_transforms(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_digits(data)
    names = run(TRANSFORMS, data.parent, monkeypatch)
    assert names["turned"].shape == names["img"].shape
    assert names["lighter"].px.mean() > names["img"].px.mean()
    assert names["folders"] == ["0", "1", "2"]
    assert names["label"] in names["folders"]
    assert names["title"] == "Loss at the learning rates of a fit"
    assert names["same"]


def write_arrays(folder: Path) -> None:
    from sklearn.datasets import load_digits
    digits = load_digits()
    x, y = (digits.data / 16).astype(np.float32)[:800], digits.target[:800]
    for name, part in {"x": x[:600], "y": y[:600], "vx": x[600:], "vy": y[600:]}.items():
        np.save(folder / f"{name}.npy", part)


def test_a_notebook_with_a_loop_of_its_own(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arrays(data)
    names = run(OWN_LOOP, data.parent, monkeypatch)
    assert names["sgd_losses"][-1] < .1 < names["sgd_losses"][0]
    assert names["losses"][-1] < names["losses"][0]
    assert names["learn"].recorder.metrics[-1][0] > .8
    assert names["one_x"].shape == (64,)
    np.testing.assert_array_equal(names["one_x"], names["x_train"].data[0])
    assert names["one_y"] == names["y_train"].data[0]


def test_a_notebook_of_callbacks(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_arrays(data)
    names = run(CALLBACKS, data.parent, monkeypatch)
    assert [len(row) for row in names["table"]] == [4, 4]
    assert [float(value) for value in names["table"][1]][2:] == [200, 400]
    assert len(names["stopped"].recorder.losses) == 10, "five batches in each of two epochs"


# ---------------------------------------------------------------- what such notebooks ran into


def test_a_callback_that_returns_no_dict_is_told_so() -> None:
    from minifast.basics import Callback

    class Doubles(Callback):
        def on_backward_begin(self, last_loss: Any, **kwargs: Any) -> Any:
            return last_loss * 2

    learn = line_learner(callbacks=[Doubles()])
    with pytest.raises(ValueError, match=r"on_backward_begin returned 'tensor\(.*not a dict"):
        learn.fit(1)


@pytest.mark.parametrize(("code", "message"), [
    ("p.sub_(1.)", "p.data -= lr"), ("p.uniform_(-1., 1.)", "np.random.uniform"),
    ("p.cuda()", r"x.to\('cuda'\)"), ("p[0] = 1.", "x.data"), ("p.nonsense", "no attribute"),
    ("models.resnet34", "resnet10"), ("create_body(resnet10, pretrained=True)", "load_body")])
def test_torchs_ways_are_refused_with_what_to_write(code: str, message: str) -> None:
    names: dict[str, Any] = {}
    exec("from minifast.vision import *\np = tensor([1., 2.])", names)
    with pytest.raises((AttributeError, TypeError, ValueError), match=message):
        exec(code, names)


def test_torchs_optimizers() -> None:
    """``weight_decay`` is coupled as in torch; a learner's ``wd`` and ``true_wd`` replace it."""
    from minifast.basics import nn, optim
    from minifast.optim import Adam, steps
    parameters = nn.Linear(2, 1).parameters()
    assert steps.l2_reg in optim.Adam(parameters, weight_decay=.1).steps
    learners = optim.Adam(parameters, lr=.1, betas=(.8, .95), wd=.2, true_wd=True, bn_wd=True)
    plain = Adam(parameters, .1, .8, .95, wd=.2)
    assert learners.steps == plain.steps
    for name in ("lr", "mom", "beta", "eps", "wd"):
        assert learners.get_hyper(name) == plain.get_hyper(name)


def test_training_rows_of_a_table_know_their_columns() -> None:
    from minifast.inspect import ClassificationInterpretation
    from minifast.tabular import Categorify, FillMissing, TabularDataBunch, tabular_learner
    df = pd.DataFrame({"a": [1., np.nan, 3., 4.] * 4, "b": 1., "y": list("pqpq") * 4})
    data = TabularDataBunch.from_df(".", df, "y", [1, 2], [FillMissing, Categorify], bs=4)
    assert data.train_ds.cont_names == data.valid_ds.cont_names == ["a", "b"]
    assert data.train_ds.to("cpu").cat_names == ["a_na"]
    interp = ClassificationInterpretation.from_learner(tabular_learner(data, [4]))
    table = interp.plot_tab_top_losses(2, return_table=True)
    assert {"prediction", "loss", "a", "a_na"} <= {*table.columns}


def test_a_column_of_large_whole_numbers_is_readable(capsys: pytest.CaptureFixture[str]) -> None:
    """As the seconds that ``add_datepart`` calls Elapsed."""
    from minifast.tabular import Normalize, TabularDataBunch
    df = pd.DataFrame({"Elapsed": [1410300000., 1426500000.] * 4, "y": 1.})
    data = TabularDataBunch.from_df(".", df, "y", [1, 2], [Normalize], bs=4)
    data.show_batch()
    assert {*capsys.readouterr().out.split()} == {"Elapsed", "target", "1410300000", "1426500000",
                                                  "1.0"}


def test_an_image_is_shown(data: Path) -> None:
    import matplotlib.pyplot as plt
    write_digits(data)
    from minifast.vision import open_image, show_image
    image = open_image(data / "digits/0/0.png")
    image.show(title="nought")
    shown = plt.gca()
    assert shown.get_title() == "nought"
    np.testing.assert_array_equal(shown.images[0].get_array(), np.asarray(image))
    assert show_image(image.data, ax=shown) is shown
    assert image._repr_png_().startswith(b"\x89PNG")
    plt.close("all")


def test_unreadable_images_are_found(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_digits(data)
    from minifast.vision import open_image, verify_images
    bad = data / "digits/0/bad.png"
    bad.write_bytes(b"<html>not found</html>")
    assert verify_images(bad.parent, delete=False, max_workers=8) == [bad]
    assert verify_images(bad.parent, max_size=4) == [bad]
    assert not bad.exists()
    assert str(bad) in capsys.readouterr().out
    assert open_image(data / "digits/0/0.png").size == (4, 4)
    with pytest.raises(TypeError, match="dest"):
        verify_images(bad.parent, dest="elsewhere")


def test_columns_become_categories() -> None:
    from minifast.collab import CollabDataBunch, series2cat
    df = planted_ratings(n_users=20, n_items=10, n_ratings=150).ratings
    series2cat(df, "userId", ["movieId"])
    assert df["movieId"].cat.ordered
    assert CollabDataBunch.from_df(df, seed=42, bs=16).one_batch()[0][0].shape == (16,)
