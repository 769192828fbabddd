"""The course: starters, the checker and those who try to outwit it, tests against bugs."""
import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree as Xml

import numpy as np
import pytest

from minifast.course import Bug, Unit, process
from minifast.course.check import check
from minifast.course.cli import main
from minifast.course.combine import combine
from minifast.course.replace import path_of, source_of
from minifast.course.run import student_files
from minifast.course.starter import cut
from minifast.course.unit import load, numbers
from minifast.course.values import difference, encode

pytestmark = pytest.mark.cpu_only("solutions are checked on the CPU")
TAPE = "minifast.autograd.tape"
Output = Callable[[], str]


@pytest.fixture
def output(capsys: pytest.CaptureFixture[str]) -> Output:
    return lambda: capsys.readouterr().out


def run(*arguments: object) -> int:
    """The exit status of a command; its message ends in the test's output."""
    try:
        main(list(map(str, arguments)))
    except SystemExit as ended:
        if isinstance(ended.code, str):
            print(ended.code)
            return 1
        return int(ended.code or 0)
    return 0


# ---------------------------------------------------------------- starters


def test_a_starter_is_the_file_with_holes() -> None:
    source = source_of(TAPE)
    starter = cut(source, ["unbroadcast"])
    compile(starter, "tape.py", "exec")
    assert '"""Return the gradient ``g`` in the shape and type of the input ``x``.' in starter
    assert "total = g.sum" in source
    assert "total = g.sum" not in starter
    assert starter.count("NotImplementedError") == 1


def test_rules_of_a_primitive_are_cut_out_too() -> None:
    starter = cut(source_of("minifast.autograd.ops"), ["mul", "exp"])
    assert "@primitive(lambda g, y, a, b: todo(),\n           lambda g, y, a, b: todo())" in starter
    assert "np.exp(floats(a))" not in starter
    assert starter.count("def todo():") == 1
    compile(starter, "ops.py", "exec")


def test_a_method_and_a_name_that_is_not_there() -> None:
    source = "class A:\n    def f(self):\n        '''Doc.'''\n        return 1\n"
    assert cut(source, ["A.f"]).endswith('Doc.\'\'\'\n        raise NotImplementedError("write '
                                         'this")\n')
    with pytest.raises(ValueError, match="there is no function 'f'"):
        cut(source, ["f"])


def test_start_never_overwrites(tmp_path: Path, output: Output) -> None:
    assert run("start", 3, "--folder", tmp_path, "--name", "Ada") == 0
    file = tmp_path / "unit03" / "tape.py"
    text = output()
    assert f"{file}: write unbroadcast" in text
    assert f"{file.with_name('student.ipynb')}: the notebook" in text
    assert json.loads(file.with_name("student.ipynb").read_text(encoding="utf-8"))["cells"]
    file.write_text("mine")
    assert run("start", 3, "--folder", tmp_path) == 0
    assert "is there already and stays as it is" in output()
    assert file.read_text() == "mine"
    assert json.loads((tmp_path / "course.json").read_text()) == {"student": "Ada"}


def test_a_unit_that_does_not_exist(output: Output, tmp_path: Path) -> None:
    assert run("start", 99, "--folder", tmp_path) == 1
    assert "there is no unit 99; there are" in output()
    assert not list(tmp_path.iterdir())


# ---------------------------------------------------------------- checks


def solution(tmp_path: Path, old: str = "", new: str = "", begin: str = "") -> Path:
    """A folder with the library's own source as the solution of unit 3, with a change."""
    file = tmp_path / "unit03" / "tape.py"
    file.parent.mkdir(exist_ok=True)
    source = source_of(TAPE)
    assert not old or source.count(old) == 1
    head, _, rest = source.partition("\nimport sys\n")
    file.write_text(f"{head}\nimport sys\n{begin}\n" + (rest.replace(old, new) if old else rest))
    return tmp_path


