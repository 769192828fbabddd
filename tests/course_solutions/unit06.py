"""Unit 6 written in other ways: right ones and wrong ones."""
STEPS = "minifast.optim.steps"
DECAY = "        p.data *= 1 - lr * wd"
L2 = "        p.grad = p.grad + wd * p.data"
MOMENTUM = '''    state["average"] *= mom
    state["average"] += p.grad
'''
MEAN = '''    state["average"] *= mom
    state["average"] += (1 - mom) * p.grad'''
SQUARE = '''    new = p.grad * p.grad
    new *= 1 - beta
    state["square"] *= beta
    state["square"] += new'''
SGD = '    p.data -= lr * state["average"]'
ADAM = '''    root = sqrt(1 - beta ** state.count)
    move = np.sqrt(state["square"], out=np.empty_like(p.data))
    move += eps * root
    np.divide(state["average"], move, out=move)
    move *= lr * root / (1 - mom ** state.count)
    p.data -= move'''
COUNT = "    state.count += 1\n"

SOLUTIONS: dict[str, tuple[str, str, str]] = {
    "decay: subtract": (STEPS, DECAY, "        p.data -= lr * wd * p.data"),
    "decay: another array": (STEPS, "    if wd:\n" + DECAY, "    p.data = p.data * (1 - lr * wd)"),
    "l2: no condition": (STEPS, "    if wd:\n" + L2, "    p.grad = np.add(p.grad, wd * p.data)"),
    "momentum: another array": (STEPS, MOMENTUM, '''\
    state["average"] = mom * state["average"] + p.grad'''),
    "mean: by the difference": (STEPS, MEAN, '''    average = state["average"]
    average += (1 - mom) * (p.grad - average)'''),
    "mean: another array": (STEPS, MEAN, '''    old = state["average"]
    state["average"] = old * mom + p.grad * (1 - mom)'''),
    "square: a power": (STEPS, SQUARE, '''    square = state["square"]
    square[...] = beta * square + (1 - beta) * p.grad ** 2'''),
    "square: by the difference": (STEPS, SQUARE, '''    state["square"] = state["square"] + (
        1 - beta) * (np.square(p.grad) - state["square"])'''),
    "sgd: another array": (STEPS, SGD, '    p.data = p.data - lr * state["average"]'),
    "sgd: out": (STEPS, SGD, '    np.subtract(p.data, state["average"] * lr, out=p.data)'),
    "adam: the formula": (STEPS, ADAM, '''    m = state["average"] / (1 - mom ** state.count)
    v = state["square"] / (1 - beta ** state.count)
    p.data -= lr * m / (np.sqrt(v) + eps)'''),
    "adam: NumPy's roots": (STEPS, ADAM, '''    t = state.count
    m, v = state["average"] / (1 - mom ** t), state["square"] / (1 - beta ** t)
    p.data = p.data - lr * m / (v ** .5 + eps)'''),
    "adam: the count last": (STEPS, COUNT + ADAM, '''    t = state.count + 1
    correction = sqrt(1 - beta ** t) / (1 - mom ** t)
    p.data -= lr * correction * state["average"] / (
        np.sqrt(state["square"]) + eps * sqrt(1 - beta ** t))
    state.count = t'''),
}

