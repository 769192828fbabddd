"""Unit 4: other right answers, and wrong ones. Name: (module, the library's text, theirs)."""
MODULE, LAYERS, INIT = "minifast.nn.module", "minifast.nn.layers", "minifast.nn.init"

CHILDREN = "        return ((k, v) for k, v in vars(self).items() if isinstance(v, Module))\n"
MODULES = """        yield prefix, self
        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)
"""
NAMED = """        for prefix, module in self.named_modules():
            for name, value in vars(module).items():
                if isinstance(value, kinds):
                    yield f"{prefix}.{name}" if prefix else name, value
                elif isinstance(value, (list, tuple, dict)):
                    self._warn_of_hidden(f"{type(module).__name__}.{name}", value)
"""
PARAMETERS = "        return list({id(p): p for _, p in self.named_parameters()}.values())\n"
FANS = """    if t.ndim < 2:
        raise ValueError(f"a weight of shape {t.shape} has no fan-in; it needs two axes or more")
    kernel = int(np.prod(t.shape[2:]))
    return t.shape[1] * kernel, t.shape[0] * kernel
"""
KAIMING = """    bound = sqrt(6 / ((1 + a * a) * fans(t)[0]))
    return uniform_(t, -bound, bound, seed)


def kaiming_normal_("""
START = """        rng, bound = generator(seed), 1 / sqrt(max(n_in, 1))
        self.weight = kaiming_uniform_(Parameter(np.empty((n_out, n_in), np.float32)), sqrt(5), rng)
        self.bias = None if not bias else uniform_(
            Parameter(np.empty(n_out, np.float32), no_wd=True), -bound, bound, rng)
"""
FORWARD = """        if self.bias is None:
            return x @ self.weight.T
        return apply(ops.linear, x, self.weight, self.bias)
"""


def _kaiming(text: str) -> str:
    return text + "\n\ndef kaiming_normal_("


SOLUTIONS = {
    "children in a loop": (MODULE, CHILDREN, """        for name in self.__dict__:
            if isinstance(getattr(self, name), Module):
                yield name, getattr(self, name)
"""),
    "modules from a stack": (MODULE, MODULES, """        stack = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            yield path, module
            stack += [((path + "." if path else "") + name, child)
                      for name, child in reversed(list(module.named_children()))]
"""),
    "modules without prefixes below": (MODULE, MODULES, """        yield prefix, self
        for name, child in self.named_children():
            for path, module in child.named_modules():
                yield ".".join(part for part in (prefix, name, path) if part), module
"""),
    "own recursion for tensors": (MODULE, NAMED, """        def walk(module, prefix):
            for name, value in module.__dict__.items():
                if isinstance(value, kinds):
                    yield prefix + name, value
                if isinstance(value, (list, tuple, dict)):
                    self._warn_of_hidden(type(module).__name__ + "." + name, value)
            for name, child in module.named_children():
                yield from walk(child, prefix + name + ".")
        yield from walk(self, "")
"""),
    "parameters in a loop": (MODULE, PARAMETERS, """        found, seen = [], set()
        for _, p in self.named_parameters():
            if id(p) not in seen:
                seen.add(id(p))
                found.append(p)
        return found
"""),
    "fans by the size": (INIT, FANS, """    if len(t.shape) < 2:
        raise ValueError("no fan-in")
    n_out, n_in, *kernel = t.shape
    for n in kernel:
        n_in, n_out = n_in * n, n_out * n
    return n_in, n_out
"""),
    "kaiming from random": (INIT, KAIMING, _kaiming("""    fan_in, _ = fans(t)
    std = sqrt(2 / (1 + a ** 2)) / sqrt(fan_in)
    bound = sqrt(3) * std
    return fill_(t, (2 * generator(seed).random(t.shape) - 1) * bound)
""")),
    "linear from uniform": (LAYERS, START, """        rng = generator(seed)
        bound = n_in ** -.5
        self.weight = Parameter(rng.uniform(-bound, bound, (n_out, n_in)).astype(np.float32))
        self.bias = None
        if bias:
            self.bias = Parameter(rng.uniform(-bound, bound, n_out).astype(np.float32), no_wd=True)
"""),
    "linear from matmul": (LAYERS, FORWARD, """        y = x @ self.weight.t()
        return y if self.bias is None else y + self.bias
"""),
}

