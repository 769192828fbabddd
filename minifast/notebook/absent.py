"""Names of fastai v1 that minifast does not have, and what to write instead."""

HALF = "only for torch on several GPUs or in half precision"
LOOP = "`learn.fit`, `learn.validate`, `learn.get_preds`; `minifast.train.loop` has the functions"
UPSAMPLING = "for generated images (U-Net, GAN), which need a transposed convolution"
ATTENTION = "`minifast.sequences` has attention, for sequences"
INSTEAD = {
    "load_data": "create the data again from their files; `DataBunch.load_empty` reads what "
                 "`data.export` wrote",
    "DeviceDataLoader": "`DataLoader` gathers a batch on the data's device",
    "MixedPrecision": HALF, "bn2float": HALF, "model2half": HALF,
    "RNNTrainer": "a callback of your own; `minifast.sequences` has the layers",
    "conv2d_trans": UPSAMPLING, "PixelShuffle_ICNR": UPSAMPLING, "icnr": UPSAMPLING,
    "unet_learner": UPSAMPLING,
    "SelfAttention": ATTENTION, "PooledSelfAttention2d": ATTENTION,
    **dict.fromkeys(("fit", "loss_batch", "train_epoch", "validate", "get_preds"), LOOP),
    "CallbackList": "a list of callbacks",
    "OptimWrapper": "`Optimizer`, which has layer groups and decoupled decay itself",
    "MultiLabelClassificationInterpretation": "`learn.get_preds(with_loss=True)`",
    "torch": "`np`, and `tensor`, `cat`, `stack`, `where`, `no_grad` of minifast",
    "split_model_idx": "`split_model`, which takes modules",
    "range_children": "`range(num_children(m))`",
    "init_default": "`apply_init`", "cond_init": "`apply_init`",
    "logit": "`-np.log(1 / x - 1)`", "grab_idx": "`x[i]`",
    "np2model_tensor": "`tensor(x)`", "model_type": "`tensor(x)`",
    "calc_loss": "`learn.get_preds(with_loss=True)`",
    "flatten_check": "metrics check the sizes themselves", "data_collate": "`np.stack`",
    **dict.fromkeys(("rand_bool", "uniform", "uniform_int", "log_uniform"),
                    "`np.random.default_rng(seed)`"),
    "TabularLine": "a row of a frame, or a dictionary",
    "CollabLine": "a pair `(user, item)`, or a row of a frame",
    "CollabList": "`CollabDataBunch.from_df`, which splits by `valid_pct` or `valid_idx`",
    "def_emb_sz": "`data.get_emb_szs({column: width})`"}
"""What to write instead of an absent name, or why it is absent."""
OTHERS = {
    **dict.fromkeys(("ImageList", "ImageImageList"),
                    "`ImageDataBunch.from_folder`, `from_lists`, `from_df`, `from_name_re` ..."),
    **dict.fromkeys(("ItemList", "LabelList", "LabelLists"),
                    "`DataBunch.create(train_ds, valid_ds)`"),
    **dict.fromkeys(("TfmPixel", "TfmAffine", "TfmCoord", "TfmLighting", "TfmCrop"),
                    "a function `f(images, generator)` of a batch in the list of transforms"),
    **dict.fromkeys(("TextList", "TextDataBunch", "TextLMDataBunch", "TextClasDataBunch",
                     "language_model_learner", "text_classifier_learner"),
                    "minifast does not handle text; `minifast.sequences` has layers for sequences")}
"""Names of the data block API and of text, which the page of differences does not list."""
MODULES = {
    "data_block": "the data block API is absent; `ImageDataBunch`, `TabularList` and "
                  "`CollabDataBunch` have constructors",
    "text": OTHERS["TextList"], "widgets": "minifast has no widgets",
    "utils": "minifast has no functions for GPU memory",
    "vision.models": "`from minifast.vision import models`",
    "vision.gan": UPSAMPLING, "callbacks.mixup": "`from minifast.callbacks import MixUpCallback`",
    "callbacks.mem": "`from minifast.callbacks import PeakMemMetric`"}
"""Modules of v1 that are absent, without ``fastai.``."""


def hint(error: BaseException) -> str | None:
    """Return what to write instead of an absent name of v1's that caused an error.

    Parameters
    ----------
    error : BaseException
        The error.

    Returns
    -------
    str or None
        The text; None if the error has another cause.

    Examples
    --------
    >>> try:
    ...     unet_learner
    ... except NameError as error:
    ...     hint(error)
    "(minifast has no 'unet_learner', which fastai v1 has: for generated images (U-Net, GAN), ..."
    """
    name, known = str(getattr(error, "name", None)), INSTEAD | OTHERS
    if isinstance(error, ModuleNotFoundError):
        name, known = name.removeprefix("minifast."), MODULES
        while name not in known and "." in name:
            name = name.rpartition(".")[0]
    if not isinstance(error, NameError | ModuleNotFoundError) or name not in known:
        return None
    return f"(minifast has no {name!r}, which fastai v1 has: {known[name]}.)"