def test_check_tells_what_is_wrong_gives_hints_and_reports(tmp_path: Path, output: Output) -> None:
    folder = solution(tmp_path, "axis=(*range(added), *stretched)", "axis=(*range(added),)")
    report, junit = tmp_path / "report.json", tmp_path / "report.xml"
    assert run("check", 3, "--folder", folder, "--json", report, "--junit", junit) == 1
    text = output()
    assert "WRONG An input that was stretched along axes of length 1 gets the sum" in text
    assert "ShapeError" in text
    assert "in unbroadcast" in text
    assert "--hint 1 gives a hint" in text
    found = json.loads(report.read_text())
    assert not found["passed"]
    assert 0 < found["points"] < found["of"] == len(load(3).properties)
    suite = Xml.fromstring(junit.read_text())[0]
    assert int(suite.get("failures", 0)) == found["of"] - found["points"]
    assert run("check", 3, "--folder", folder, "--hint", 2) == 1
    assert "Hint: Sum with keepdims=True." in output()
    assert run("status", "--folder", folder) == 0
    assert f"{found['points']} of {found['of']} properties" in output()


def test_a_right_solution(tmp_path: Path, output: Output) -> None:
    assert run("check", 3, "--folder", solution(tmp_path)) == 0
    assert "WRONG" not in output()


def messages(tmp_path: Path, timeout: float = 20.) -> str:
    """All that is wrong with the solution of unit 3 in a folder."""
    unit = load(3)
    report = check(unit, student_files(unit, tmp_path), "Ada", timeout)
    assert not report.passed
    return "\n".join(f.message for f in report.findings)


def test_no_file_and_no_python(tmp_path: Path) -> None:
    assert "there is no" in messages(tmp_path)
    solution(tmp_path, begin="def (")
    assert "invalid syntax" in messages(tmp_path)
    assert check(load(3), student_files(load(3), tmp_path)).score == "0 of 9"


