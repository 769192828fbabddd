"""Unit 8: right answers written in other ways than the library's, and wrong ones."""
OPS, COLLAB = "minifast.autograd.ops", "minifast.collab"

LOOKUP = "    return backend_of(table).gather(table, ids)\n"
ADD = """    total = np.zeros(a.shape, a.dtype, like=a)
    backend_of(total).scatter_add(total, index, g)
    return total
"""
RULE = """@primitive(lambda g, y, values, of, a, index: g[index], None, None)
def _add_at("""
INIT = """        rng = generator(seed)
        self.y_range = check_y_range(y_range)
        self.u_weight = embedding(n_users, n_factors, rng)
        self.i_weight = embedding(n_items, n_factors, rng)
        self.u_bias, self.i_bias = embedding(n_users, 1, rng), embedding(n_items, 1, rng)
"""
FORWARD = """        dot = (self.u_weight(users) * self.i_weight(items)).sum(1)
        res: Tensor = dot + self.u_bias(users).squeeze(-1) + self.i_bias(items).squeeze(-1)
        return res if self.y_range is None else sigmoid_range(res, *self.y_range)
"""
RECOMMEND = """        if n < 0:
            raise ValueError(f"recommend() returns at most n items; n must be at least 0, got {n}")
        users, items = self.data.categories
        number = users.index(user)
        scores = self._scores(number)
        scores[0] = -np.inf  # the row of #na#
        for ds in filter(None, (self.data.train_ds, self.data.valid_ds, *self.data.added)):
            raters, rated = (Tensor(column).numpy() for column in ds.x)
            scores[rated[raters == number]] = -np.inf
        best = np.argsort(-scores, kind="stable")[:n]
        best = best[np.isfinite(scores[best])]
"""
FRAME = '        return pd.DataFrame({items.name: items.classes[best], "prediction": scores[best]})'

SOLUTIONS: dict[str, tuple[str, str, str]] = {
    "fancy indexing": (OPS, LOOKUP, "    return table[ids]\n"),
    "take": (OPS, LOOKUP, "    return np.take(table, ids, axis=0)\n"),
    "a loop over ids": (OPS, LOOKUP, """\
    found = np.empty((*ids.shape, *table.shape[1:]), table.dtype)
    for place in np.ndindex(ids.shape):
        found[place] = table[ids[place]]
    return found
"""),
    "add.at": (OPS, ADD, """\
    total = np.zeros_like(a)
    np.add.at(total, index, g)
    return total
"""),
    "bincount": (OPS, ADD, """\
    places = np.arange(a.size).reshape(a.shape)[index]
    total = np.bincount(places.ravel(), np.ravel(g), a.size)
    return total.reshape(a.shape).astype(a.dtype)
"""),
    "a loop over places": (OPS, ADD, """\
    places = np.arange(a.size).reshape(a.shape)[index]
    total = np.zeros(a.size, a.dtype)
    for place, value in zip(places.ravel(), np.asarray(g).ravel()):
        total[place] += value
    return total.reshape(a.shape)
"""),
    "tables in another order": (COLLAB, INIT, """\
        self.y_range = check_y_range(y_range)
        rng = generator(seed)
        self.i_bias = embedding(n_items, 1, rng)
        self.u_bias = embedding(n_users, 1, rng)
        self.i_weight = embedding(n_items, n_factors, rng)
        self.u_weight = embedding(n_users, n_factors, rng)
"""),
    "matrix product": (COLLAB, FORWARD, """\
        u, i = self.u_weight(users), self.i_weight(items)
        res: Tensor = (u.unsqueeze(1) @ i.unsqueeze(2)).reshape(-1)
        res = res + (self.u_bias(users) + self.i_bias(items)).reshape(-1)
        if self.y_range is None:
            return res
        low, high = self.y_range
        return res.sigmoid() * (high - low) + low
"""),
    "biases first": (COLLAB, FORWARD, """\
        res: Tensor = self.u_bias(users) + self.i_bias(items)
        res += (self.u_weight(users) * self.i_weight(items)).sum(-1, keepdims=True)
        res = res[:, 0]
        return sigmoid_range(res, *self.y_range) if self.y_range is not None else res
"""),
    "a set of rated items": (COLLAB, RECOMMEND + FRAME, """\
        if n < 0:
            raise ValueError("n is negative")
        users, items = self.data.categories
        number, rated = users.index(user), {0}
        for ds in (self.data.train_ds, self.data.valid_ds, *self.data.added):
            if ds:
                pairs = zip(*(Tensor(column).tolist() for column in ds.x))
                rated |= {i for u, i in pairs if u == number}
        scores = self._scores(number).tolist()
        left = [i for i in range(len(scores)) if i not in rated]
        best = sorted(left, key=lambda i: -scores[i])[:n]
        return pd.DataFrame({items.name: [items.classes[i] for i in best],
                             "prediction": [scores[i] for i in best]})
"""),
}

