"""Unit 9: right answers written in other ways than the library's, and wrong ones."""
OPS, NORM, GROUPS = "minifast.vision.ops", "minifast.nn.norm", "minifast.train.groups"

IM2COL = """\
    view = np.lib.stride_tricks.sliding_window_view(_padded(x, padding), kernel, axis=(2, 3))
    view = view[:, :, ::stride[0], ::stride[1]].transpose(0, 2, 3, 4, 5, 1)
    return view.reshape(-1, kernel[0] * kernel[1] * x.shape[1])
"""
CONVOLVE = """\
    kernel = w.shape[2], w.shape[3]
    size = output_size(x.shape, kernel, stride, padding)
    weight = w.transpose(0, 2, 3, 1).reshape(len(w), -1).T  # in the order of a window's row
    rows = [_im2col(x[chunk], kernel, stride, padding) @ weight
            for chunk in _chunks(x, len(x) * prod(size) * len(weight))]
    return as_images(rows[0] if len(rows) == 1 else np.concatenate(rows), len(x), size)
"""
STATISTICS = """\
    rows = as_rows(x)
    mean = column_sums(rows) / len(rows)
    centred = rows - mean
    return mean, column_sums(centred * centred) / len(rows)
"""
GRADIENT = """\
    mean, var = _of_batch(g, x, mean, var, own)
    rows, scale = as_rows(g), 1 / np.sqrt(var + eps)
    if own:  # mean and variance depend on x
        centred, n = as_rows(x) - mean, len(rows)
        centred *= column_sums(rows * centred) * scale * scale / n
        centred += column_sums(rows) / n
        rows = rows - centred
    return as_images(rows * (scale * weight), x.shape[0], x.shape[2:])
"""
RULES = """\
           column_sums(as_rows(g) * _standardize(x, *_of_batch(g, x, mean, var, own), eps)),
           lambda g, y, x, weight, bias, mean, var, eps, own: column_sums(as_rows(g)))
"""
NORMALISE = """\
    rows = _standardize(x, mean, var, eps)
    rows *= weight
    rows += bias
    return as_images(rows, len(x), x.shape[2:])
"""
FREEZE = """\
    for group in groups[:n]:
        for leaf in flatten_model(group):
            leaf.requires_grad_(train_bn and isinstance(leaf, BatchNorm))
    for group in groups[n:]:
        group.requires_grad_(True)
"""
CHECKS = """\
    count = len(groups)
    if not -count <= n <= count:
        raise IndexError(f"freeze_to({n}): this model has {count} layer group"
                         f"{'s' * (count != 1)}; make more with learn.split(...)")
    if n == count:
        raise ValueError(f"freeze_to({n}) would freeze all {count} layer groups and leave "
                         "nothing to train")
"""