WRONG = {
    "children: None": (MODULE, CHILDREN, "        return None\n"),
    "children: a list": (MODULE, CHILDREN, "        return [(k, v) for k, v in vars(self).items() "
                         "if isinstance(v, Module)]\n"),
    "children: of the class": (MODULE, CHILDREN, "        return ((k, v) for k, v in "
                               "vars(type(self)).items() if isinstance(v, Module))\n"),
    "children: each once": (MODULE, CHILDREN, "        return iter({id(v): (k, v) for k, v in "
                            "vars(self).items() if type(v) is Module}.values())\n"),
    "modules: without itself": (MODULE, MODULES, """
        for name, child in self.named_children():
            yield f"{prefix}.{name}" if prefix else name, child
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)
"""),
    "modules: itself last": (MODULE, MODULES, """        for name, child in self.named_children():
            yield from child.named_modules(f"{prefix}.{name}" if prefix else name)
        yield prefix, self
"""),
    "modules: breadth first": (MODULE, MODULES, """        queue = [(prefix, self)]
        while queue:
            path, module = queue.pop(0)
            yield path, module
            queue += [(f"{path}.{name}" if path else name, child)
                      for name, child in module.named_children()]
"""),
    "modules: from the right": (MODULE, MODULES, """        stack = [(prefix, self)]
        while stack:
            path, module = stack.pop()
            yield path, module
            stack += [(f"{path}.{name}" if path else name, child)
                      for name, child in module.named_children()]
"""),
    "modules: leading dot": (MODULE, MODULES, MODULES.replace(' if prefix else name', '')),
    "modules: each once": (MODULE, MODULES, """        seen = set()

        def walk(path, module):
            if id(module) not in seen:
                seen.add(id(module))
                yield path, module
                for name, child in module.named_children():
                    yield from walk(f"{path}.{name}" if path else name, child)
        yield from walk(prefix, self)
"""),
    "modules: a list": (MODULE, MODULES, """        found = [(prefix, self)]
        for name, child in self.named_children():
            found += child.named_modules(f"{prefix}.{name}" if prefix else name)
        return found
"""),
    "named: own only": (MODULE, NAMED, """        for name, value in vars(self).items():
            if isinstance(value, kinds):
                yield name, value
"""),
    "named: no warning": (MODULE, NAMED, NAMED[:NAMED.index("                elif")]),
    "named: inside of lists": (MODULE, NAMED, NAMED + """
                    for i, x in enumerate(value):
                        if isinstance(x, kinds):
                            yield f"{prefix}.{name}.{i}", x
"""),
    "named: exact class": (MODULE, NAMED, NAMED.replace("isinstance(value, kinds)",
                                                        "type(value) is Parameter")),
    "named: without paths": (MODULE, NAMED, NAMED.replace('f"{prefix}.{name}" if prefix else name',
                                                          "name")),
    "parameters: equal numbers": (MODULE, PARAMETERS, """        found = []
        for _, p in self.named_parameters():
            if not any(p.shape == q.shape and bool((p.data == q.data).all()) for q in found):
                found.append(p)
        return found
"""),
    "parameters: a generator": (MODULE, PARAMETERS, "        return (p for _, p in "
                                "self.named_parameters())\n"),
    "parameters: a set": (MODULE, PARAMETERS, "        return list({p for _, p in list("
                          "self.named_parameters())[::-1]})\n"),
    "parameters: last name": (MODULE, PARAMETERS, "        return list({id(p): p for _, p in list("
                              "self.named_parameters())[::-1]}.values())[::-1]\n"),
    "parameters: by name": (MODULE, PARAMETERS, "        return list({n: p for n, p in "
                            "self.named_parameters()}.values())\n"),
    "fans: None": (INIT, FANS, "    return None\n"),
    "fans: the other way round": (INIT, FANS, FANS.replace("shape[1] * kernel, t.shape[0]",
                                                           "shape[0] * kernel, t.shape[1]")),
    "fans: no error": (INIT, FANS, FANS[FANS.index("    kernel"):].replace("t.shape[1] * kernel",
                                                                           "t.shape[-1] * kernel")),
    "fans: kernel of inputs alone": (INIT, FANS, FANS.replace("t.shape[0] * kernel", "t.shape[0]")),
    "fans: whole size": (INIT, FANS, FANS.replace("t.shape[2:]", "t.shape")),
    "kaiming: None": (INIT, KAIMING, _kaiming("    fill_(t, generator(seed).uniform(-1, 1, "
                                              "t.shape) * sqrt(6 / ((1 + a * a) * fans(t)[0]))"
                                              ")\n")),
    "kaiming: a new tensor": (INIT, KAIMING, _kaiming(
        "    bound = sqrt(6 / ((1 + a * a) * fans(t)[0]))\n"
        "    return uniform_(Tensor(t.data.copy(), t.requires_grad), -bound, bound, seed)\n")),
    "kaiming: a new array": (INIT, KAIMING, _kaiming(
        "    bound = sqrt(6 / ((1 + a * a) * fans(t)[0]))\n"
        "    t.data = generator(seed).uniform(-bound, bound, t.shape)\n    return t\n")),
    "kaiming: normal": (INIT, KAIMING, _kaiming(
        "    return normal_(t, 0, sqrt(2 / ((1 + a * a) * fans(t)[0])), seed)\n")),
    "kaiming: slope not squared": (INIT, KAIMING, KAIMING.replace("a * a", "a")),
    "kaiming: seed unused": (INIT, KAIMING, KAIMING.replace("bound, seed)", "bound)")),
    "kaiming: positive": (INIT, KAIMING, KAIMING.replace("-bound, bound", "0, bound")),
    "kaiming: numbers of one seed": (INIT, KAIMING, KAIMING.replace("bound, seed)", "bound, 7)")),
    "linear: pass": (LAYERS, START, "        pass\n"),
    "linear: zeros": (LAYERS, START, START.replace("-bound, bound, rng)", "0, 0, rng)")),
    "linear: bias first": (LAYERS, START, """
        rng, bound = generator(seed), 1 / sqrt(max(n_in, 1))
        self.bias = None if not bias else uniform_(
            Parameter(np.empty(n_out, np.float32), no_wd=True), -bound, bound, rng)
        self.weight = kaiming_uniform_(Parameter(np.empty((n_out, n_in), np.float32)), sqrt(5), rng)
"""),
    "linear: weight transposed": (LAYERS, START, START.replace("(n_out, n_in)", "(n_in, n_out)")),
    "linear: weights of float64": (LAYERS, START, START.replace("float32", "float64")),
    "linear: plain tensors": (LAYERS, START, START.replace(
        "Parameter(np.empty((n_out, n_in), np.float32))",
        "Tensor(np.empty((n_out, n_in), np.float32), True)")),
    "linear: bias of zeros for none": (LAYERS, START, START.replace(
        "None if not bias else uniform_(", "uniform_(")),
    "linear: slope 5": (LAYERS, START, START.replace("sqrt(5), rng", "5, rng")),
    "linear: bound of outputs": (LAYERS, START, START.replace("max(n_in, 1)", "max(n_out, 1)")),
    "forward: None": (LAYERS, FORWARD, "        return None\n"),
    "forward: arrays": (LAYERS, FORWARD, "        return Tensor(x.data @ self.weight.data.T + "
                        "(0 if self.bias is None else self.bias.data))\n"),
    "forward: no bias": (LAYERS, FORWARD, "        return x @ self.weight.T\n"),
    "forward: bias needed": (LAYERS, FORWARD, "        return x @ self.weight.T + self.bias\n"),
    "forward: in place": (LAYERS, FORWARD, """        y = x @ self.weight.T
        x.data *= 2
        return y if self.bias is None else y + self.bias
"""),
    "forward: weight cut off": (LAYERS, FORWARD, "        return x @ self.weight.detach().T + "
                                "(0 if self.bias is None else self.bias)\n"),
    "forward: batches alone": (LAYERS, FORWARD, """
        y = x.reshape(-1, x.shape[-1]) @ self.weight.T
        return y if self.bias is None else y + self.bias
"""),
    "forward: scaled": (LAYERS, FORWARD, """        y = x @ self.weight.T / x.shape[-1] ** .5
        return y if self.bias is None else y + self.bias
"""),
}