def test_files_as_windows_writes_them(tmp_path: Path, output: Output,
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    """With a byte order mark, other ends of lines, and letters that its pipes cannot hold."""
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    folder = tmp_path / "Zo\xeb.name"
    folder.mkdir()
    file = solution(folder, "    added = g.ndim", "    print('\u0394 \u03bb')\n    added = g.ndim"
                    ) / "unit03" / "tape.py"
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert run("check", 3, "--folder", folder) == 0
    assert "9 of 9" in output()


def test_an_account_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container, or on Windows without its usual variables."""
    def unknown() -> str:
        raise ImportError("No module named 'pwd'")
    monkeypatch.setattr("getpass.getuser", unknown)
    assert run("start", 3, "--folder", tmp_path) == 0
    assert json.loads((tmp_path / "course.json").read_text()) == {"student": "student"}


@pytest.mark.parametrize(("begin", "message"), [
    ("1 / 0", "ZeroDivisionError: division by zero"),
    ("sys.exit(0)", "SystemExit: 0"),
    ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    ("import os; os._exit(0)", "the process ended with status 0 before the check was done"),
    ("import subprocess; subprocess.run(['true'])", "a solution does not start processes"),
    ("import os; os.system('true')", "a solution does not start processes")])
def test_what_a_file_does_when_it_is_imported(begin: str, message: str, tmp_path: Path) -> None:
    solution(tmp_path, begin=begin)
    assert message in messages(tmp_path)


def test_an_endless_loop_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "Zo\xeb"  # faulthandler writes ASCII
    folder.mkdir()
    solution(folder, "    added = g.ndim - len(x.shape)\n", "    while True:\n        pass\n")
    assert "time is up in unbroadcast, line" in messages(folder, timeout=3.)


def test_a_loop_that_switches_the_alarm_off_is_ended(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "GRACE", 0.)
    solution(tmp_path, begin="import faulthandler\nfaulthandler.cancel_dump_traceback_later()\n"
             "while True:\n    pass")
    assert "time is up" in messages(tmp_path, timeout=2.)


READ = """
def solution():
    {how}
    scope = {{}}
    exec(text[text.index("def unbroadcast"):text.index("def _own")], globals(), scope)
    return scope["unbroadcast"]
"""


@pytest.mark.parametrize("how", [
    f"text = open({str(path_of(TAPE))!r}).read()",
    f"import pathlib; text = pathlib.Path({str(path_of(TAPE))!r}).read_text()",
    f"text = open({str(path_of(TAPE)).encode()!r}).read()",
    f"import os; f = os.open({str(path_of(TAPE))!r}, 0); text = os.read(f, 10 ** 6).decode()",
    f"import linecache; text = ''.join(linecache.getlines({str(path_of(TAPE))!r})); assert text"])
def test_a_solution_does_not_read_the_librarys(how: str, tmp_path: Path) -> None:
    solution(tmp_path, "    added = g.ndim - len(x.shape)\n", "    return solution()(g, x)\n",
             begin=READ.format(how=how))
    found = messages(tmp_path)
    assert "does not read the library's" in found or "AssertionError" in found


PATCHES = {
    "the encoder": "import minifast.course.values as v; v.encode = lambda values: []",
    "the comparison": "import minifast.course.values as v; v.difference = lambda a, b: ''",
    "the probes": "import minifast.course.units.unit03 as u; u.UNIT.properties.clear()",
    "json": "import json; json.dumps = lambda *a, **k: '{}'",
    "numpy": "import numpy.testing as t; t.assert_allclose = lambda *a, **k: None",
    "equality": "import numpy as np; np.ndarray.tolist = lambda self: []"}


@pytest.mark.parametrize("patch", PATCHES)
def test_a_patched_checker_is_not_outwitted(patch: str, tmp_path: Path) -> None:
    begin = f"""
def patch():
    try:
        {PATCHES[patch]}
    except Exception:
        pass
"""
    solution(tmp_path, "    added = g.ndim - len(x.shape)\n", "    patch()\n    return g\n", begin)
    assert messages(tmp_path)


def test_the_results_of_one_name_do_not_pass_for_another(tmp_path: Path) -> None:
    """A solution that knows the right answers to Ada's inputs fails at the unknown ones."""
    from minifast.autograd import tape
    from minifast.course.check import seed_of
    right = tape.unbroadcast
    known: list[list[float]] = []

    def note(g: object, x: object) -> object:
        known.append(np.asarray(found := right(g, x)).tolist())  # type: ignore[arg-type]
        return found
    unit = load(3)
    probe = unit.properties[1].probe
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tape, "unbroadcast", note)
        probe(np.random.default_rng(seed_of("Ada", 3)))
    solution(tmp_path, "    added = g.ndim - len(x.shape)\n",
             "    import numpy as np\n    known = [np.array(k) for k in KNOWN]\n"
             "    return next(k for k in known if k.shape == x.shape)\n", f"KNOWN = {known!r}")
    assert "is off by" in messages(tmp_path)


# ---------------------------------------------------------------- bugs


def test_tests_that_find_faults_and_tests_that_do_not(tmp_path: Path, output: Output) -> None:
    good = tmp_path / "test_good.py"
    good.write_text("""
import numpy as np
from minifast.autograd.tape import unbroadcast

def test_sum():
    g = np.ones((4, 3), np.float64)
    assert unbroadcast(g, np.ones(3, np.float32)).tolist() == [4, 4, 4]
    assert unbroadcast(g, np.ones((4, 1))).tolist() == [[3]] * 4
    assert unbroadcast(g, np.ones((4, 3), np.float32)).dtype == np.float32
""")
    assert run("bugs", 3, good) == 0
    assert f"{len(load(3).bugs)} of {len(load(3).bugs)} faults found" in output()
    poor = tmp_path / "test_poor.py"
    poor.write_text("def test_nothing():\n    import minifast\n")
    assert run("bugs", 3, poor) == 1
    assert f"0 of {len(load(3).bugs)} faults found" in output()
    broken = tmp_path / "test_broken.py"
    broken.write_text("def test_false():\n    assert False\n")
    assert run("bugs", 3, broken) == 1
    assert "These tests fail on the library itself" in output()
    assert run("bugs", 3) == 0
    assert output().count("\n") == len(load(3).bugs)


