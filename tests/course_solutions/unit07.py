"""Unit 7 written in other ways: right ones and wrong ones."""
SCHEDULE, CALLBACK = "minifast.optim.schedule", "minifast.train.callback"
LOOP = "minifast.train.loop"
COSINE = "    return end + (start - end) / 2 * (cos(pi * pct) + 1)"
PHASE = "        return self.annealer(self.start, self.end, step / self.length)"
TURN = '''    def value(step: int) -> float:
        for phase in phases:
            if step <= phase.length:
                return phase(step)
            step -= phase.length
        return phases[-1](phases[-1].length)
    return value'''
CHECK = '''    if not (div_factor > 0 and last_div > 0 and 0 <= pct_start <= 1):
        raise ValueError(f"div_factor and final_div are above 0 and pct_start is in [0, 1], got "
                         f"{div_factor}, {last_div} and {pct_start}")
'''
CURVES = '''    rates = [Phase(up, lr_max / div_factor, lr_max, annealing_cos),
             Phase(down, lr_max, lr_max / last_div, annealing_cos)]
    momenta = [Phase(up, *moms, annealing_cos), Phase(down, *moms[::-1], annealing_cos)]
    return in_turn(rates), in_turn(momenta)'''
CALL = '''        for handler, names in self._handlers[event, measure]:
            changes = handler(**state) if names is None else \\
                handler(**{name: state[name] for name in names if name in state})
            if changes is not None:
                keys = changes if isinstance(changes, dict) else [str(changes)]
                if unknown := [repr(key) for key in keys if key not in state]:
                    raise ValueError(f"{handler.__qualname__} returned {', '.join(unknown)}, not a "
                                     f"dict of the state; its keys now are {', '.join(state)}")
                state.update(changes)'''
BATCH = '''    state = on.state
    on("batch_begin", last_input=xb, last_target=yb, train=True, **FLAGS)
    on("loss_begin", last_output=forward(model, state["last_input"]))
    loss = call_loss(loss_func, state["last_output"], state["last_target"])
    on("backward_begin", last_loss=loss, smooth_loss=on.smoothener.add(loss.data))
    if not state["skip_bwd"]:
        state["last_loss"].backward()
    on("backward_end")
    if not state["skip_step"]:
        opt.step()
    on("step_end")
    if not state["skip_zero"]:
        opt.zero_grad()
    on("batch_end", last_loss=state["last_loss"].detach())
    state["iteration"] += 1
    state["num_batch"] += 1'''
DETACH = '    on("batch_end", last_loss=state["last_loss"].detach())'
BEGIN = '    on("batch_begin", last_input=xb, last_target=yb, train=True, **FLAGS)'

SOLUTIONS: dict[str, tuple[str, str, str]] = {
    "cosine: shares": (SCHEDULE, COSINE, '''    left = (1 + cos(pi * pct)) / 2
    return start * left + end * (1 - left)'''),
    "cosine: half the angle": (SCHEDULE, COSINE,
                               "    return start + (end - start) * (1 - cos(pi * pct)) / 2"),
    "phase: step by step": (SCHEDULE, PHASE, '''        done = step / self.length
        return float(self.annealer(self.start, self.end, done))'''),
    "turns: ends": (SCHEDULE, TURN, '''    def value(step: int) -> float:
        begin = 0
        for phase in phases:
            if step - begin <= phase.length:
                return phase(step - begin)
            begin += phase.length
        return phase(phase.length)
    return value'''),
    "turns: recursion": (SCHEDULE, TURN, '''    first, *rest = phases
    if not rest:
        return lambda step: first(min(step, first.length))
    later = in_turn(rest)
    return lambda step: first(step) if step <= first.length else later(step - first.length)'''),
    "cycle: a function": (SCHEDULE, CURVES, '''\
    def both(a: float, b: float, c: float) -> Callable[[int], float]:
        return in_turn([Phase(up, a, b, annealing_cos), Phase(down, b, c, annealing_cos)])
    return (both(lr_max / div_factor, lr_max, lr_max / last_div),
            both(moms[0], moms[1], moms[0]))'''),
    "call: a loop over the keys": (CALLBACK, CALL, '''\
        for handler, names in self._handlers[event, measure]:
            given = state if names is None else {k: v for k, v in state.items() if k in names}
            changes = handler(**given) or {}
            if not changes.keys() <= state.keys():
                raise ValueError(f"unknown keys in {list(changes)}")
            self.state.update(changes)'''),
    "call: one by one": (CALLBACK, CALL, '''\
        for handler, names in self._handlers[event, measure]:
            arguments = {}
            for key in state:
                if names is None or key in names:
                    arguments[key] = state[key]
            changes = handler(**arguments)
            if changes is None:
                continue
            for key in changes:
                if key not in state:
                    raise ValueError(key)
            for key, new in changes.items():
                state[key] = new'''),
    "batch: entries first": (LOOP, BATCH, '''    state = on.state
    state.update(FLAGS)
    state.update(last_input=xb, last_target=yb, train=True)
    on("batch_begin")
    state["last_output"] = forward(model, state["last_input"])
    on("loss_begin")
    state["last_loss"] = call_loss(loss_func, state["last_output"], state["last_target"])
    state["smooth_loss"] = on.smoothener.add(state["last_loss"].data)
    on("backward_begin")
    if not state["skip_bwd"]:
        state["last_loss"].backward()
    on("backward_end")
    if not state["skip_step"]:
        opt.step()
    on("step_end")
    if not state["skip_zero"]:
        opt.zero_grad()
    state["last_loss"] = state["last_loss"].detach()
    on("batch_end")
    state.update(iteration=state["iteration"] + 1, num_batch=state["num_batch"] + 1)'''),
    "batch: a condition in one line": (
        LOOP, '    if not state["skip_step"]:\n        opt.step()',
        '    None if state["skip_step"] else opt.step()'),
}

