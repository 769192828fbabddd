"""fastai v1's public names, and which of them are here: ``python tests/v1_names.py [--write]``.

The names are those of version 1.0.61, without the data block API, text, GANs and several GPUs.
With ``--write``, the table of absent names in docs/differences.md is brought up to date.
"""
import contextlib
import io
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import minifast.collab
from minifast.data import ArrayDataset, DataBunch
from minifast.nn import Linear
from minifast.notebook import absent
from minifast.train import Learner
from minifast.vision import ImageDataBunch

PAGE = Path(__file__).parents[1] / "docs/differences.md"
BEGIN, END = "<!-- absent names: python tests/v1_names.py --write -->\n", "<!-- end -->\n"

V1 = {
    "Learner": """
        data model opt_func loss_func metrics true_wd bn_wd wd train_bn path model_dir callback_fns
        callbacks layer_groups add_time silent opt recorder init lr_range fit create_opt split
        freeze_to freeze unfreeze export save load destroy purge get_preds pred_batch backward
        predict predict_with_mc_dropout apply_dropout validate show_results dl fit_one_cycle fit_fc
        lr_find to_fp16 to_fp32 mixup clip_grad summary interpret TTA""",
    "Recorder": """
        learn opt train_dl no_val silent add_time names metrics_names losses val_losses lrs moms
        metrics nb_batches min_grad_lr add_metric_names format_stats smoothen_by_spline plot
        plot_lr plot_losses plot_metrics""",
    "DataBunch": """
        train_dl valid_dl fix_dl test_dl single_dl dls dl train_ds valid_ds fix_ds test_ds single_ds
        path device tfms collate_fn create batch_size loss_func empty_val is_empty sanity_check
        one_batch one_item show_batch add_tfm remove_tfm add_test export load_empty save""",
    "ImageDataBunch": """
        create_from_ll from_folder from_df from_csv from_lists from_name_func from_name_re
        single_from_classes batch_stats normalize""",
    "metrics": """
        accuracy accuracy_thresh error_rate top_k_accuracy dice fbeta FBeta Precision Recall
        ConfusionMatrix KappaScore MatthewsCorreff AUROC auc_roc_score roc_curve Perplexity mse mae
        rmse msle mean_squared_error mean_absolute_error root_mean_squared_error
        mean_squared_logarithmic_error exp_rmspe explained_variance r2_score RMSE R2Score
        ExplainedVariance ExpRMSPE""",
    "layers": """
        AdaptiveConcatPool2d BCEFlat BCEWithLogitsFlat BatchNorm1dFlat CrossEntropyFlat Debugger
        FlattenedLoss Flatten LabelSmoothingCrossEntropy Lambda MSELossFlat MergeLayer NoopLoss
        NormType PartialLayer PixelShuffle_ICNR PoolFlatten PooledSelfAttention2d ResizeBatch
        SelfAttention SequentialEx SigmoidRange View WassersteinLoss batchnorm_2d bn_drop_lin
        conv2d conv2d_trans conv_layer embedding icnr relu res_block sigmoid_range simple_cnn
        trunc_normal_""",
    "callbacks": """
        LRFinder OneCycleScheduler MixedPrecision TrainingPhase GeneralScheduler Hook Hooks
        hook_output hook_outputs model_sizes num_features_model model_summary dummy_eval dummy_batch
        HookCallback ActivationStats MixUpCallback MixUpLoss RNNTrainer TerminateOnNaNCallback
        EarlyStoppingCallback SaveModelCallback TrackerCallback ReduceLROnPlateauCallback
        TrackEpochCallback CSVLogger LossMetrics OverSamplingCallback""",
    "basic_train, basic_data": """
        Learner LearnerCallback Recorder RecordOnCPU fit loss_batch train_epoch validate get_preds
        load_learner DataBunch DatasetType DeviceDataLoader load_data""",
    "callback": """
        Callback CallbackHandler CallbackList AverageMetric SmoothenValue OptimWrapper Scheduler
        annealing_no annealing_linear annealing_exp annealing_cos annealing_poly""",
    "train and other callbacks": """
        BnFreeze GradientClipping ShowGraph AccumulateScheduler Interpretation
        ClassificationInterpretation MultiLabelClassificationInterpretation fit_one_cycle lr_find
        one_cycle_scheduler to_fp16 to_fp32 mixup clip_grad fit_fc StopAfterNBatches PeakMemMetric
        FlatCosAnnealScheduler""",
    "torch_core and core": """
        tensor Tensor defaults nn np to_np to_data to_detach to_cpu to_device to_float to_half
        children num_children first_layer last_layer flatten_model split_model split_model_idx
        split_no_wd_params range_children trainable_params requires_grad one_param in_channels
        set_bn_eval apply_leaf apply_init init_default cond_init bn2float model2half
        ParameterModule AdamW torch F logit grab_idx np2model_tensor model_type calc_loss
        flatten_check data_collate rand_bool uniform uniform_int log_uniform ifnone is_listy
        is_tuple listify camel2snake even_mults uniqueify chunks partial itemgetter attrgetter
        Path pd plt DataFrame Series warn optim
        TensorDataset add_metrics series2cat doc dataclass Any Collection""",
    "tabular": """
        TabularDataBunch TabularList TabularLine TabularProcessor TabularProc TabularModel
        tabular_learner FillMissing FillStrategy Categorify Normalize add_datepart
        add_cyclic_datepart cont_cat_split emb_sz_rule def_emb_sz make_date""",
    "collab": """
        collab_learner CollabDataBunch CollabLearner EmbeddingDotBias EmbeddingNN CollabLine
        CollabList""",
    "vision": """
        ImageDataBunch cnn_learner create_cnn create_body create_head num_features_model
        get_transforms Image open_image show_image imagenet_stats models unet_learner
        get_image_files verify_images image2np pil2tensor""",
    "vision.transform": """
        brightness contrast crop crop_pad cutout dihedral dihedral_affine flip_affine flip_lr
        get_transforms jitter pad perspective_warp rand_pad rand_crop rand_zoom rgb_randomize rotate
        skew squish rand_resize_crop symmetric_warp tilt zoom zoom_crop"""}
