"""Right and wrong answers to unit 1: the module, the library's text, the text in its place."""
OPS = "minifast.autograd.ops"

MUL = """@primitive(lambda g, y, a, b: g * b,
           lambda g, y, a, b: g * a)
def mul(a: Array, b: Array) -> Array:
    return a * b
"""
DIV = """@primitive(lambda g, y, a, b: g / b,
           lambda g, y, a, b: -g * y / b)
def div(a: Array, b: Array) -> Array:
    return a / b
"""
EXP = """@primitive(lambda g, y, a: g * y)
def exp(a: Array) -> Array:
    return np.exp(floats(a))
"""
TANH = """@primitive(lambda g, y, a: g * (1 - y * y))
def tanh(a: Array) -> Array:
    return np.tanh(floats(a))
"""
SOFTPLUS = """@primitive(lambda g, y, a: g * sigmoid(a))
def softplus(a: Array) -> Array:
    return np.maximum(a, 0) + np.log1p(np.exp(-np.abs(floats(a))))
"""

SOLUTIONS: dict[str, tuple[str, str, str]] = {
    "mul with NumPy's function, factors in the other order": (OPS, MUL, """\
def _times_left(g, y, a, b):
    return b * g


@primitive(_times_left, lambda g, y, a, b: a * g)
def mul(a: Array, b: Array) -> Array:
    return np.multiply(a, b)
"""),
    "mul with a rule of any number of inputs": (OPS, MUL, """\
@primitive(lambda g, y, a, b: g * b + 0 * y,
           lambda g, y, *inputs: inputs[0] * g)
def mul(a: Array, b: Array) -> Array:
    result = b * a
    return result
"""),
    "div without the output": (OPS, DIV, """\
@primitive(lambda g, y, a, b: g * (1 / b),
           lambda g, y, a, b: -(g * a) / (b * b))
def div(a: Array, b: Array) -> Array:
    return np.divide(a, b)
"""),
    "exp that computes its derivative anew": (OPS, EXP, """\
@primitive(lambda g, y, a: g * np.exp(a))
def exp(a: Array) -> Array:
    return np.expm1(floats(a)) + 1
"""),
    "tanh by sigmoid": (OPS, TANH, """\
@primitive(lambda g, y, a: g * (1 - y) * (1 + y))
def tanh(a: Array) -> Array:
    return 2 * sigmoid(2 * floats(a)) - 1
"""),
    "softplus by logaddexp": (OPS, SOFTPLUS, """\
@primitive(lambda g, y, a: g * np.exp(a - y))
def softplus(a: Array) -> Array:
    return np.logaddexp(0, floats(a))
"""),
    "softplus in two pieces": (OPS, SOFTPLUS, """\
@primitive(lambda g, y, a: sigmoid(a) * g)
def softplus(a: Array) -> Array:
    a = floats(a)
    return np.where(a > 0, a + np.log1p(np.exp(-a)), np.log1p(np.exp(a)))
"""),
}

