"""Write the tables of ``docs/from_fastai.md``: ``python docs/from_fastai.py``.

A row has a public name of fastai v1's modules and the path of the same thing here. A name that is
here under the same name is found by the script, one with another name is in `RENAMED`.
"""
import importlib
from collections.abc import Iterator
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import numpy as np

import minifast
from minifast.data import ArrayDataset, DataBunch
from minifast.nn import Linear
from minifast.train import Learner

PAGE = Path(__file__).parent / "from_fastai.md"
MARKS = "<!-- names -->\n", "<!-- /names -->\n"
V1 = {
    "basic_train": "Learner LearnerCallback Recorder fit train_epoch loss_batch validate get_preds "
                   "load_learner RecordOnCPU",
    "basic_data": "DataBunch DatasetType DeviceDataLoader",
    "train": "fit_one_cycle fit_fc lr_find to_fp16 mixup ShowGraph BnFreeze GradientClipping "
             "clip_grad AccumulateScheduler Interpretation ClassificationInterpretation",
    "callback": "Callback CallbackHandler AverageMetric SmoothenValue OptimWrapper Scheduler "
                "annealing_no annealing_linear annealing_exp annealing_cos annealing_poly",
    "callbacks": "OneCycleScheduler LRFinder MixUpCallback MixUpLoss GeneralScheduler "
                 "TrainingPhase TrackerCallback TrackEpochCallback TerminateOnNaNCallback "
                 "EarlyStoppingCallback SaveModelCallback ReduceLROnPlateauCallback CSVLogger "
                 "OverSamplingCallback StopAfterNBatches FlatCosAnnealScheduler",
    "callbacks.hooks": "Hook Hooks hook_output hook_outputs hook_params HookCallback "
                       "ActivationStats model_sizes model_summary num_features_model dummy_batch "
                       "dummy_eval",
    "layers": "AdaptiveConcatPool2d BCEFlat BCEWithLogitsFlat CrossEntropyFlat Debugger Flatten "
              "FlattenedLoss LabelSmoothingCrossEntropy Lambda MSELossFlat MergeLayer NormType "
              "PixelShuffle_ICNR PoolFlatten ResizeBatch SequentialEx SigmoidRange View "
              "batchnorm_2d bn_drop_lin conv2d conv2d_trans conv_layer embedding icnr init_default "
              "relu res_block sigmoid_range simple_cnn trunc_normal_",
    "metrics": "AUROC ConfusionMatrix ExpRMSPE ExplainedVariance FBeta KappaScore MatthewsCorreff "
               "Perplexity Precision R2Score RMSE Recall accuracy accuracy_thresh auc_roc_score "
               "dice error_rate exp_rmspe explained_variance fbeta mae mean_absolute_error "
               "mean_squared_error mean_squared_logarithmic_error mse msle r2_score rmse "
               "root_mean_squared_error roc_curve top_k_accuracy",
    "torch_core": "Tensor apply_init apply_leaf bn2float children cond_init flatten_model "
                  "requires_grad set_bn_eval split_model tensor to_data to_detach to_device to_np",
    "core": "camel2snake defaults even_mults ifnone is_listy listify noop range_of uniqueify",
    "collab": "CollabDataBunch CollabLearner CollabList EmbeddingDotBias EmbeddingNN "
              "collab_learner",
    "tabular": "Categorify CategoryList FillMissing FloatList Normalize TabularDataBunch "
               "TabularList TabularModel TabularProcessor add_cyclic_datepart add_datepart "
               "add_test cont_cat_split emb_sz_rule tabular_learner",
    "vision": "ImageDataBunch cnn_learner create_body create_cnn_model create_head denormalize "
              "get_transforms image2np normalize open_image pil2tensor resnet18 resnet34 "
              "show_image",
    "vision.transform": "brightness contrast crop crop_pad cutout dihedral flip_affine flip_lr "
                        "jitter pad perspective_warp rand_crop rand_pad rand_resize_crop rand_zoom "
                        "rgb_randomize rotate skew squish symmetric_warp tilt zoom zoom_crop",
    "text": "TextLMDataBunch language_model_learner",
    "datasets": "URLs untar_data",
}
RENAMED = {
    "basic_train.fit": "minifast.train.loop.fit",
    "basic_train.validate": "minifast.train.loop.validate",
    "basic_train.get_preds": "minifast.train.loop.get_preds",
    "basic_train.loss_batch": "minifast.train.loop.train_batch",
    "train.fit_one_cycle": "minifast.train.Learner.fit_one_cycle",
    "train.lr_find": "minifast.train.Learner.lr_find",
    "callback.CallbackHandler": "minifast.train.callback.CallbackHandler",
    "callback.AverageMetric": "minifast.train.callback.AverageMetric",
    "callback.SmoothenValue": "minifast.train.callback.SmoothenValue",
    "callback.OptimWrapper": "minifast.optim.Optimizer",
    "text.TextLMDataBunch": "minifast.sequences.CharDataBunch",
}
LEARNER = ("apply_dropout backward callback_fns callbacks clip_grad create_opt data "
           "destroy dl export fit fit_fc fit_one_cycle freeze freeze_to get_preds init "
           "interpret layer_groups load loss_func lr_find lr_range metrics mixup model "
           "model_dir opt opt_func path pred_batch predict purge recorder save "
           "show_results split summary to_fp16 unfreeze validate wd")
