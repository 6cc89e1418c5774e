"""What others made: each hostile file ends a script in one sentence, with no harm done.

What the readers of data refuse in detail is in test_data_bad_input.py.
"""

import ast
import json
import shutil
import warnings
from pathlib import Path

import hostile
import jax
import numpy as np
import pytest
from checkpoint_states import reseal
from hostile import measured
from PIL import Image
from scripts import ROOT, listing

from aae_jax.checkpoint import _named_leaves
from aae_jax.checkpoint_folder import ends_at, read_manifest
from aae_jax.errors import UserError
from aae_jax.failures import exit_status
from aae_jax.figures import losses_figure, table_figure
from aae_jax.loop import init_loop
from aae_jax.messages import printable, say_on_stderr
from aae_jax.run_folder import RunFolder
from aae_jax.stored_leaves import type_of
from aae_jax.training import make_step

pytest_plugins = ["script_fixtures"]

MIB = 2**20

# No code out of a file.

SOURCES = [*(ROOT / "aae_jax").rglob("*.py"), ROOT / "train.py", ROOT / "evaluate.py"]
MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "runpy"}
CALLS = {
    *("eval", "exec", "compile", "__import__", "import_module", "allow_pickle"),
    *("np.load", "numpy.load", "np.fromregex", "yaml.load", "os.system", "os.popen"),
}
ALLOWED = {
    # A name of the package's own table, for whoever asks for it in Python.
    ("__init__.py", "importlib.import_module"),
}