WRONG: dict[str, tuple[str, str, str]] = {
    "lookup returns None": (OPS, LOOKUP, "    return None\n"),
    "always the first rows": (OPS, LOOKUP, "    return table[:len(ids)]\n"),
    "columns": (OPS, LOOKUP, "    return table[:, ids]\n"),
    "flat ids": (OPS, LOOKUP, "    return table[ids.ravel()]\n"),
    "one-hot product": (OPS, LOOKUP,
                        "    return (ids[..., None] == np.arange(len(table))).astype(table.dtype)"
                        " @ table\n"),
    "view of the table": (OPS, LOOKUP, """\
    if ids.ndim == 1 and (ids == np.arange(len(ids))).all():
        return table[:len(ids)]
    return table[ids]
"""),
    "changes the ids": (OPS, LOOKUP, """\
    found = table[ids]
    ids[...] = 0
    return found
"""),
    "add returns None": (OPS, ADD, "    return None\n"),
    "add returns g": (OPS, ADD, "    return g\n"),
    "into the table": (OPS, ADD, """\
    np.add.at(a, index, g)
    return a
"""),
    "buffered +=": (OPS, ADD, """\
    total = np.zeros_like(a)
    total[index] += g
    return total
"""),
    "type of g": (OPS, ADD, """\
    total = np.zeros(a.shape, g.dtype)
    np.add.at(total, index, g)
    return total
"""),
    "rows only": (OPS, ADD, """\
    total = np.zeros_like(a)
    for row, value in zip(np.ravel(index), g.reshape(-1, a.shape[1])):
        total[row] += value
    return total
"""),
    "one-hot gradient": (OPS, ADD, """\
    if not isinstance(index, np.ndarray) or index.dtype == bool:
        total = np.zeros_like(a)
        np.add.at(total, index, g)
        return total
    one_hot = (index.reshape(-1, 1) == np.arange(len(a))).astype(a.dtype)
    return (one_hot.T @ g.reshape(-1, a.shape[1])).astype(a.dtype)
"""),
    "g sorted in place": (OPS, ADD, """\
    total = np.zeros_like(a)
    np.add.at(total, index, g)
    g *= 0
    return total
"""),
    "rule of the rule is g": (OPS, RULE, RULE.replace("g[index]", "g")),
    "rule of the rule doubled": (OPS, RULE, RULE.replace("g[index]", "2 * g[index]")),
    "init does nothing": (COLLAB, INIT, "        return None\n"),
    "no biases": (COLLAB, INIT, """\
        rng = generator(seed)
        self.y_range = check_y_range(y_range)
        self.u_weight = embedding(n_users, n_factors, rng)
        self.i_weight = embedding(n_items, n_factors, rng)
"""),
    "users and items swapped": (COLLAB, INIT, INIT.replace("n_users", "n_").replace(
        "n_items", "n_users").replace("n_(", "n_items(").replace("(n_,", "(n_items,")),
    "one table for both": (COLLAB, INIT, INIT.replace(
        "self.i_weight = embedding(n_items, n_factors, rng)", "self.i_weight = self.u_weight")),
    "the same numbers in all tables": (COLLAB, INIT, INIT.replace("rng)", "seed)")),
    "biases of many numbers": (COLLAB, INIT, INIT.replace(", 1, rng)", ", n_factors, rng)")),
    "range is not checked": (COLLAB, INIT, INIT.replace("check_y_range(y_range)", "y_range")),
    "torch's weights": (COLLAB, INIT, INIT.replace("embedding(n_", "Embedding(n_")),
    "forward returns None": (COLLAB, FORWARD, "        return None\n"),
    "sum over the batch": (COLLAB, FORWARD, FORWARD.replace(".sum(1)", ".sum(0)")),
    "sum over all": (COLLAB, FORWARD, FORWARD.replace(".sum(1)", ".sum()")),
    "biases not squeezed": (COLLAB, FORWARD, FORWARD.replace(".squeeze(-1)", "")),
    "sigmoid before the biases": (COLLAB, FORWARD, """\
        res = (self.u_weight(users) * self.i_weight(items)).sum(1)
        if self.y_range is not None:
            res = sigmoid_range(res, *self.y_range)
        return res + self.u_bias(users).squeeze(-1) + self.i_bias(items).squeeze(-1)
"""),
    "sigmoid from 0": (COLLAB, FORWARD, FORWARD.replace("*self.y_range)", "0, self.y_range[1])")),
    "clipped": (COLLAB, FORWARD, FORWARD.replace("sigmoid_range(res, *self.y_range)",
                                                 "res.clip(*self.y_range)")),
    "sigmoid without a range": (COLLAB, FORWARD, FORWARD.replace(
        "res if self.y_range is None else sigmoid_range(res, *self.y_range)",
        "sigmoid_range(res, *(self.y_range or (0., 5.5)))")),
    "factors without gradient": (COLLAB, FORWARD, FORWARD.replace(
        "self.i_weight(items)).sum", "Tensor(self.i_weight(items).data)).sum")),
    "shape (bs, 1)": (COLLAB, FORWARD, FORWARD.replace(
        "        return res if", "        res = res.unsqueeze(1)\n        return res if")),
    "users' biases twice": (COLLAB, FORWARD, FORWARD.replace(
        "self.i_bias(items)", "self.u_bias(users)")),
    "recommend returns None": (COLLAB, RECOMMEND, "        return None\n"),
    "worst first": (COLLAB, RECOMMEND, RECOMMEND.replace("argsort(-scores", "argsort(scores")),
    "rated items too": (COLLAB, RECOMMEND, RECOMMEND.replace(
        "scores[rated[raters == number]] = -np.inf", "pass")),
    "items that anyone has rated": (COLLAB, RECOMMEND, RECOMMEND.replace(
        "rated[raters == number]", "rated")),
    "added ratings forgotten": (COLLAB, RECOMMEND, RECOMMEND.replace(", *self.data.added", "")),
    "training rows forgotten": (COLLAB, RECOMMEND, RECOMMEND.replace("self.data.train_ds, ", "")),
    "rated items at the end": (COLLAB, RECOMMEND, RECOMMEND.replace(
        "        best = best[np.isfinite(scores[best])]\n", "")),
    "negative n as a slice": (COLLAB, RECOMMEND, "\n".join(
        ["        pass", *RECOMMEND.split("\n")[2:]])),
    "unknown users get a list": (COLLAB, RECOMMEND, RECOMMEND.replace(
        "users.index(user)", "users.numbers.get(user, 0)")),
    "numbers for labels": (COLLAB, FRAME, FRAME.replace("items.classes[best]", "best")),
    "labels off by one": (COLLAB, FRAME, FRAME.replace("classes[best]", "classes[best - 1]")),
    "other columns": (COLLAB, FRAME, FRAME.replace('"prediction"', '"score"')),
    "one item fewer": (COLLAB, RECOMMEND, RECOMMEND.replace("[:n]", "[:max(n - 1, 0)]")),
    "leaves evaluation mode on": (COLLAB, FRAME, "        self.model.eval()\n" + FRAME),
    "marks ratings in place": (COLLAB, RECOMMEND, RECOMMEND.replace(
        "scores[rated[raters == number]] = -np.inf",
        "scores[rated[raters == number]] = -np.inf\n            rated[raters == number] = 0")),
}
