"""Annotations checked at run time, strict shapes, and small things to train on."""

import functools
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

# Compiling takes most of the tests' time, and half of it this way. Processes that tests
# start heed it, too.
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

import jax
import numpy as np
import pytest
from jaxtyping import install_import_hook

# Every module that states shapes has its annotations checked. Must come before the
# first import of the package.
ROOT = Path(__file__).parents[1]
install_import_hook(
    [
        ".".join(path.relative_to(ROOT).with_suffix("").parts)
        for path in (ROOT / "aae_jax").rglob("*.py")
        if "jaxtyping" in path.read_text()
    ],
    "beartype.beartype",
)

from aae_jax.config import Config  # noqa: E402
from aae_jax.data import Dataset  # noqa: E402
from aae_jax.feeds import TrainingData  # noqa: E402
from aae_jax.loop import LoopState  # noqa: E402
from aae_jax.phases import Batch  # noqa: E402
from aae_jax.training import StepInfo, TrainState, init, make_update  # noqa: E402
from aae_jax.windows import Batches, Shuffled  # noqa: E402

# jax builds trees of anything (shapes, axes, flags) from these classes; what they hold
# is checked by the functions that take it apart.
for tree in (Batch, TrainState, StepInfo, LoopState, TrainingData, Shuffled, Batches):
    tree.__init__ = tree.__init__.__wrapped__

jax.config.update("jax_numpy_rank_promotion", "raise")

# A shell's job in the background is deaf to Ctrl-C, one under nohup to the end of its
# terminal, and so are all that they start.
for number, action in (
    (signal.SIGINT, signal.default_int_handler),
    (signal.SIGHUP, signal.SIG_DFL),
):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, action)

TINY_SHAPE = (8, 8, 1)


@pytest.fixture
def strict_dtypes():
    """No silent promotion of dtypes; optax's Adam and schedules need it elsewhere."""
    with jax.numpy_dtype_promotion("strict"):
        yield


@pytest.fixture(scope="session")
def common_folder(tmp_path_factory):
    """What all workers of a run of the tests have in common."""
    place = tmp_path_factory.getbasetemp()
    return place.parent if "PYTEST_XDIST_WORKER" in os.environ else place


@pytest.fixture(scope="session", autouse=True)
def cache_folder(tmp_path_factory):
    """Where compiled programs lie: each is compiled once for all processes of a worker.

    Not of all workers: jax locks a folder that processes share, and looks at all that
    is there whenever something is added.
    """
    folder = tmp_path_factory.mktemp("compiled")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return folder


@pytest.fixture(scope="module")
def optimized():
    """Programs as users have them, where their bits matter or long computations."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)
    jax.clear_caches()  # jax's own small programs are shared with later tests


@pytest.fixture(scope="module")
def without_coverage():
    """Coverage watches every line of jax, too, and nearly doubles the time to trace.

    For modules that trace much of what other tests cover.
    """
    watch = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(watch)


@pytest.fixture(scope="session")
def tiny_config():
    """A config whose training compiles and runs in a moment."""
    return Config(
        hidden=(16, 16),
        batch_size=20,
        steps=60,
        initializer="lecun",
        reconstruction_rate=0.01,
    )


@pytest.fixture(scope="session")
def tiny_config_of(tiny_config):
    """`tiny_config_of(model)`: the same for any variant, for four classes."""

    def make(model):
        prior = "mixture" if model == "label-prior" else "normal"
        return replace(tiny_config, model=model, prior=prior, n_classes=4, clusters=5)

    return make


@pytest.fixture(scope="session")
def tiny_state(tiny_config_of):
    """`tiny_state(model)`: the first state of a variant, made once."""

    @functools.cache
    def make(model):
        key = jax.random.key(0)
        return init(tiny_config_of(model), key, image_shape=TINY_SHAPE)

    return make


@pytest.fixture(scope="session")
def tiny_update(tiny_config_of):
    """`tiny_update(model, phase)`: the update by a phase, compiled once for all."""

    @functools.cache
    def make(model, phase):
        return make_update(tiny_config_of(model), phase)

    return make


@pytest.fixture(scope="session")
def tiny_batch(tiny_dataset):
    """The first images of the tiny data set, as a step takes them; a third labelled."""
    x = jax.numpy.asarray(tiny_dataset.x_train[:20], "float32") / 255
    y = jax.numpy.asarray(tiny_dataset.y_train[:20])
    some = jax.numpy.arange(20) % 3 == 0
    return Batch(x, jax.numpy.where(some, y, -1), x[some], y[some])


@pytest.fixture(scope="session")
def tiny_dataset():
    """Images of four classes: a bright quarter each, at a varying level, and noise."""
    rng = np.random.default_rng(0)

    def draw(n):
        y = np.arange(n, dtype=np.int32) % 4
        x = rng.integers(0, 30, (n, *TINY_SHAPE), np.uint8)
        for image, label, level in zip(x, y, rng.integers(120, 220, n), strict=True):
            row, column = 4 * (label // 2), 4 * (label % 2)
            image[row : row + 4, column : column + 4] += np.uint8(level)
        return x, y

    return Dataset("tiny", *draw(400), *draw(100), class_names=tuple("abcd"))