def dotted(node):
    """`np.load` of the expression that is called."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def dangers(source):
    """Modules that are imported and functions that are called which run what they read.

    >>> dangers("import pickle; eval(np.load('x', allow_pickle=True))")
    ['pickle', 'eval', 'np.load', 'allow_pickle']
    """
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names if each.name in MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            name = dotted(node.func)
            found += [name] if CALLS & {name, name.removeprefix("importlib.")} else []
            flags = {each.arg for each in node.keywords}
            found += sorted(flags & {"allow_pickle", "shell"})
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_module_runs_what_it_reads(path):
    found = {(path.name, each) for each in dangers(path.read_text())}
    assert found <= ALLOWED


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "eval('1')",
        "importlib.import_module(name)",
        "np.load(path)",
        "read(path, allow_pickle=True)",
        "Popen(text, shell=True)",
    ],
)
def test_what_would_run_is_found(source):
    assert dangers(source)


# One sentence, in little memory, and nothing written.


@pytest.fixture
def place(tmp_path, monkeypatch):
    """An empty working folder; `place / "data"` is where hostile files lie."""
    (tmp_path / "cwd").mkdir()
    (tmp_path / "data").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    return tmp_path


def names_in(folder):
    """Paths under a folder and when they were written."""
    return {path: path.lstat().st_mtime_ns for path in folder.rglob("*")}


def assert_a_sentence(ended, script, *words, status=2):
    """One line on stderr, after others at most of what is passed over."""
    assert (ended.status, ended.stdout) == (status, "")
    lines = ended.stderr.split("\n")[:-1]
    assert all(each.isprintable() for each in lines)
    assert lines[-1].startswith(f"{script}: ")
    assert not any(each.startswith(f"{script}: ") for each in lines[:-1])
    assert "Traceback" not in ended.stderr
    assert "mistake of ours" not in ended.stderr
    for each in words:
        assert each in lines[-1]


@pytest.mark.parametrize("case", [name for name in hostile.DATA if "GiB" not in name])
def test_a_hostile_data_file_is_refused(call_script, place, case):
    script, *arguments = hostile.DATA[case](place / "data")
    before = names_in(place)
    assert_a_sentence(call_script(script, *arguments), script, str(place / "data"))
    assert names_in(place) == before


@pytest.fixture(scope="module")
def plain_peak(tmp_path_factory):
    """The memory of each script where it refuses the first thing that it looks at."""
    place = tmp_path_factory.mktemp("plain")
    (place / "a.npy").touch()
    commands = {
        "train.py": ("--dataset", place / "a.npy", "--no-compile-cache"),
        "evaluate.py": ("--run-dir", place),
    }
    peaks = {}
    for script, arguments in commands.items():
        taken = measured(script, *arguments, cwd=place)
        assert taken.status == 2, taken.said
        peaks[script] = taken.peak_bytes
    return peaks


def assert_little_memory(command, words, *, plain_peak, cwd, status=2, others=0):
    """A script in a process of its own: one sentence, and no more than 500 MB."""
    script, *arguments = command
    taken = measured(script, *arguments, cwd=cwd)
    assert taken.status == status, taken.said
    *before, sentence = taken.said.splitlines()
    assert len(before) == others
    assert sentence.startswith(f"{script}: ")
    assert words in sentence
    assert taken.peak_bytes - plain_peak[script] < 500 * 10**6


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (".npy that claims 10^13 bytes", "promises 10,000,000,000,000"),
        (".npz with a header of 1 GiB of zeros", "is not a numpy array file"),
        (".npz of 1 GiB of zeros, over the limit", "raise --memory-limit"),
        ("IDX in gzip that goes on for 1 GiB", "goes on after the 1,000 bytes"),
        ("PNG of 10^9 pixels", "not a sound image"),
        ("many names", "is empty"),
    ],
)
def test_a_bomb_stays_packed(plain_peak, place, case, words):
    command = hostile.DATA[case](place / "data")
    before = names_in(place / "data")
    assert_little_memory(command, words, plain_peak=plain_peak, cwd=place / "cwd")
    assert names_in(place / "data") == before
    assert not list((place / "cwd").iterdir())


@pytest.fixture
def run(finished, place):
    """A copy of a finished run, to be spoiled."""
    return RunFolder(Path(shutil.copytree(finished.folder.path, place / "run")))


def opening(run):
    """Commands that open a run in each of the ways that there are."""
    flags = ("--no-compile-cache",)
    yield ("evaluate.py", "--metrics", "--run-dir", run, *flags)
    yield ("train.py", "--resume", "--run-dir", run, *flags)
    yield ("train.py", "--init-from", run, "--dataset", "sample", *flags)


@pytest.mark.parametrize("case", hostile.CONFIGS)
def test_a_hostile_config_is_refused_by_all_who_read_it(call_script, run, case):
    text = hostile.config_text(run.config_file.read_text(), case)
    run.config_file.write_text(text)
    before = names_in(run.path.parent)
    for script, *arguments in opening(run):
        assert_a_sentence(call_script(script, *arguments), script)
    assert names_in(run.path.parent) == before


def test_a_config_takes_little_memory(plain_peak, run):
    run.config_file.write_text('{"a": [' + "[]," * 2_700_000 + "[]]}")
    assert_little_memory(
        ("evaluate.py", "--run-dir", run),
        "config.json is not the config of a run",
        plain_peak=plain_peak,
        cwd=run.path,
    )


@pytest.mark.parametrize("case", hostile.LOGS)
def test_a_hostile_log_is_refused(call_script, run, case):
    run.log_file.write_bytes(hostile.LOGS[case])
    shutil.rmtree(run.checkpoints)  # so that it begins again, and cuts its log
    run.metrics_file.unlink()
    script, *arguments = list(opening(run))[1]
    before = listing(run.path) | {".lock": None}
    ended = call_script(script, *arguments)
    assert_a_sentence(ended, script, "metrics.jsonl", "line")
    assert listing(run.path) | {".lock": None} == before
    with pytest.raises(UserError, match=r"metrics\.jsonl"):
        losses_figure(run.log_lines(), title="run")


def test_a_log_is_read_in_little_memory(plain_peak, run):
    """All of it would take twenty times its 40 MB."""
    line = {"step": 1, "losses": {}, "validation": {"x": [{"a": 1}] * 90_000}}
    text = json.dumps(line).encode() + b"\n"
    with run.log_file.open("wb") as file:
        for _ in range(45):
            file.write(text)
        file.write(b"[]\n")
    assert_little_memory(
        ("evaluate.py", "--losses", "--run-dir", run, "--out", run.path / "out"),
        "line 46 of",
        plain_peak=plain_peak,
        cwd=run.path,
    )


@pytest.mark.parametrize("case", hostile.METRICS)
def test_hostile_metrics_are_refused(run, case):
    run.metrics_file.write_text(hostile.METRICS[case])
    with pytest.raises(UserError, match=r"metrics\.json"):
        run.read_metrics()


def test_metrics_of_a_seed_that_are_none_end_in_a_sentence(call_script, run, place):
    several = RunFolder(place / "several")
    several.make()
    run.path.rename(several.path / "seed0")
    metrics = several.path / "seed0" / "metrics.json"
    metrics.write_text("{}")
    flags = ("--resume", "--seeds", 1, "--quiet", "--no-figures", "--no-compile-cache")
    ended = call_script("train.py", "--run-dir", several, *flags)
    assert_a_sentence(ended, "train.py", "metrics.json does not hold the metrics")
    assert metrics.read_text() == "{}"
    assert not (several.path / "summary.json").exists()


# Checkpoints.


def newest(run):
    return max(run.checkpoints.iterdir())


def huge_leaf_types(run):
    """What the manifest of a run with the largest layers would say."""
    record = run.read_record()
    config = record.config
    like = jax.eval_shape(
        lambda key: init_loop(
            config,
            key,
            step=make_step(config),
            image_shape=record.image_shape,
        ),
        jax.random.key(0),
    )
    return {name: type_of(leaf) for name, leaf in _named_leaves(like).items()}


def make_huge(run):
    stored = json.loads(run.config_file.read_text())
    stored["config"]["hidden"] = [65_536, 65_536]
    run.config_file.write_text(json.dumps(stored))


def claim_huge_leaves(run):
    make_huge(run)
    reseal(newest(run), leaf_types=huge_leaf_types(run))
    return 1, "every checkpoint in"


def flip(run):
    path = max(newest(run).rglob("*"), key=lambda each: each.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return 1, "every checkpoint in"


def forget_the_seconds(run):
    reseal(newest(run), record={"seconds": "9" * 5000})
    return 1, "does not tell how long its training took"


def be_of_another_model(run):
    make_huge(run)
    return 2, "is of another model"


def claim_other_leaves(run):
    types = dict.fromkeys(read_manifest(newest(run)).leaf_types, "float32[999999999]")
    reseal(newest(run), leaf_types=types)
    return 2, "is of another model"


def say_many_things(run):
    reseal(newest(run), leaf_types={f"leaf {n}": "float32[]" for n in range(50_000)})
    return 2, "is of another model"


SPOILT = (
    claim_huge_leaves,
    flip,
    be_of_another_model,
    claim_other_leaves,
    say_many_things,
)


@pytest.mark.parametrize("spoil", SPOILT, ids=lambda spoil: spoil.__name__)
def test_a_hostile_checkpoint_is_not_believed(call_script, run, spoil):
    status, words = spoil(run)
    before = names_in(run.path.parent)
    for script, *arguments in list(opening(run))[:1]:
        ended = call_script(script, *arguments)
        assert_a_sentence(ended, script, words, status=status)
        assert len(ended.stderr) < 10_000
    assert names_in(run.path.parent) == before


def test_absurd_sizes_of_a_checkpoint_take_no_memory(plain_peak, run, place):
    claim_huge_leaves(run)
    assert_little_memory(
        ("evaluate.py", "--metrics", "--run-dir", run),
        "every checkpoint in",
        plain_peak={"evaluate.py": plain_peak["train.py"]},  # it has to import jax
        cwd=place / "cwd",
        status=1,
        others=1,
    )


def test_a_checkpoint_that_would_take_hours_to_read_is_damaged(call_script, run):
    """The manifest names a file of a tebibyte: a hole, which takes no space."""
    state = max(newest(run).rglob("*"), key=lambda each: each.stat().st_size)
    manifest = read_manifest(newest(run))
    with state.open("ab") as file:
        file.truncate(2**40)
    assert not ends_at(run.checkpoints, manifest.step)
    for script, *arguments in list(opening(run))[:2]:
        ended = call_script(script, *arguments)
        assert_a_sentence(ended, script, "every checkpoint in", status=1)


def test_a_checkpoint_without_its_seconds_is_not_gone_on_with(call_script, run):
    status, words = forget_the_seconds(run)
    run.metrics_file.unlink()  # so that it is not finished
    script, *arguments = list(opening(run))[1]
    assert_a_sentence(call_script(script, *arguments), script, words, status=status)


def test_networks_that_no_memory_holds_are_not_made(call_script, run):
    shutil.rmtree(run.checkpoints)
    stored = json.loads(run.config_file.read_text())
    stored["config"]["hidden"] = [65_536] * 8
    run.config_file.write_text(json.dumps(stored))
    script, *arguments = list(opening(run))[1]
    before = run.log_file.read_bytes()
    ended = call_script(script, *arguments)
    assert_a_sentence(ended, script, "GiB and the memory has", "smaller --hidden")
    assert run.log_file.read_bytes() == before


# Names.


def test_what_is_said_cannot_drive_a_terminal(capsys):
    say_on_stderr(f"wrote {hostile.ESCAPES}")
    assert capsys.readouterr().err.removesuffix("\n").isprintable()

    def fail():
        raise ZeroDivisionError(hostile.ESCAPES)

    assert exit_status(fail, script="x.py") == 1
    lines = capsys.readouterr().err.splitlines()
    assert all(each.isprintable() for each in lines)
    assert any("ZeroDivisionError" in each for each in lines)


def test_a_long_text_loses_its_middle():
    text = "a" * 10_000 + "; do this"
    assert printable(text).endswith("a; do this")
    assert len(printable(text)) < 5000
    assert printable("naïve 猫") == "naïve 猫"


def test_a_run_of_hostile_names(run_script, call_script, place):
    """Data, classes and run are called what clears a screen; all of it works."""
    odd = hostile.ESCAPES
    text = odd.removesuffix("\udcff")  # of a run it must be
    rng = np.random.default_rng(0)
    for name in (f"a{odd}", f"b{odd}$"):
        (place / odd / name).mkdir(parents=True)
        for index in range(40):
            pixels = rng.integers(0, 256, (6, 6), np.uint8)
            Image.fromarray(pixels).save(place / odd / name / f"{odd}{index}.png")
        (place / odd / name / f"{odd}.txt").touch()  # is passed over, and said to be
    data, folder = place / odd, place / "cwd" / text
    flags = ("--hidden", 8, "--batch-size", 10, "--steps", 12)
    command = ("train.py", "--dataset", data, "--run-dir", folder, *flags)
    ended = run_script(*command, cwd=place)
    assert ended.status == 0, ended.stderr
    assert "passed over 2 entries" in ended.stderr
    for stream in (ended.stdout, ended.stderr):
        assert all(line.isprintable() for line in stream.splitlines())
    names = RunFolder(folder).read_record().dataset["class_names"]
    assert names == [f"a{odd}", f"b{odd}$"]
    again = call_script("train.py", "--resume", "--run-dir", folder)
    assert (again.status, again.stderr) == (0, "")
    assert again.stdout.endswith("is finished; nothing is left to do\n")
    looked = call_script("evaluate.py", "--latent", "--run-dir", folder)
    assert looked.status == 0
    for line in [*again.stdout.splitlines(), *looked.stderr.splitlines()]:
        assert line.isprintable()
    absent = call_script("train.py", "--dataset", f"./{odd}.npz")
    assert_a_sentence(absent, "train.py", "does not exist")
    passed_over = call_script("train.py", "--dataset", data / f"a{odd}" / f"{odd}.txt")
    assert_a_sentence(passed_over, "train.py", "is not a folder, .npz or .npy")


def test_names_of_classes_are_drawn_without_what_drives_a_terminal():
    images = np.zeros((1, 2, 4, 4, 1), np.float32)
    figure = table_figure(
        images,
        heading="x",
        caption="x",
        title=hostile.ESCAPES,
        row_names=[hostile.ESCAPES],
        column_names=[hostile.ESCAPES, "猫"],
    )
    with warnings.catch_warnings(record=True):
        figure.canvas.draw() if figure.canvas else None
    (axes,) = figure.axes
    labels = [*axes.get_xticklabels(), *axes.get_yticklabels(), *figure.texts]
    assert all(each.get_text().isprintable() for each in labels)


@pytest.mark.parametrize(
    ("script", "flags", "words"),
    [
        ("train.py", ("--run-dir", "~nobody-of-that-name/x", "--prior", "y"), "prior"),
        ("train.py", ("--run-dir", "x\udcff"), "has a name that is not UTF-8"),
        ("train.py", ("--run-dir", "x" * 300), "is too long a name; shorten it"),
        ("train.py", ("--init-from", "x" * 5000), "is too long a name"),
        ("train.py", ("--hidden", *["9"] * 100), "hidden has 100 sizes, and 1 to 64"),
        ("train.py", ("--prior", "x" * 100_000), "choose one of normal"),
        ("evaluate.py", ("--run-dir", "~nobody-of-that-name"), "does not exist"),
        ("evaluate.py", ("--decode", "~nobody/x", "--out", "x.npz"), "does not exist"),
        ("evaluate.py", ("--encode", "~nobody/x", "--out", "x.npz"), "is no split"),
        ("evaluate.py", ("--out", "x" * 300, "--sample", "3"), "writes an .npz file"),
        ("evaluate.py", ("--out", "x" * 300 + ".npz", "--sample", "3"), "too long"),
    ],
)
def test_names_that_cannot_be_are_refused(call_script, place, script, flags, words):
    ended = call_script(script, *flags)
    assert_a_sentence(ended, script, words)
    assert len(ended.stderr) < 5000
    assert not list((place / "cwd").iterdir())


def test_codes_that_are_no_table_are_refused(call_script, run, place):
    np.savez(place / "codes.npz", z=np.float32(3))
    ended = call_script(
        *("evaluate.py", "--run-dir", run, "--no-compile-cache"),
        *("--decode", place / "codes.npz", "--out", "x.npz"),
    )
    assert_a_sentence(ended, "evaluate.py", "a row for each code")
    assert not list((place / "cwd").iterdir())