def test_options_of_a_folder_above_do_not_hide_faults(tmp_path: Path, output: Output) -> None:
    """In a clone of the library, pytest's settings ask for several processes."""
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -n 2\n")
    test = tmp_path / "test_sum.py"
    test.write_text("import numpy as np\nfrom minifast.autograd.tape import unbroadcast\n\n"
                    "def test_sum():\n"
                    "    assert unbroadcast(np.ones((4, 3)), np.ones(3))[0] == 4\n")
    run("bugs", 3, test)
    assert "found    mean for sum" in output()


def test_a_script_with_a_fault(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "script.py"
    script.write_text("import numpy as np\nfrom minifast.autograd.tape import unbroadcast\n"
                      "print(unbroadcast(np.ones((4, 3)), np.ones(3)).tolist())\n")
    assert run("run", 3, "--bug", "mean for sum", script) == 0
    assert "[1.0, 1.0, 1.0]" in capfd.readouterr().out
    assert run("run", 3, "--folder", solution(tmp_path), script) == 0
    assert "[4.0, 4.0, 4.0]" in capfd.readouterr().out
    assert run("run", 3, "--bug", "none", script) == 1
    assert "has no fault 'none'" in capfd.readouterr().out


def test_a_bug_whose_text_is_not_there_once() -> None:
    with pytest.raises(ValueError, match="occurs 2 times"):
        Bug("x", TAPE, "a", "b", "").apply("aa")


# ---------------------------------------------------------------- several units together


def test_definitions_and_additions_of_several_solutions_are_combined() -> None:
    source = source_of(TAPE)
    assert combine(source, {"unit 2": source, "unit 3": source}) == source
    walk = source
    for old, new in [("    heap = [(-root", "    limit: int = LIMIT\n    heap = [(-root"),
                     ("def walk_back(", "LIMIT: int = helper(3)\n\n\ndef walk_back("),
                     ("import sys\n", "import sys\nimport textwrap\n"),
                     ("class Variable(", "def helper(x):\n    return x\n\n\nclass Variable(")]:
        walk = walk.replace(old, new)
    total = source.replace("total = g.sum(", "total = plus(g)(").replace(
        "def unbroadcast(", "def plus(g: Node):\n    return g.sum\n\n\ndef unbroadcast(")
    both = combine(source, {"unit 2": walk, "unit 3": total})
    for own in ("limit: int = LIMIT", "LIMIT: int = helper(3)", "import textwrap", "def helper(",
                "total = plus(g)(", "def plus(g: Node)"):
        assert both.count(own) == 1
    exec(compile(both, "tape.py", "exec"), {"__package__": "minifast.autograd",
                                            "__name__": "minifast.autograd.tape"})


def test_two_solutions_may_not_define_a_name_in_two_ways() -> None:
    source = "import os\n\n\ndef f():\n    pass\n\n\ndef g():\n    pass\n"
    one, two = source.replace("pass", "return h()", 1) + "def h():\n    return 1\n", \
        source + "def h():\n    return 2\n"
    with pytest.raises(ValueError, match="unit 1 and unit 5 both define h, in different ways"):
        combine(source, {"unit 1": one, "unit 5": two})
    same = combine(source, {"unit 1": one, "unit 5": one})
    assert same.count("def h()") == 1


def test_run_all_takes_the_units_that_are_finished(
        tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minifast.course.cli.numbers", lambda: [2, 3, 4])
    script = tmp_path / "script.py"
    script.write_text("from minifast.autograd.tape import unbroadcast, walk_back\n"
                      "print(unbroadcast.__doc__ + str(walk_back.__doc__)[:20])\n")
    folder = solution(tmp_path, '"""Return the gradient', '"""My own gradient')
    assert run("start", 2, "--folder", folder) == 0
    capfd.readouterr()
    assert run("run", "all", "--folder", folder, script) == 0
    text = capfd.readouterr().out
    assert "unit  2: the library's (0 of 17 properties hold)" in text
    assert "unit  3: yours: unbroadcast" in text
    assert "unit  4: the library's (not started)" in text
    assert "My own gradient" in text
    assert "Carry a gradient" in text
    assert run("run", "all", "--folder", tmp_path / "none", script) == 1
    assert "passes its check" in capfd.readouterr().out


def test_check_all_checks_what_is_started(tmp_path: Path, output: Output,
                                          monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("minifast.course.cli.numbers", lambda: [2, 3])
    assert run("check", "all", "--folder", tmp_path) == 1
    assert "no unit is started" in output()
    report, junit = tmp_path / "report.json", tmp_path / "report.xml"
    folder = solution(tmp_path)
    assert run("check", "all", "--folder", folder, "--json", report, "--junit", junit) == 0
    assert "1 of 1 units are done" in output()
    found = json.loads(report.read_text())
    assert [unit["unit"] for unit in found["units"]] == [3]
    assert found["points"] == found["of"] == found["units"][0]["of"] == 9
    assert len(Xml.fromstring(junit.read_text())) == 1
    assert run("check", "x", "--folder", folder) == 1
    assert "a unit is a number, or all; got x" in output()


# ---------------------------------------------------------------- values


def test_differences_are_told_without_the_answer() -> None:
    def told(right: object, ours: object) -> str:
        return difference(*encode([right]), *encode([ours]))
    assert told(np.ones(2), np.ones(2) + 1e-12) == ""
    assert told(np.ones(2), np.ones(3)) == "the shape should be (2,), yours is (3,)"
    assert told(np.ones(2), np.ones(2, np.float32)) == \
        "the type should be float64, yours is float32"
    assert told(np.array([1., np.nan]), np.array([1., np.nan])) == ""
    assert told(np.array([1., np.inf]), np.array([1., np.inf])) == ""
    assert told(np.array([1., 2.]), np.array([1., np.nan])) == \
        "at [1] your number nan is not right"
    assert told(np.float64(2), 2.5) == "your number 2.5 is off by 0.5"
    assert told("ShapeError", "nothing") == "you get nothing, which is not right"
    assert told(True, False) == "this does not hold"
    assert told(False, True) == "you get True, which is not right"
    assert told(None, None) == ""
    assert told(np.ones(2), None) == told("text", None) == "you get None: is a `return` missing?"
    assert told("text", "") == "you get an empty text, which is not right"
    names = ", ".join(f"layer{i}.weight" for i in range(20))
    text = told(names, names.replace("12.weight", "12.bias"))
    assert "layer12.bias" in text
    assert len(text) < 90


def test_digits_of_rounding_are_not_compared() -> None:
    """Sums that cancel to zero differ by their order; numbers that are merely small do not."""
    def told(right: object, ours: object) -> str:
        return difference(*encode([right]), *encode([ours]))
    terms = np.random.default_rng(0).normal(size=1000)
    for dtype in (np.float64, np.float32):
        some = np.concatenate([terms, -terms]).astype(dtype)
        forwards, backwards = some.cumsum()[-1:], some[::-1].cumsum()[-1:]
        assert forwards != backwards
        assert told(forwards / 1000, backwards / 1000) == ""
    assert told(np.array([0.]), np.array([3e-17])) == told(np.array([3e-17]), np.array([0.])) == ""
    assert "off by" in told(np.array([0.]), np.array([1e-9]))
    assert "off by" in told(np.array([1e-5]), np.array([1.001e-5]))
    assert "off by" in told(np.array([1e-3], np.float32), np.array([1.001e-3], np.float32))


def test_units_are_found() -> None:
    assert 3 in numbers()
    assert isinstance(load(3), Unit)