RECORDER = ("add_metric_names add_metrics format_stats losses lrs metrics min_grad_lr "
            "moms names plot plot_losses plot_lr plot_metrics val_losses")
DATA = ("add_test batch_size classes create device dl export is_empty loss_func one_batch "
        "one_item path remove_tfm show_batch single_dl test_dl test_ds train_dl train_ds "
        "valid_dl valid_ds")
"""v1's attributes and methods of a learner, a recorder, and data."""


def packages() -> list[str]:
    """Return the packages in which a name is looked for, in this order."""
    first = ["train", "nn", "vision", "collab", "data", "callbacks", "inspect", "autograd"]
    others = [found.name for found in iter_modules(minifast.__path__) if found.name != "course"]
    return [f"minifast.{name}" for name in dict.fromkeys([*first, *others])] + ["minifast"]


def path_of(module: str, name: str) -> str:
    """Return the path of what a name of v1 is called here, or ""."""
    if f"{module}.{name}" in RENAMED:
        return RENAMED[f"{module}.{name}"]
    for package in packages():
        found = vars(importlib.import_module(package)).get(name)
        if found is not None and not isinstance(found, type(minifast)):
            own = getattr(found, "__module__", "").startswith(package)
            return f"{package if own or package == 'minifast' else home(found, package)}.{name}"
    return ""


def home(found: Any, package: str) -> str:
    """Return the package that defines what another one imports."""
    defined = ".".join(getattr(found, "__module__", package).split(".")[:2])
    return defined if hasattr(importlib.import_module(defined), found.__name__) else package


def tables() -> Iterator[str]:
    """Yield the lines of the tables."""
    for module, names in V1.items():
        found = [(name, path) for name in names.split() if (path := path_of(module, name))]
        yield from [f"## `fastai.{module}`", "", "| fastai v1 | Here |", "| --- | --- |"]
        yield from (f"| `{name}` | `{path}` |" for name, path in found)
        yield ""
    yield from ["## Attributes and methods", "", "| Class | Under the same names |",
                "| --- | --- |"]
    for thing, names in instances():
        have = ", ".join(f"`{name}`" for name in names.split() if hasattr(thing, name))
        yield f"| `{type(thing).__name__}` | {have} |"
    yield ""


def instances() -> list[tuple[Any, str]]:
    """Return a learner that has trained, its recorder and its data, with v1's names of each."""
    x = np.ones((4, 2), np.float32)
    data = DataBunch.create(ArrayDataset(x, x[:, 0]), ArrayDataset(x, x[:, 0]), bs=2, device="cpu")
    learn = Learner(data, Linear(2, 1, seed=0))
    with learn.no_logging():
        learn.fit(1)
    return [(learn, LEARNER), (learn.recorder, RECORDER), (data, DATA)]


def rewritten(text: str) -> str:
    """Return the text of the page with new tables."""
    before, _, rest = text.partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    return before + MARKS[0] + "\n" + "\n".join(tables()) + "\n" + MARKS[1] + after


if __name__ == "__main__":
    PAGE.write_text(rewritten(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