WRONG: dict[str, tuple[str, str, str]] = {
    "returns None": (OPS, EXP, EXP.replace("return np.exp(floats(a))", "return None")),
    "returns a flat array": (OPS, TANH, TANH.replace("(floats(a))", "(floats(a)).ravel()")),
    "a product of matrices": (OPS, MUL, MUL.replace("return a * b", "return a @ b")),
    "writes the product into a": (OPS, MUL, MUL.replace("return a * b", "a *= b\n    return a")),
    "writes the exponential into a": (OPS, EXP, EXP.replace(
        "return np.exp(floats(a))", "a = floats(a)\n    return np.exp(a, out=a)")),
    "both rules of mul for one input": (OPS, MUL, MUL.replace("g * a)", "g * b)")),
    "rules of mul exchanged": (OPS, MUL, MUL.replace("g * b", "g * c").replace("g * a", "g * b")
                               .replace("g * c", "g * a")),
    "one rule of mul only": (OPS, MUL, MUL.replace(",\n           lambda g, y, a, b: g * a", "")),
    "rule of mul with the output": (OPS, MUL, MUL.replace("g * b,", "g * y,")),
    "derivative of a product is the product of derivatives": (
        OPS, MUL, MUL.replace("g * b,", "g,").replace("g * a)", "g)")),
    "sign of the divisor": (OPS, DIV, DIV.replace("-g * y / b", "g * y / b")),
    "divisor not squared": (OPS, DIV, DIV.replace("-g * y / b", "-g * a / b")),
    "whole division": (OPS, DIV, DIV.replace("return a / b", "return a // b")),
    "power rule for exp": (OPS, EXP, EXP.replace("g * y", "g * a * np.exp(a - 1)")),
    "exp without g": (OPS, EXP, EXP.replace("g * y", "y")),
    "exp with g added": (OPS, EXP, EXP.replace("g * y", "g + y")),
    "exp with g written over": (OPS, EXP, EXP.replace("g * y", "np.multiply(g, y, out=g)")),
    "exp by a difference": (OPS, EXP, EXP.replace(
        "g * y", "g * (np.exp(a + 1e-6) - np.exp(a - 1e-6)) / 2e-6")),
    "exp of one number": (OPS, EXP, EXP.replace(
        "np.exp(floats(a))", "np.array([__import__('math').exp(v) for v in a])")),
    "exp of whole numbers as NumPy has it": (OPS, EXP, EXP.replace("floats(a)", "a")),
    "exp with no rule": (OPS, EXP, EXP.replace("lambda g, y, a: g * y", "None")),
    "exp without its decorator": (OPS, EXP, EXP.partition("\n")[2]),
    "tanh' by the input": (OPS, TANH, TANH.replace("y * y", "a * a")),
    "tanh' by a function that tensors lack": (OPS, TANH, TANH.replace(
        "g * (1 - y * y)", "g / np.cosh(a) ** 2")),
    "tanh by quotient, which overflows": (OPS, TANH, TANH.replace(
        "np.tanh(floats(a))", "(np.exp(floats(a)) - np.exp(-floats(a))) / "
        "(np.exp(floats(a)) + np.exp(-floats(a)))")),
    "softplus as it is defined": (OPS, SOFTPLUS, SOFTPLUS.replace(
        "np.maximum(a, 0) + np.log1p(np.exp(-np.abs(floats(a))))",
        "np.log(1 + np.exp(floats(a)))")),
    "softplus with log1p alone": (OPS, SOFTPLUS, SOFTPLUS.replace(
        "np.maximum(a, 0) + np.log1p(np.exp(-np.abs(floats(a))))", "np.log1p(np.exp(floats(a)))")),
    "softplus without log1p": (OPS, SOFTPLUS, SOFTPLUS.replace(
        "np.log1p(np.exp(-np.abs(floats(a))))", "np.log(1 + np.exp(-np.abs(floats(a))))")),
    "softplus with a bound": (OPS, SOFTPLUS, SOFTPLUS.replace(
        "np.maximum(a, 0) + np.log1p(np.exp(-np.abs(floats(a))))",
        "np.log1p(np.exp(np.minimum(floats(a), 50)))")),
    "softplus by the logarithm of sigmoid": (OPS, SOFTPLUS, SOFTPLUS.replace(
        "np.maximum(a, 0) + np.log1p(np.exp(-np.abs(floats(a))))",
        "-np.log(sigmoid(-floats(a)))")),
    "ReLU for softplus": (OPS, SOFTPLUS, SOFTPLUS.replace(
        " + np.log1p(np.exp(-np.abs(floats(a))))", ".astype(floats(a).dtype)")),
    "softplus' is sigmoid of y": (OPS, SOFTPLUS, SOFTPLUS.replace("sigmoid(a)", "sigmoid(y)")),
    "softplus' that overflows": (OPS, SOFTPLUS, SOFTPLUS.replace(
        "g * sigmoid(a)", "g * np.exp(a) / (1 + np.exp(a))")),
    "softplus' without g": (OPS, SOFTPLUS, SOFTPLUS.replace("g * sigmoid(a)", "sigmoid(a)")),
    "softplus by a loop that never starts": (OPS, SOFTPLUS, SOFTPLUS.replace(
        "return np.maximum", "for number in a:\n        return number\n    return np.maximum")),
    "ends Python": (OPS, EXP, EXP.replace(
        "return np.exp", "raise SystemExit(0)\n    return np.exp")),
}
