"""Fixtures for tests of the two scripts: tiny data, processes, one finished run.

A test module loads them with `pytest_plugins = ["script_fixtures"]`.
"""

import fcntl
import importlib.util
import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from scripts import ROOT, TINY, Ended, Trained, wait

from aae_jax.failures import exit_status
from aae_jax.run_folder import RunFolder


@pytest.fixture(scope="session")
def data_file(tiny_dataset, tmp_path_factory):
    """The tiny data set as a file for --dataset."""
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(
        path,
        x=tiny_dataset.x_train,
        y=tiny_dataset.y_train,
        x_test=tiny_dataset.x_test,
        y_test=tiny_dataset.y_test,
    )
    return path


@pytest.fixture(scope="session")
def start_script(cache_folder):
    """`start_script(name, *arguments, cwd=...)`: a script in a process of its own.

    Compiled programs lie in `cache`; None leaves that to the script.
    """

    def start(name, *arguments, cwd, python=(), cache=cache_folder, **options):
        kept = {
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        return subprocess.Popen(
            [sys.executable, *python, str(ROOT / name), *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, **(kept if cache else {}), "COLUMNS": "100"},
            stdin=subprocess.DEVNULL,
            text=True,
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options},
        )

    return start


@pytest.fixture(scope="session")
def run_script(start_script):
    """`run_script(name, *arguments, cwd=...) -> Ended`."""

    def run(name, *arguments, cwd, **options):
        return wait(start_script(name, *arguments, cwd=cwd, **options))

    return run


@pytest.fixture
def call_script(monkeypatch, capfd):
    """`call_script(name, *arguments) -> Ended`: a script's main in this process."""

    def call(name, *arguments):
        spec = importlib.util.spec_from_file_location(Path(name).stem, ROOT / name)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        capfd.readouterr()
        status = exit_status(module.main, script=name)
        return Ended(status, *capfd.readouterr())

    return call


@pytest.fixture(scope="session")
def finished(run_script, data_file, common_folder):
    """A run that train.py trained in a folder of its own, never stopped."""
    place = common_folder / "finished"  # one worker trains for all
    place.mkdir(exist_ok=True)
    ended_file = place / "ended.json"
    with (place / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not ended_file.exists():
            arguments = ("--prior", "normal", "--z-dim", 2, "--dataset", data_file)
            ended = run_script("train.py", *arguments, *TINY, cwd=place)
            ended_file.write_text(json.dumps(asdict(ended)))
    ended = Ended(**json.loads(ended_file.read_text()))
    assert ended.status == 0, ended.stderr
    (folder,) = map(RunFolder, (place / "runs").iterdir())
    return Trained(folder, Path(folder.read_record().config.dataset), ended)
