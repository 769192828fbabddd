"""Right and wrong answers to unit 2: the module, the library's text, the text in its place."""
TAPE = "minifast.autograd.tape"

BODY = """\
    gradients: dict[Any, Any] = {root.node or root: g}
    heap = [(-root.node.position, root.node)] if root.node else []
    if root.node is None and wanted is None:
        root.accumulate(g)
    while heap:
        node = heappop(heap)[1]
        g = gradients[node] if wanted and node in wanted else gradients.pop(node)
        for x, dx in node.gradients(g, create_graph):
            made_by = x.node
            if made_by is None and wanted is None:
                x.accumulate(dx.clone() if create_graph else _own(dx, g, node.output, *node.arrays))
            elif (key := made_by or x) in gradients:
                gradients[key] = gradients[key] + dx  # not in place: dx may be shared
            else:
                gradients[key] = dx
                if made_by is not None:
                    heappush(heap, (-made_by.position, made_by))
        if not retain_graph:
            node.inputs, node.arrays, node.output = None, [], None
    return gradients
"""
VISIT = """\
        g = gradients[node] if wanted and node in wanted else gradients.pop(node)
        for x, dx in node.gradients(g, create_graph):
            key = x.node or x
            if x.node is None and wanted is None:
                x.accumulate(dx.clone() if create_graph else dx.copy())
            elif key in gradients:
                gradients[key] = gradients[key] + dx
            else:
                gradients[key] = dx
        if not retain_graph:
            node.inputs, node.arrays, node.output = None, [], None
    return gradients
"""
START = """\
    gradients = {root.node or root: g}
    if root.node is None:
        if wanted is None:
            root.accumulate(g)
        return gradients
"""
RECURSION = """\
    def visit(node):
        seen.add(node)
        for x in node.inputs or ():
            if getattr(x, "node", None) is not None and x.node not in seen:
                visit(x.node)
        order.append(node)

    seen, order = set(), []
    visit(root.node)
    for node in reversed(order):
        if node not in gradients:
            continue
"""


def edited(*pairs: tuple[str, str]) -> tuple[str, str, str]:
    """The library's function with texts replaced."""
    text = BODY
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    return TAPE, BODY, text


def queue(take: str) -> tuple[str, str, str]:
    """A walk that takes the next node from a list in another way."""
    return edited(("heappop(heap)[1]", f"heap.pop({take})[1]"),
                  ("heappush(heap, ", "heap.append("))


SOLUTIONS: dict[str, tuple[str, str, str]] = {
    "all nodes collected, sorted by position": (TAPE, BODY, START + """\
    todo, found = [root.node], {root.node}
    while todo:
        for x in todo.pop().inputs or ():
            if getattr(x, "requires_grad", False) and x.node and x.node not in found:
                found.add(x.node)
                todo.append(x.node)
    for node in sorted(found, key=lambda n: n.position, reverse=True):
        if node not in gradients:
            continue
""" + VISIT),
    "topological sort with a stack": (TAPE, BODY, START + """\
    order, seen, stack = [], set(), [(root.node, False)]
    while stack:
        node, done = stack.pop()
        if done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(x.node, False) for x in node.inputs or ()
                      if getattr(x, "node", None) is not None]
    for node in reversed(order):
        if node not in gradients:
            continue
""" + VISIT),
    "users counted": (TAPE, BODY, START + """\
    users, todo = {root.node: 0}, [root.node]
    while todo:
        for x in todo.pop().inputs or ():
            below = getattr(x, "node", None)
            if below is not None and x.requires_grad:
                if below not in users:
                    users[below] = 0
                    todo.append(below)
                users[below] += 1
    free = [root.node]
    while free:
        node = free.pop()
        for x in node.inputs or ():
            below = getattr(x, "node", None)
            if below is not None and x.requires_grad:
                users[below] -= 1
                if not users[below]:
                    free.append(below)
        if node not in gradients:
            continue
""" + VISIT),
    "the waiting node with the highest number": (TAPE, BODY, START + """\
    waiting = {root.node}
    while waiting:
        node = max(waiting, key=lambda n: n.position)
        waiting.remove(node)
        waiting |= {x.node for x in node.inputs or ()
                    if getattr(x, "requires_grad", False) and x.node}
        if node not in gradients:
            continue
""" + VISIT),
    "leaves accumulate at the end": edited(
        ("if made_by is None and wanted is None:\n                x.accumulate(dx.clone() if "
         "create_graph else _own(dx, g, node.output, *node.arrays))\n            elif", "if"),
        ("    if root.node is None and wanted is None:\n        root.accumulate(g)\n", ""),
        ("    return gradients", "    for x in [] if wanted is not None else list(gradients):\n"
         "        if not isinstance(x, Node):\n            d = gradients.pop(x)\n"
         "            x.accumulate(d.clone() if create_graph else d.copy())\n"
         "    return gradients")),
}