WRONG: dict[str, tuple[str, str, str]] = {
    "cosine: return None": (SCHEDULE, COSINE, "    return None"),
    "cosine: backwards": (SCHEDULE, COSINE,
                          "    return start + (end - start) / 2 * (cos(pi * pct) + 1)"),
    "cosine: a quarter": (SCHEDULE, COSINE, "    return end + (start - end) * cos(pi / 2 * pct)"),
    "cosine: a line": (SCHEDULE, COSINE, "    return start + pct * (end - start)"),
    "phase: return None": (SCHEDULE, PHASE, "        return None"),
    "phase: the step": (SCHEDULE, PHASE,
                        "        return self.annealer(self.start, self.end, step)"),
    "phase: the last step is the end": (SCHEDULE, PHASE, '''        last = max(self.length - 1, 1)
        return self.annealer(self.start, self.end, step / last)'''),
    "phase: always a line": (SCHEDULE, PHASE, '''        pct = step / self.length
        return self.start + pct * (self.end - self.start)'''),
    "phase: whole numbers": (
        SCHEDULE, PHASE, "        return self.annealer(self.start, self.end, step // self.length)"),
    "phase: changes itself": (SCHEDULE, PHASE, '''\
        value = self.annealer(self.start, self.end, step / self.length)
        self.start = value
        return value'''),
    "turns: return None": (SCHEDULE, TURN, "    return None"),
    "turns: the boundary is the next one's": (SCHEDULE, "if step <= phase.length:",
                                              "if step < phase.length:"),
    "turns: nothing after the end": (SCHEDULE, TURN, '''    def value(step: int) -> float:
        for phase in phases:
            if step <= phase.length or phase is phases[-1]:
                return phase(step)
            step -= phase.length
        return 0.
    return value'''),
    "turns: an iterator": (SCHEDULE, TURN, '''\
    values = iter([phase(i) for phase in phases for i in range(phase.length)])
    return lambda step: next(values, phases[-1].end)'''),
    "turns: the list is used up": (SCHEDULE, TURN, '''    left, begin = list(phases), [0]

    def value(step: int) -> float:
        while len(left) > 1 and step - begin[0] > left[0].length:
            begin[0] += left.pop(0).length
        return left[0](min(step - begin[0], left[0].length))
    return value'''),
    "cycle: return None": (SCHEDULE, CURVES, "    return None"),
    "cycle: the rate alone": (SCHEDULE, "return in_turn(rates), in_turn(momenta)",
                              "return in_turn(rates), lambda step: moms[1]"),
    "cycle: no check": (SCHEDULE, CHECK, ""),
    "cycle: a KeyError": (SCHEDULE,
                          'raise ValueError(f"div_factor and', 'raise KeyError(f"div_factor and'),
    "cycle: lines": (SCHEDULE, CURVES, CURVES.replace("annealing_cos", "annealing_linear")),
    "cycle: falls to nothing": (SCHEDULE, "lr_max / last_div, annealing_cos", "0., annealing_cos"),
    "cycle: falls to the beginning": (SCHEDULE, "div_factor * 1e4 if", "div_factor if"),
    "cycle: rounded up": (SCHEDULE, "up = int(n_steps * pct_start)",
                          "up = -int(-n_steps * pct_start // 1)"),
    "cycle: fixed momenta": (SCHEDULE, "Phase(up, *moms, annealing_cos), Phase(down, *moms[::-1]",
                             "Phase(up, .95, .85, annealing_cos), Phase(down, .85, .95"),
    "call: return None": (CALLBACK, CALL, "        return None"),
    "call: everything to everyone": (CALLBACK, CALL, '''\
        for handler, names in self._handlers[event, measure]:
            state.update(handler(**state) or {})'''),
    "call: changes at the end": (CALLBACK, CALL, '''        found = {}
        for handler, names in self._handlers[event, measure]:
            given = state if names is None else {k: state[k] for k in names if k in state}
            found.update(handler(**given) or {})
        if found.keys() - state.keys():
            raise ValueError("unknown keys")
        state.update(found)'''),
    "call: new keys are taken": (CALLBACK, CALL, '''\
        for handler, names in self._handlers[event, measure]:
            given = state if names is None else {k: state[k] for k in names if k in state}
            state.update(handler(**given) or {})'''),
    "call: metrics always": (CALLBACK, "in self._handlers[event, measure]:",
                             "in self._handlers[event, True]:"),
    "call: the updates last": (CALLBACK, "        state.update(updates)\n" + CALL,
                               CALL + "\n        state.update(updates)"),
    "call: the first handler only": (CALLBACK, "in self._handlers[event, measure]:",
                                     "in self._handlers[event, measure][:1]:"),
    "call: stops at the first change": (CALLBACK, "                state.update(changes)",
                                        "                state.update(changes)\n"
                                        "                break"),
    "call: missing entries are None": (CALLBACK, "{name: state[name] for name in names if name in "
                                       "state}", "{name: state.get(name) for name in names}"),
    "call: known keys only, the rest in silence": (
        CALLBACK, CALL, '''        for handler, names in self._handlers[event, measure]:
            given = state if names is None else {k: state[k] for k in names if k in state}
            state.update({k: v for k, v in (handler(**given) or {}).items() if k in state})'''),
    "call: half of the changes": (CALLBACK, CALL, '''\
        for handler, names in self._handlers[event, measure]:
            given = state if names is None else {k: state[k] for k in names if k in state}
            for key, new in (handler(**given) or {}).items():
                if key not in state:
                    raise ValueError(key)
                state[key] = new'''),
    "batch: return None": (LOOP, BATCH, "    return None"),
    "batch: no events": (LOOP, BATCH, '''    call_loss(loss_func, forward(model, xb), yb).backward()
    opt.step()
    opt.zero_grad()'''),
    "batch: the original target": (LOOP, BATCH, BATCH.replace('state["last_target"])', "yb)")),
    "batch: its own loss": (LOOP, BATCH, BATCH.replace('state["last_loss"].backward()',
                                                       "loss.backward()")),
    "batch: zero first": (LOOP, BATCH, BATCH.replace(BEGIN, "    opt.zero_grad()\n" + BEGIN)),
    "batch: the step before backward": (
        LOOP, BATCH, BATCH.replace('    if not state["skip_bwd"]:', "    opt.step()\n"
                                   '    if not state["skip_bwd"]:').replace(
            '    if not state["skip_step"]:\n        opt.step()\n', "")),
    "batch: no event after a skip": (LOOP, BATCH, BATCH.replace(
        '        opt.step()\n    on("step_end")', '        opt.step()\n        on("step_end")')),
    "batch: the graph is kept": (LOOP, BATCH, BATCH.replace(DETACH, '    on("batch_end")')),
    "batch: not counted": (LOOP, BATCH, BATCH.replace('state["iteration"] += 1', "pass")),
    "batch: counted first": (LOOP, BATCH, BATCH.replace(
        BEGIN, '    state["num_batch"] += 1\n' + BEGIN).replace('\n    state["num_batch"] += 1\n'
                                                               '    on("batch_begin"', '\n    '
                                                               'state["num_batch"] += 1\n'
                                                               '    on("batch_begin"')),
    "batch: no flags": (LOOP, BATCH, BATCH.replace(", **FLAGS)", ', skip_bwd=False, '
                                                   'skip_step=False, skip_zero=False)')),
    "batch: metrics at each event": (LOOP, BATCH, BATCH.replace('on("batch_end", last',
                                                                'on("batch_end", True, last')),
    "batch: the loss is not smoothed": (LOOP, BATCH, BATCH.replace(
        "on.smoothener.add(loss.data)", "loss.detach()")),
    "batch: one argument": (LOOP, BATCH, BATCH.replace('forward(model, state["last_input"])',
                                                       'model(state["last_input"])')),
    "batch: twice": (LOOP, BATCH, BATCH.replace("        opt.step()", "        opt.step()\n"
                                                "        opt.step()")),
}