WRONG: dict[str, tuple[str, str, str]] = {
    "decay: return None": (STEPS, "    if wd:\n" + DECAY, "    return None"),
    "decay: a new value returned": (STEPS, "    if wd:\n" + DECAY,
                                    "    return p.data * (1 - lr * wd)"),
    "decay: the gradient decays": (STEPS, DECAY, "        p.grad = p.grad * (1 - lr * wd)"),
    "decay: growth": (STEPS, DECAY, "        p.data *= 1 + lr * wd"),
    "decay: a constant": (STEPS, DECAY, "        p.data -= lr * wd * np.sign(p.data)"),
    "l2: return None": (STEPS, "    if wd:\n" + L2, "    return None"),
    "l2: in place": (STEPS, L2, "        np.add(p.grad, wd * p.data, out=p.grad)"),
    "l2: with the rate": (STEPS, L2,
                          '        p.grad = p.grad + _.get("lr", .1) * wd * p.data'),
    "l2: twice": (STEPS, L2, "        p.grad = p.grad + 2 * wd * p.data"),
    "l2: the square": (STEPS, L2, "        p.grad = p.grad + wd / 2 * p.data ** 2"),
    "momentum: return None": (STEPS, MOMENTUM, "    return None"),
    "momentum: the gradient's array": (STEPS, MOMENTUM, '''    p.grad *= 1
    p.grad += mom * state["average"]
    state["average"] = p.grad'''),
    "momentum: an alias": (STEPS, MOMENTUM, '''    if "average" not in state:
        state["average"] = p.grad
    else:
        state["average"] *= mom
        state["average"] += p.grad'''),
    "momentum: the sum decays": (STEPS, MOMENTUM,
                                 '    state["average"] = mom * (state["average"] + p.grad)'),
    "momentum: of all optimizers": (STEPS, MOMENTUM, '''    kept = momentum.__dict__
    state["average"] = kept[p] = mom * kept.get(p, 0) + p.grad'''),
    "mean: the weights the other way round": (STEPS, MEAN, '''    state["average"] *= 1 - mom
    state["average"] += mom * p.grad'''),
    "mean: a sum": (STEPS, MEAN, '    state["average"] = mom * state["average"] + p.grad'),
    "mean: begins at the gradient": (STEPS, MEAN, '''    if "average" in state:
        state["average"] = mom * state["average"] + (1 - mom) * p.grad
    else:
        state["average"] = p.grad * 1'''),
    "mean: of the whole array": (STEPS, MEAN,
                                 '    state["average"] = np.mean((1 - mom) * p.grad)'),
    "square: return None": (STEPS, SQUARE, "    return None"),
    "square: of the absolute value": (STEPS, SQUARE, '''    state["square"] *= beta
    state["square"] += (1 - beta) * abs(p.grad)'''),
    "square: in place": (STEPS, SQUARE, '''    p.grad *= p.grad
    state["square"] = beta * state["square"] + (1 - beta) * p.grad'''),
    "square: the largest so far": (STEPS, SQUARE, '''    new = beta * state["square"]
    state["square"] = np.maximum(state["square"], new + (1 - beta) * p.grad ** 2)'''),
    "square: one number": (STEPS, SQUARE, '''    new = np.sum(p.grad * p.grad) / 3
    state["square"] = beta * state["square"] + (1 - beta) * new'''),
    "sgd: return None": (STEPS, SGD, "    return None"),
    "sgd: uphill": (STEPS, SGD, '    p.data += lr * state["average"]'),
    "sgd: the gradient": (STEPS, SGD, "    p.data -= lr * p.grad"),
    "sgd: the average is scaled": (STEPS, SGD, '''    state["average"] *= lr
    p.data -= state["average"]'''),
    "sgd: wrong shape": (STEPS, SGD, '    p.data = (p.data - lr * state["average"]).ravel()'),
    "adam: return None": (STEPS, ADAM, "    return None"),
    "adam: return the weights": (STEPS, ADAM, '''    m = state["average"] / (1 - mom ** state.count)
    v = state["square"] / (1 - beta ** state.count)
    return p.data - lr * m / (np.sqrt(v) + eps)'''),
    "adam: no count": (STEPS, COUNT + ADAM, '''    p.data -= lr * (state["average"] / (1 - mom)) / (
        np.sqrt(state["square"] / (1 - beta)) + eps)'''),
    "adam: count from zero": (STEPS, COUNT + ADAM, '''    t = max(state.count, 1)
    state.count += 1
    m, v = state["average"] / (1 - mom ** t), state["square"] / (1 - beta ** t)
    p.data -= lr * m / (np.sqrt(v) + eps)'''),
    "adam: one count for all": (STEPS, COUNT + ADAM, '''    state.count += 1
    t = adam_step.t = getattr(adam_step, "t", 0) + 1
    m, v = state["average"] / (1 - mom ** t), state["square"] / (1 - beta ** t)
    p.data -= lr * m / (np.sqrt(v) + eps)'''),
    "adam: corrected in place": (STEPS, ADAM, '''    state["average"] /= 1 - mom ** state.count
    state["square"] /= 1 - beta ** state.count
    p.data -= lr * state["average"] / (np.sqrt(state["square"]) + eps)'''),
    "adam: eps inside": (STEPS, ADAM, '''    m = state["average"] / (1 - mom ** state.count)
    v = state["square"] / (1 - beta ** state.count)
    p.data -= lr * m / np.sqrt(v + eps)'''),
    "adam: eps before the correction": (STEPS, "    move += eps * root", "    move += eps"),
    "adam: the square alone corrected": (STEPS, ADAM, '''    t = state.count
    v = state["square"] / (1 - beta ** t)
    p.data -= lr * state["average"] / (np.sqrt(v) + eps)'''),
    "adam: momenta fixed": (STEPS, ADAM, '''    m = state["average"] / (1 - .9 ** state.count)
    v = state["square"] / (1 - .99 ** state.count)
    p.data -= lr * m / (np.sqrt(v) + eps)'''),
    "adam: no root": (STEPS, ADAM, '''    m = state["average"] / (1 - mom ** state.count)
    v = state["square"] / (1 - beta ** state.count)
    p.data -= lr * m / (v + eps)'''),
    "adam: float64": (STEPS, ADAM, '''    m = state["average"] / (1 - mom ** state.count)
    v = state["square"] / (1 - beta ** state.count)
    state["average"] = state["average"].astype(np.float64)
    p.data -= lr * m / (np.sqrt(v) + eps)'''),
    "adam: ends Python": (STEPS, ADAM, "    raise SystemExit(0)"),
}