WRONG: dict[str, tuple[str, str, str]] = {
    "returns None": (TAPE, BODY, "    return None\n"),
    "returns nothing that is wanted": edited(("return gradients", "return {}")),
    "last in, first out": queue("-1"),
    "first in, first out": queue("0"),
    "lowest number first": edited(("(-made_by", "(made_by")),
    "each node once, as soon as it is reached": edited(
        ("    while heap:", "    done = set()\n    while heap:"),
        ("heappop(heap)[1]\n", "heap.pop()[1]\n        if node in done:\n            continue\n"
         "        done.add(node)\n"), ("heappush(heap, ", "heap.append(")),
    "every path, by recursion": (TAPE, BODY, START + """\
    def visit(node, g):
        if wanted and node in wanted:
            gradients[node] = gradients[node] + g if node in gradients else g
        for x, dx in node.gradients(g, create_graph):
            if x.node is not None:
                visit(x.node, dx)
            elif wanted is None:
                x.accumulate(dx.clone() if create_graph else dx.copy())
            else:
                gradients[x] = gradients[x] + dx if x in gradients else dx
    gradients.clear()
    visit(root.node, g)
    return gradients
"""),
    "topological sort by recursion": (TAPE, BODY, START + RECURSION + VISIT),
    "recursion without a limit": (
        TAPE, BODY, START + "    sys.setrecursionlimit(10**6)\n" + RECURSION + VISIT),
    "the last gradient counts": edited(("= gradients[key] + dx", "= dx")),
    "the first gradient counts": edited(("= gradients[key] + dx", "= gradients[key]")),
    "mean of the gradients": edited(("= gradients[key] + dx", "= (gradients[key] + dx) * .5")),
    "added in place": edited(("gradients[key] = gradients[key] + dx", "gradients[key] += dx")),
    "pushed at each arrival": edited(
        ("gradients[key] + dx  # not in place: dx may be shared", "gradients[key] + dx\n"
         "                if made_by is not None:\n"
         "                    heappush(heap, (-made_by.position, made_by))")),
    "starts with ones": edited(("{root.node or root: g}", "{root.node or root: g * 0 + 1}")),
    "gradients of leaves are shared": edited(
        ("dx.clone() if create_graph else _own(dx, g, node.output, *node.arrays)", "dx")),
    "only views are copied": edited((", g, node.output, *node.arrays)", ")")),
    "grad replaced": edited(("x.accumulate(dx", "x.grad = np_copy(dx"),
                            ("    gradients: dict", "    np_copy = lambda d: d * 1\n    "
                             "gradients: dict")),
    "never released": edited(("if not retain_graph", "if False")),
    "always released": edited(("if not retain_graph", "if True")),
    "released after the walk": edited(
        ("    while heap:", "    done = []\n    while heap:"),
        ("        if not retain_graph:\n            node.inputs", "        done.append(node)\n"
         "    for node in [] if retain_graph else done:\n        if True:\n"
         "            node.inputs")),
    "half released": edited(("node.inputs, node.arrays, node.output = None, [], None",
                             "node.inputs = None")),
    "wanted ignored": edited(("wanted and node in wanted", "False")),
    "leaves accumulate always": edited(("made_by is None and wanted is None", "made_by is None")),
    "wanted nodes are where it ends": edited(
        ("if made_by is not None:\n", "if made_by is not None and not (wanted and made_by in "
         "wanted):\n")),
    "all gradients kept": edited(("gradients[node] if wanted and node in wanted else "
                                  "gradients.pop(node)", "gradients[node]")),
    "create_graph forgotten": edited(("gradients(g, create_graph)", "gradients(g)")),
    "tensors copied": edited((
        "dx.clone() if create_graph else _own(dx, g, node.output, *node.arrays)", "dx.copy()")),
    "a root always has a node": edited(("root.node or root", "root.node"), (
        "    if root.node is None and wanted is None:\n        root.accumulate(g)\n", "")),
    "a root that is a leaf accumulates twice": edited(
        ("        root.accumulate(g)\n", "        root.accumulate(g)\n"
         "        root.accumulate(g)\n")),
    "errors are swallowed": edited(
        ("for x, dx in node.gradients(g, create_graph):", "try:\n            pairs = list("
         "node.gradients(g, create_graph))\n        except Exception:\n            pairs = []\n"
         "        for x, dx in pairs:")),
    "the rule of the first input only": edited(
        ("node.gradients(g, create_graph):", "list(node.gradients(g, create_graph))[:1]:")),
    "ends Python": (TAPE, BODY, "    raise SystemExit(0)\n"),
}