SOLUTIONS: dict[str, tuple[str, str, str]] = {
    "a view for each pixel of the kernel": (OPS, IM2COL, """\
    x = _padded(x, padding)
    views = [view.transpose(0, 2, 3, 1) for view in _kernel_views(x, kernel, stride)]
    windows = np.stack(views, axis=3)
    return windows.reshape(prod(windows.shape[:3]), kernel[0] * kernel[1] * x.shape[1])
"""),
    "loops over positions": (OPS, IM2COL, """\
    down, across = output_size(x.shape, kernel, stride, padding)
    x, rows = _padded(x, padding), []
    for image in x:
        for i in range(down):
            for j in range(across):
                top, left = i * stride[0], j * stride[1]
                window = image[:, top:top + kernel[0], left:left + kernel[1]]
                rows.append(window.transpose(1, 2, 0).ravel())
    width = kernel[0] * kernel[1] * x.shape[1]
    return np.array(rows, x.dtype).reshape(len(rows), width)
"""),
    "into an empty result": (OPS, CONVOLVE, """\
    kernel = w.shape[2], w.shape[3]
    down, across = output_size(x.shape, kernel, stride, padding)
    weight = np.moveaxis(w, 1, 3).reshape(len(w), -1)
    y = np.empty((len(x), len(w), down, across), x.dtype)
    for chunk in _chunks(x, len(x) * down * across * weight.shape[1]):
        rows = _im2col(x[chunk], kernel, stride, padding) @ weight.T
        y[chunk] = rows.reshape(-1, down, across, len(w)).transpose(0, 3, 1, 2)
    return y
"""),
    "one image at a time": (OPS, CONVOLVE, """\
    kernel = w.shape[2], w.shape[3]
    size = output_size(x.shape, kernel, stride, padding)
    weight = w.transpose(2, 3, 1, 0).reshape(-1, len(w))
    y = np.zeros((len(x), *size, len(w)), np.result_type(x, w))
    for i in range(len(x)):
        y[i] = (_im2col(x[i:i + 1], kernel, stride, padding) @ weight).reshape(*size, len(w))
    return y.transpose(0, 3, 1, 2)
"""),
    "mean and var of NumPy": (NORM, STATISTICS, """\
    axes = (0, *range(2, x.ndim))
    return x.mean(axis=axes), x.var(axis=axes)
"""),
    "gradient as in the paper": (NORM, GRADIENT, """\
    mean, var = _of_batch(g, x, mean, var, own)
    rows, dy = as_rows(x) - mean, as_rows(g) * weight
    root = np.sqrt(var + eps)
    dx = dy / root
    if own:
        m = len(rows)
        dvar = (dy * rows).sum(0) * -.5 / root ** 3
        dmean = -dx.sum(0) - 2 * dvar * rows.sum(0) / m
        dx = dx + 2 * dvar * rows / m + dmean / m
    return as_images(dx, x.shape[0], x.shape[2:])
"""),
    "gradient in the shape of images": (NORM, GRADIENT, """\
    mean, var = _of_batch(g, x, mean, var, own)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    axes = (0, *range(2, x.ndim))
    slope = (weight / np.sqrt(var + eps)).reshape(shape)
    if not own:
        return g * slope
    hat = (x - mean.reshape(shape)) / np.sqrt(var + eps).reshape(shape)
    return slope * (g - g.mean(axis=axes, keepdims=True)
                    - hat * (g * hat).mean(axis=axes, keepdims=True))
"""),
    "a line": (NORM, NORMALISE, """\
    slope = weight / np.sqrt(var + eps)
    shape = (1, -1) + (1,) * (x.ndim - 2)
    return (x - mean.reshape(shape)) * slope.reshape(shape) + bias.reshape(shape)
"""),
    "modules of each group": (GROUPS, FREEZE, """\
    first = n % count
    for i, group in enumerate(groups):
        for p in group.parameters():
            p.requires_grad_(i >= first)
        for module in group.modules():
            if isinstance(module, BatchNorm) and train_bn:
                module.weight.requires_grad_(True)
                module.bias.requires_grad_(True)
"""),
}

