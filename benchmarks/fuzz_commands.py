"""Command lines of the two scripts, sound ones and others."""

import contextlib
import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from fuzz_runs import RECORD
from fuzzing import LARGE, Reader
from hostile import ESCAPES, ROOT, tiny_npz
from hypothesis import strategies as st

from aae_jax.cli import TrainFlags, training_request
from aae_jax.config_checks import ENCODERS, INITIALIZERS, PRIORS, SCHEDULES
from aae_jax.errors import UserError
from aae_jax.evaluation_request import evaluation_request
from aae_jax.failures import exit_status
from aae_jax.flags import kinds_of
from aae_jax.messages import printable
from aae_jax.options import EvaluationOptions
from aae_jax.recipes import MODELS, RECIPES
from aae_jax.run_folder import RunFolder

_PATHS = (
    *("absent", "file.txt", "folder", "tiny.npz", "run", "/dev/null", "/dev/zero", "."),
    *("..", "/", "~", "~nobody", "x" * 300, "folder/", "tiny.npz/x", ESCAPES, "pipe"),
    *("loop", "absent/absent", "codes.npz", "new.npz", "new", "/proc/self/mem", ""),
)
_NAMES = (
    *(*MODELS, *RECIPES, *PRIORS, "custom", *ENCODERS, *INITIALIZERS, *SCHEDULES),
    *("adam", "sgd", "test", "validation", "train", "auto", "sample", "mnist", "all"),
    *("True", "False", "None", "nan", "inf", "-inf", "1e400", "-1", "0", "0x10", "1_0"),
    *("9" * 5000, "1e-300", "0.5", "\u0663", "\U0001f600", "\u202e", "--", "-", "-x"),
)
_words = st.one_of(
    st.sampled_from([str(number) for number in LARGE]),
    st.sampled_from(["2", "3", "0.1", "16", "100"]),
    st.sampled_from(_NAMES),
    st.sampled_from(_PATHS),
    st.text(st.characters(exclude_characters="\0"), max_size=8),
)


def _flag_words(names: Sequence[str]) -> st.SearchStrategy[list[str]]:
    """A flag with words, or joined to one; sometimes misspelt, or words alone."""
    flags = st.sampled_from([f"--{name.replace('_', '-')}" for name in names])
    return st.one_of(
        st.builds(
            lambda flag, words: [flag, *words], flags, st.lists(_words, max_size=2)
        ),
        st.builds(lambda flag, word: [flag, word], flags, _words),
        st.builds(lambda flag, word: [f"{flag}={word}"], flags, _words),
        st.builds(lambda flag, word: [flag[:-1], word], flags, _words),
        st.lists(_words, max_size=1),
    )


_SOUND = {
    TrainFlags: (
        *("--model clustering", "--model supervised", "--model semi-supervised"),
        *("--prior uniform", "--prior gamma", "--prior swiss-roll", "--z-dim 3"),
        *("--labels 20", "--run-dir new", "--resume", "--init-from run", "--quiet"),
        *("--image-size 5 6", "--shift 1", "--memory-limit 0.00001", "--seeds 2"),
        *("--schedule cosine", "--optimizer sgd", "--recipe guide", "--seed=3"),
    ),
    EvaluationOptions: (
        *("--metrics", "--latent", "--losses", "--grid", "--split validation"),
        *("--encode test --out new.npz", "--sample 3 --out new.npz", "--seed 3"),
        *("--decode codes.npz --out new.npz", "--out new", "--dataset tiny.npz"),
        *("--encode tiny.npz --out new.npz", "--memory-limit 1", "--run-dir run"),
    ),
}


def command_lines(flags: type) -> st.SearchStrategy[list[str]]:
    """Arguments of a script, by the flags that it has; some of them sound."""
    names = [name for name in kinds_of(flags) if name != "help"]
    sound = st.sampled_from(_SOUND[flags]).map(str.split)
    lists = st.one_of(
        st.lists(_flag_words(names), max_size=5),
        st.lists(st.one_of(sound, sound, sound, _flag_words(names)), max_size=4),
    )
    return lists.map(lambda each: [word for words in each for word in words])


