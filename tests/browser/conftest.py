"""A real browser, and pages of small runs."""

import functools
import shutil

import jax
import numpy as np
import pytest
from playwright.sync_api import sync_playwright

from aae_jax import Config, Dataset, Run, init, load_dataset
from aae_jax.explore import explore_page
from aae_jax.phases import make_model
from aae_jax.run_folder import RunFolder
from aae_jax.run_record import RunRecord

HOSTILE = (
    '<img src=x onerror="window.hurt=1">',
    "</script><script>window.hurt=1</script>",
    "{{script}} & \N{LATIN SMALL LETTER E WITH ACUTE} \\u003c",
    "$& ' \" `${window.hurt=1}`",
)
BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium():
    """The system's browser; without one these tests fail, and say what to install."""
    found = [path for name in BROWSERS if (path := shutil.which(name))]
    assert found, "no browser is installed; type: apt-get install chromium"
    with sync_playwright() as driver:
        yield driver.chromium.launch(executable_path=found[0], args=["--no-sandbox"])


@pytest.fixture(scope="session")
def digits():
    return load_dataset("sample")


@pytest.fixture(scope="session")
def shapes():
    """Coloured squares of four classes with names that would rather be something else.

    The files of a folder of images have such names, and class names come from them.
    """
    rng = np.random.default_rng(0)
    y = np.arange(240, dtype=np.int32) % 4
    x = rng.integers(0, 40, (240, 12, 10, 3), np.uint8)
    for image, label in zip(x, y, strict=True):
        image[2:9, 2:8, label % 3] = 120 + 30 * label
    return Dataset("shapes", x, y, x[:40], y[:40], class_names=HOSTILE)


RUNS = {
    "aae": {},
    "supervised": {"model": "supervised"},
    "semi-supervised": {"model": "semi-supervised", "z_dim": 3},
    "dim-reduction": {"model": "dim-reduction"},
    "uniform": {"prior": "uniform"},
    "16 dimensions": {"z_dim": 16},
    "1 dimension": {"z_dim": 1},
    "colour": {"model": "supervised", "n_classes": 4},
    "conv": {"network": "conv"},
    "colour, conv": {"model": "supervised", "n_classes": 4, "network": "conv"},
}
"""What each run of these tests is, beside what all are."""
ALL = {
    "model": "aae-joint",
    "hidden": (32, 32),
    "n_classes": 10,
    "dataset": "sample",
    "batch_norm": False,  # whose statistics only training knows
}


@pytest.fixture(scope="session")
def run_of(tmp_path_factory, digits, shapes):
    """`run_of(name)`: a run of `RUNS`, with weights much as training begins with."""

    @functools.cache
    def make(name):
        config = Config(**{**ALL, **RUNS[name]})
        dataset = shapes if name.startswith("colour") else digits
        folder = (
            HOSTILE[0].replace("=", "{{data}}") if name.startswith("colour") else name
        )
        shape = dataset.x_train.shape[1:]
        record = RunRecord(
            config, shape, 0, {"class_names": dataset.class_names}, {}, "train.py"
        )
        weights = init(config, jax.random.key(0), image_shape=shape).weights
        # Codes as far apart as training puts them.
        last = max(name for name in weights["encoder"] if name.startswith("Dense"))
        weights["encoder"][last]["kernel"] *= 20
        model = make_model(config, image_shape=shape)
        place = tmp_path_factory.mktemp("runs") / folder
        return Run(record, model, weights, RunFolder(place), 0)

    return make


@pytest.fixture(scope="session")
def page_file(run_of, tmp_path_factory, digits, shapes):
    """`page_file(name)`: the address of the page of a run."""

    @functools.cache
    def make(name):
        dataset = shapes if name.startswith("colour") else digits
        page = explore_page(run_of(name), dataset.x_test, dataset.y_test)
        path = tmp_path_factory.mktemp("pages") / "explore.html"
        path.write_text(page.text, "utf-8")
        return path.as_uri()

    return make


def until(page, condition):
    """Wait until a condition of the page holds.

    Not by `wait_for_function`, which evaluates a text, and the page forbids that.
    """
    page.evaluate(
        f"new Promise((done) => {{ const look = () => ({condition}) ? done() :"
        " requestAnimationFrame(look); look(); })"
    )


@pytest.fixture
def visit(chromium, page_file):
    """`visit(name, **context)`: the page of a run, open in a window of its own.

    Whatever the page then says on the console, asks of the network or fails at makes
    the test fail.
    """
    contexts, complaints = [], []

    def open_page(name, **options):
        context = chromium.new_context(**options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.append(request.url))
        page.goto(page_file(name))
        until(page, "explorer.sheet.complete && explorer.took > 0")
        return page

    yield open_page
    for context in contexts:
        context.close()
    asked = [each for each in complaints if not each.startswith("data:")]
    assert [each for each in asked if not each.endswith("/explore.html")] == []
    assert len(asked) == len(contexts)