"""For each group its names in v1."""

INSTEAD = {
    **absent.INSTEAD,
    "DataBunch.collate_fn": "rows are joined with `np.stack`; other batches come from a loader of "
                            "your own, `DataBunch(train_dl, valid_dl)`",
    "DataBunch.save": "create the data again from their files; `data.export` keeps what "
                      "predictions need, without pickle",
    "create_from_ll": "`ImageDataBunch.from_arrays`, `load_learner`"}
"""What to write instead of an absent name, or why it is absent."""


@dataclass
class Group:
    """The names of a group that are here, and those that are not."""

    present: list[str]
    absent: list[str]

    def __str__(self) -> str:
        n = len(self.present) + len(self.absent)
        return f"{len(self.present):3} of {n:3}   {' '.join(self.absent)}"


@cache
def objects() -> dict[str, Any]:
    """A learner that was trained, its recorder and its data, and the class of images."""
    list(minifast.collab.__all__)  # imports all rooms, which add methods
    x = np.ones((8, 2), np.float32)
    data = DataBunch.create(ArrayDataset(x, x[:, 0]), ArrayDataset(x, x[:, 0]), bs=4)
    learn = Learner(data, Linear(2, 1, seed=0), silent=True)
    learn.fit(1)
    return {"Learner": learn, "Recorder": learn.recorder, "DataBunch": data,
            "ImageDataBunch": ImageDataBunch}


def is_present(group: str, name: str) -> bool:
    """Whether a name works: as an attribute of its class, or after a star import."""
    if group in objects():
        return hasattr(objects()[group], name)
    found = getattr(minifast.collab, name, None)
    is_module = name in ("np", "pd", "plt", "nn")
    return found is not None and isinstance(found, ModuleType) <= is_module


@cache
def groups() -> dict[str, Group]:
    """The names of each group, present and absent."""
    with contextlib.redirect_stdout(io.StringIO()):
        return {group: Group([n for n in names.split() if is_present(group, n)],
                             [n for n in names.split() if not is_present(group, n)])
                for group, names in V1.items()}


def instead(group: str, name: str) -> str | None:
    """What to write instead of a name; None if nobody has said."""
    return INSTEAD.get(f"{group}.{name}", INSTEAD.get(name))


def absent_table() -> str:
    """The table of absent names, as Markdown; names with the same replacement in one row."""
    lines = ["| Group | Absent names | Instead |", "| --- | --- | --- |"]
    for group, found in groups().items():
        rows: dict[str, list[str]] = {}
        for name in found.absent:
            rows.setdefault(instead(group, name) or "", []).append(f"`{name}`")
        lines += [f"| {group} | {', '.join(names)} | {text} |" for text, names in rows.items()]
    return "\n".join(lines) + "\n"


def page_parts() -> tuple[str, str, str]:
    """The page before the table, the table, and the page after it."""
    before, rest = PAGE.read_text(encoding="utf-8").split(BEGIN)
    table, after = rest.split(END)
    return before + BEGIN, table.strip("\n") + "\n", END + after


def main(arguments: list[str]) -> None:
    """Print the counts, and write the page if asked to."""
    for group, found in groups().items():
        print(f"{group:26}{found}")
    if arguments == ["--write"]:
        before, _, after = page_parts()
        PAGE.write_text(f"{before}\n{absent_table()}\n{after}", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