def furnish(folder: Path, trained: Path | None = None) -> None:
    """Things for a command line to name; the newest run is a copy of a trained one."""
    (folder / "file.txt").write_text("text")
    (folder / "folder").mkdir()
    (folder / "folder" / "a.txt").touch()
    (folder / "loop").symlink_to("loop")
    os.mkfifo(folder / "pipe")
    tiny_npz(folder / "tiny.npz")
    np.savez(folder / "codes.npz", z=np.zeros((3, 2), np.float32))
    for run in (RunFolder(folder / "run"), RunFolder(folder / "runs" / "newest")):
        if trained:
            shutil.copytree(trained, run.path)
            continue
        run.make()
        run.write_record(RECORD)


def listed(folder: Path) -> dict[str, tuple[int, int]]:
    """What lies in a folder, with sizes and times."""
    stats = ((path, path.lstat()) for path in folder.rglob("*"))
    return {str(path): (stat.st_size, stat.st_mtime_ns) for path, stat in stats}


_FURNISHED: dict[Path, dict[str, tuple[int, int]]] = {}


def furnished(folder: Path) -> dict[str, tuple[int, int]]:
    """What lies in a furnished folder, which is made once."""
    if folder not in _FURNISHED:
        folder.mkdir()
        furnish(folder)
        _FURNISHED[folder] = listed(folder)
    return _FURNISHED[folder]


def _ask(request: Callable[[Sequence[str]], object], script: str):
    """A script's request, as the script makes it, in a folder with things to name."""

    def read(folder: Path, argv: list[str]) -> None:
        room = folder.with_name(f"{folder.name}-room")
        before = furnished(room)
        said, printed = io.StringIO(), io.StringIO()
        with (
            contextlib.chdir(room),
            contextlib.redirect_stderr(said),
            contextlib.redirect_stdout(printed),
        ):
            try:
                status = exit_status(lambda: request(argv), script=script)
            except SystemExit as stopped:  # of --help
                status = int(stopped.code or 0)
        assert listed(room) == before, "it wrote something"
        assert_told(status, said.getvalue(), script)
        if status:
            raise UserError(said.getvalue())

    return read


_TINY = (
    *("--dataset", "tiny.npz", "--hidden", "4", "--batch-size", "20", "--steps", "4"),
    *("--no-figures", "--no-compile-cache"),
)


def started(script: str, argv: Sequence[str], folder: Path) -> tuple[int, str]:
    """The status of a script in a process of its own, and what it told on stderr."""
    ended = subprocess.run(
        [sys.executable, str(ROOT / script), *argv],
        cwd=folder,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    return ended.returncode, ended.stderr.decode()


@cache
def _trained(folder: Path) -> Path:
    """A run that was trained there, to be copied."""
    folder.mkdir()
    tiny_npz(folder / "tiny.npz")
    status, said = started("train.py", [*_TINY, "--run-dir", "run"], folder)
    assert status == 0, said
    return folder / "run"


def _start(script: str):
    """A script in a process of its own; what it trains is as little as can be."""

    def read(folder: Path, argv: list[str]) -> None:
        if script == "train.py":
            furnish(folder)
            more = _TINY
        else:
            furnish(folder, _trained(folder.with_name(f"{folder.name}-trained")))
            more = ("--no-compile-cache",)
        before = listed(folder)
        status, said = started(script, [*argv, *more], folder)
        *_, sentence = said.split("\n")[:-1] or [""]
        assert_told(status, f"{sentence}\n", script)
        assert all(line == printable(line) for line in said.split("\n"))
        assert "Traceback" not in said, said
        if status:
            assert listed(folder) == before or status == 1, "it wrote something"
            raise UserError(sentence)

    return read


def assert_told(status: int, said: str, script: str) -> None:
    """A refusal is one line, which cannot drive a terminal, and has its status."""
    assert status in (0, 1, 2), status
    if not status:
        return
    assert said.endswith("\n")
    assert said[:-1] == printable(said[:-1]), said
    assert said.startswith(f"{script}: "), said
    assert "mistake of ours" not in said, said


COMMANDS = (
    Reader(
        "train.py",
        command_lines(TrainFlags),
        _ask(training_request, "train.py"),
        share=0.5,
    ),
    Reader(
        "evaluate.py",
        command_lines(EvaluationOptions),
        _ask(evaluation_request, "evaluate.py"),
        share=0.5,
    ),
)
PROCESSES = (
    Reader(
        "process of train.py",
        command_lines(TrainFlags),
        _start("train.py"),
        share=0.08,
        hang=300,
    ),
    Reader(
        "process of evaluate.py",
        command_lines(EvaluationOptions),
        _start("evaluate.py"),
        share=0.08,
        hang=300,
    ),
)
"""The same in processes of their own, which really train."""
