"""Compiled programs that the scripts keep for each other."""

import jax
import pytest
from checkpoint_states import leaf_bytes
from scripts import listing

from aae_jax.compile_cache import keep_compiled_programs
from aae_jax.run import Run

pytest_plugins = ["script_fixtures"]

SHORT = ("--hidden", 8, "--batch-size", 20, "--steps", 20, "--quiet", "--no-figures")


@pytest.fixture
def train(run_script, data_file, tmp_path, monkeypatch):
    """`train(name, *flags, home=...)`: train.py with that cache folder, as users do."""
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)

    def train(name, *flags, home):
        monkeypatch.setenv("XDG_CACHE_HOME", str(home))
        arguments = ("--dataset", data_file, *SHORT, "--run-dir", name, *flags)
        ended = run_script("train.py", *arguments, cwd=tmp_path, cache=None)
        assert (ended.status, ended.stderr) == (0, "")
        return Run.load(tmp_path / name)

    return train


def test_the_next_process_finds_what_one_has_compiled(train, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    first = train("first", home=home)
    (folder,) = (home / "aae_jax" / "compiled").iterdir()
    programs = {name for name in listing(folder) if name.endswith("-cache")}
    assert any(name.startswith("jit_loop-") for name in programs)
    # As if a process had been killed while it wrote its first, and its last.
    cut, *_, last = (folder / name for name in sorted(programs))
    cut.write_bytes(cut.read_bytes()[:100])
    for program in (cut, last):
        program.with_name(program.name.replace("-cache", "-atime")).unlink()
    second = train("second", home=home)
    assert {x for x in listing(folder) if x.endswith("-cache")} == programs
    assert leaf_bytes(second.params) == leaf_bytes(first.params)
    anew = train("anew", "--no-compile-cache", home=tmp_path / "other")
    assert not (tmp_path / "other").exists()
    assert leaf_bytes(anew.params) == leaf_bytes(first.params)


def test_a_folder_that_cannot_be_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    before = jax.config.jax_compilation_cache_dir
    keep_compiled_programs()
    assert jax.config.jax_compilation_cache_dir == before
    assert (tmp_path / "file").read_bytes() == b""