WRONG: dict[str, tuple[str, str, str]] = {
    "windows return None": (OPS, IM2COL, "    return None\n"),
    "channels first in a window": (OPS, IM2COL, IM2COL.replace(
        "0, 2, 3, 4, 5, 1", "0, 2, 3, 1, 4, 5")),
    "positions in columns": (OPS, IM2COL, IM2COL.replace("1])\n", "1]).T\n")),
    "across before down": (OPS, IM2COL, IM2COL.replace("0, 2, 3, 4, 5, 1", "0, 3, 2, 4, 5, 1")),
    "kernel across before down": (OPS, IM2COL, IM2COL.replace(
        "0, 2, 3, 4, 5, 1", "0, 2, 3, 5, 4, 1")),
    "stride ignored": (OPS, IM2COL, IM2COL.replace("[:, :, ::stride[0], ::stride[1]]", "")),
    "one stride for both": (OPS, IM2COL, IM2COL.replace("stride[1]", "stride[0]")),
    "no padding": (OPS, IM2COL, IM2COL.replace("_padded(x, padding)", "x")),
    "padding of the edge": (OPS, IM2COL, IM2COL.replace("_padded(x, padding)", """np.pad(
        x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2), mode="edge")""")),
    "no negative padding": (OPS, IM2COL, IM2COL.replace("_padded(x, padding)", """np.pad(
        x, ((0, 0), (0, 0), (max(padding[0], 0),) * 2, (max(padding[1], 0),) * 2))""")),
    "windows flipped": (OPS, IM2COL, IM2COL.replace(".transpose(", "[..., ::-1, ::-1].transpose(")),
    "images changed": (OPS, IM2COL, "    x *= 1 + 1e-6\n" + IM2COL),
    "convolution returns None": (OPS, CONVOLVE, "    return None\n"),
    "weights in their own order": (OPS, CONVOLVE, CONVOLVE.replace("w.transpose(0, 2, 3, 1)", "w")),
    "all windows at once": (OPS, CONVOLVE, """\
    kernel = w.shape[2], w.shape[3]
    size = output_size(x.shape, kernel, stride, padding)
    weight = w.transpose(0, 2, 3, 1).reshape(len(w), -1).T
    return as_images(_im2col(x, kernel, stride, padding) @ weight, len(x), size)
"""),
    "first chunk only": (OPS, CONVOLVE, CONVOLVE.replace(
        "rows[0] if len(rows) == 1 else np.concatenate(rows)",
        "np.resize(rows[0], (len(x) * prod(size), len(w)))")),
    "channels last": (OPS, CONVOLVE, CONVOLVE.replace("return as_images(", "return (").replace(
        "np.concatenate(rows), len(x), size)", "np.concatenate(rows)).reshape(len(x), *size, -1)")),
    "wider type": (OPS, CONVOLVE, CONVOLVE.replace(
        "len(x), size)\n", "len(x), size) * np.float64(1)\n")),
    "statistics return None": (NORM, STATISTICS, "    return None\n"),
    "of each row": (NORM, STATISTICS, "    return as_rows(x).mean(1), as_rows(x).var(1)\n"),
    "over the batch only": (NORM, STATISTICS, "    return x.mean(0), x.var(0)\n"),
    "unbiased": (NORM, STATISTICS, STATISTICS.replace(
        "centred) / len(rows)", "centred) / (len(rows) - 1)")),
    "standard deviation": (NORM, STATISTICS, STATISTICS.replace(
        "column_sums(centred * centred) / len(rows)", "(centred * centred).mean(0) ** .5")),
    "mean of squares": (NORM, STATISTICS, """\
    rows = as_rows(x)
    mean = rows.mean(0)
    return mean, (rows * rows).mean(0) - mean * mean
"""),
    "centred in place": (NORM, STATISTICS, STATISTICS.replace(
        "centred = rows - mean", "rows -= mean\n    centred = rows")),
    "gradient returns None": (NORM, GRADIENT, "    return None\n"),
    "statistics as constants": (NORM, GRADIENT, GRADIENT.replace("if own:", "if False:")),
    "always the batch's": (NORM, GRADIENT, GRADIENT.replace("if own:", "if True:")),
    "without the variance": (NORM, GRADIENT, GRADIENT.replace(
        "column_sums(rows * centred) * scale * scale / n", "0")),
    "without the mean": (NORM, GRADIENT, GRADIENT.replace(
        "centred += column_sums(rows) / n", "pass")),
    "weight forgotten": (NORM, GRADIENT, GRADIENT.replace("(scale * weight)", "scale")),
    "gradient without eps": (NORM, GRADIENT, GRADIENT.replace("var + eps", "var")),
    "scale once": (NORM, GRADIENT, GRADIENT.replace("scale * scale / n", "scale / n")),
    "gradient of the wrong sign": (NORM, GRADIENT, GRADIENT.replace(
        "rows - centred", "rows + centred")),
    "gradient in place": (NORM, GRADIENT, GRADIENT.replace(
        "        rows = rows - centred", "        rows -= centred")),
    "rules are means": (NORM, RULES, RULES.replace(
        "column_sums(as_rows(g)))", "as_rows(g).mean(0))")),
    "rule of weight is that of bias": (NORM, RULES, RULES.replace(
        " * _standardize(x, *_of_batch(g, x, mean, var, own), eps)", "")),
    "norm returns None": (NORM, NORMALISE, "    return None\n"),
    "norm returns x": (NORM, NORMALISE, "    return x\n"),
    "own statistics always": (NORM, NORMALISE, "    mean, var = batch_statistics(x)\n" + NORMALISE),
    "weight forgotten in the formula": (NORM, NORMALISE, NORMALISE.replace(
        "rows *= weight", "pass")),
    "bias before weight": (NORM, NORMALISE, NORMALISE.replace(
        "    rows *= weight\n    rows += bias", "    rows += bias\n    rows *= weight")),
    "rows for images": (
        NORM, NORMALISE, "    return _standardize(x, mean, var, eps) * weight + bias\n"),
    "on the last axis": (NORM, NORMALISE, """\
    if x.shape[-1] != len(mean):
        return as_images(_standardize(x, mean, var, eps) * weight + bias, len(x), x.shape[2:])
    return (x - mean) / np.sqrt(var + eps) * weight + bias
"""),
    "no eps": (NORM, NORMALISE, NORMALISE.replace("eps)", "0.)")),
    "clipped": (NORM, NORMALISE, NORMALISE.replace("rows *= weight", "rows.clip(-1, 1, out=rows)")),
    "freezing does nothing": (GROUPS, FREEZE, "    return None\n"),
    "freezes the others": (GROUPS, FREEZE, FREEZE.replace("[:n]", "[n]").replace(
        "[n:]", "[:n]").replace("[n]", "[n:]")),
    "freezes only": (GROUPS, FREEZE, FREEZE.replace("group.requires_grad_(True)", "pass")),
    "one group more": (GROUPS, FREEZE, FREEZE.replace(
        "[:n]", "[:n + 1]").replace("[n:]", "[n + 1:]")),
    "negative n is its size": (GROUPS, FREEZE, "    n = abs(n)\n" + FREEZE),
    "range of a negative n": (GROUPS, FREEZE, FREEZE.replace(
        "groups[:n]", "groups[:max(n, 0)]").replace("groups[n:]", "groups[max(n, 0):]")),
    "shallow": (GROUPS, FREEZE, FREEZE.replace("flatten_model(group)", "group.children()")),
    "batch norm always": (GROUPS, FREEZE, FREEZE.replace("train_bn and ", "")),
    "batch norm never": (GROUPS, FREEZE, FREEZE.replace("train_bn and ", "False and ")),
    "BatchNorm by its exact class": (GROUPS, FREEZE, FREEZE.replace(
        "isinstance(leaf, BatchNorm)", "type(leaf) is BatchNorm")),
    "rates of zero instead": (GROUPS, FREEZE, FREEZE.replace(
        "leaf.requires_grad_(train_bn and isinstance(leaf, BatchNorm))",
        "leaf.lr = 0. if train_bn and isinstance(leaf, BatchNorm) else None")),
    "frozen batch norm stays frozen": (GROUPS, FREEZE, FREEZE.replace(
        "leaf.requires_grad_(train_bn and isinstance(leaf, BatchNorm))",
        "leaf if train_bn and isinstance(leaf, BatchNorm) else leaf.requires_grad_(False)")),
    "no checks": (GROUPS, CHECKS, "    count = len(groups)\n"),
    "checks too late": (GROUPS, CHECKS + FREEZE, FREEZE + CHECKS),
    "all may be frozen": (GROUPS, CHECKS, CHECKS.replace("if n == count", "if n == count + 1")),
}
