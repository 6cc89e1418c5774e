"""The page to explore a run, as a file; tests/browser opens it."""

import html.parser
import json

import numpy as np
import pytest

from aae_jax import Run
from aae_jax.explore import explore_page

pytest_plugins = ["script_fixtures"]


class Page(html.parser.HTMLParser):
    """What a browser would find: the tags, and the data."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.data, self.sources = [], "", []
        self.in_data = False
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        self.in_data = ("id", "data") in attrs

    def handle_data(self, data):
        if self.in_data:
            self.data += data
            self.in_data = False


@pytest.fixture(scope="module")
def run(finished):
    return Run.load(finished.folder.path)


def test_the_command_writes_one_file_that_needs_nothing_else(
    finished, run_script, tmp_path
):
    place = ("--run-dir", finished.folder.path, "--out", tmp_path)
    done = run_script("evaluate.py", "--explore", *place, cwd=tmp_path)
    assert done.status == 0, done.stderr
    assert "explore.html" in done.stderr
    assert "/255 of the model's" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["explore.html"]
    page = Page((tmp_path / "explore.html").read_text("utf-8"))
    assert page.sources == ["data:,"]
    assert page.tags.count("script") == 2
    assert json.loads(page.data)["zDim"] == 2


def test_a_page_holds_as_many_images_as_there_is_room_for(run, tiny_dataset):
    x = np.tile(tiny_dataset.x_test, (26, 1, 1, 1))
    data = json.loads(Page(explore_page(run, x).text).data)
    assert len(data["codes"]["z"]) == pytest.approx(2500 * 2 * 4 * 4 / 3, abs=4)
    assert data["codes"]["y"] is None


def test_a_page_says_how_exact_it_is(run, tiny_dataset):
    page = explore_page(run, tiny_dataset.x_test, tiny_dataset.y_test)
    assert 0 < page.image_error < 1 / 255
    assert 0 < page.code_error < 0.01
