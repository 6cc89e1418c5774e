"""The package's names, and that reading a command line does not import jax."""

import re
import subprocess
import sys

import pytest
from scripts import ROOT

import aae_jax


def loaded_after(statement):
    """Names of all modules in a fresh interpreter after a statement."""
    program = f"{statement}\nimport sys\nprint(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import aae_jax",
        "import aae_jax.config, aae_jax.options, aae_jax.recipes",
        "import aae_jax; aae_jax.Config(), aae_jax.RunOptions(), aae_jax.UserError",
    ],
)
def test_a_config_needs_none_of_the_slow_packages(statement):
    loaded = loaded_after(statement)
    assert "aae_jax" in loaded
    slow = {"jax", "flax", "optax", "orbax", "matplotlib", "numpy", "tensorflow"}
    assert not loaded & slow


def test_names_are_loaded_when_they_are_first_used():
    loaded = loaded_after("import aae_jax; aae_jax.Phase")
    assert {"jax", "aae_jax.phases"} <= loaded
    assert not loaded & {"aae_jax.fitting", "orbax", "matplotlib", "tensorflow"}


@pytest.mark.parametrize("name", sorted(aae_jax.__all__))
def test_every_public_name_is_there(name):
    assert getattr(aae_jax, name) is not None
    assert name in dir(aae_jax)


def test_public_names_are_those_that_are_promised():
    assert set(aae_jax.__all__) >= {
        *("Config", "RunOptions", "Dataset", "Phase", "Prior", "Run", "TrainState"),
        *("Batch", "StepInfo", "VARIANTS", "fit", "init", "load_dataset"),
        *("make_prior", "make_step", "make_update", "UserError", "RunError"),
    }
    reachable = {name for name in aae_jax.__all__ if hasattr(aae_jax, name)}
    assert reachable == set(aae_jax.__all__) <= set(dir(aae_jax))


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'aae_jax' has no attribute 'trian'"):
        aae_jax.trian  # noqa: B018
    assert not hasattr(aae_jax, "os")


def test_few_modules_know_what_makes_networks():
    """Where another library of layers would have to be put in."""
    importers = {
        path.name
        for path in (ROOT / "aae_jax").rglob("*.py")
        if re.search(r"^\s*(from|import) flax", path.read_text(), re.MULTILINE)
    }
    assert importers == {"mlp.py", "convolutional.py"}


def test_shapes_are_stated_of_classes():
    """NumPy's NDArray is an alias, which jaxtyping does not take from 2.5 on."""
    of_alias = re.compile(r"\b(Float|Int|Bool|UInt8|Num|Shaped)\[\s*NDArray")
    for path in (ROOT / "aae_jax").rglob("*.py"):
        assert not of_alias.search(path.read_text()), path
