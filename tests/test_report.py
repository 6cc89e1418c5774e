"""A run on one page: all numbers, all pictures, and nothing but text from outside."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from PIL import Image
from scripts import ROOT

from aae_jax.meanings import MEANINGS, by_name, number_text
from aae_jax.options import PICTURE_NAMES
from aae_jax.report import write_report
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder

pytest_plugins = ["script_fixtures"]

HOSTILE = "</td></style><script>alert(1)</script><img src=x onerror='alert(1)'>\"&lt;"


class Page(HTMLParser):
    """The tags of a page, the attributes, and the text that a reader sees."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.attributes, self.texts = [], [], []
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [(tag, *each) for each in attrs]

    def handle_data(self, data):
        self.texts.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.texts).split())

    @property
    def pictures(self):
        """The bytes of each picture inside."""
        sources = [value for tag, name, value in self.attributes if name == "src"]
        head = "data:image/png;base64,"
        assert all(source.startswith(head) for source in sources)
        return [base64.b64decode(source.removeprefix(head)) for source in sources]


@pytest.fixture
def copy(finished, tmp_path):
    """A copy of the finished run, without its pictures and its report."""
    folder = RunFolder(shutil.copytree(finished.folder.path, tmp_path / "run"))
    shutil.rmtree(folder.figures)
    return folder


@pytest.fixture
def report_of(call_script):
    """`report_of(folder) -> Page`, by evaluate.py; no picture is written beside it."""

    def report(folder):
        ended = call_script("evaluate.py", "--run-dir", folder.path, "--report")
        assert (ended.status, ended.stdout) == (0, ""), ended.stderr
        assert ended.stderr.splitlines()[-1] == f"wrote {folder.report_file}"
        assert list(folder.figures.iterdir()) == [folder.report_file]
        return Page(folder.report_file)

    return report


def test_a_training_ends_with_a_report_and_says_where_it_is(finished):
    place = f"runs/{finished.folder.name}"
    said = finished.ended.stdout
    assert f"report    {place}/figures/report.html\n" in said
    page = Page(finished.folder.report_file)
    metrics = json.loads(finished.folder.metrics_file.read_text())
    for name, value in by_name(metrics).items():
        if name != "split":
            assert f"{name} {MEANINGS[name].sentence} {number_text(value)}" in page.text
    log = finished.folder.read_log()
    for name, value in log[-1]["losses"].items():
        assert f"{name} {number_text(value)}" in page.text
    assert "rises to its equilibrium is the good news" in page.text
    assert f"python evaluate.py --run-dir {place}" in page.text
    assert "python train.py --model aae --prior normal" in page.text
    assert "has not ended" not in page.text


def test_its_pictures_are_those_beside_it(finished):
    page = Page(finished.folder.report_file)
    files = finished.folder.figures.glob("*.png")
    assert set(page.pictures) == {file.read_bytes() for file in files}
    for png in page.pictures:
        Image.open(io.BytesIO(png)).verify()


def test_it_needs_nothing_from_outside_and_runs_nothing(finished):
    page = Page(finished.folder.report_file)
    assert not {"script", "link", "iframe", "object", "form", "a"} & set(page.tags)
    assert not [each for each in page.attributes if each[1].startswith(("on", "href"))]
    style = finished.folder.report_file.read_text().partition("</style>")[0]
    assert not re.search(r"url\(|@import|http", style.replace("http-equiv", ""))
    assert page.pictures


def test_the_same_run_gives_the_same_bytes(
    finished, call_script, tmp_path, monkeypatch
):
    monkeypatch.chdir(finished.folder.path.parent.parent)
    place = f"runs/{finished.folder.name}"
    line = ("--run-dir", place, "--report", "--out", tmp_path)
    assert call_script("evaluate.py", *line).status == 0
    (page,) = tmp_path.iterdir()
    assert page.read_bytes() == finished.folder.report_file.read_bytes()


def test_names_from_files_stay_text(copy, report_of):
    ordinary = report_of(copy)
    stored = json.loads(copy.config_file.read_text())
    stored["dataset"] |= {"class_names": [HOSTILE, *"bcd"], "name": HOSTILE}
    stored |= {"command": HOSTILE, "init_from": HOSTILE}
    stored["environment"]["platform"] = HOSTILE
    copy.config_file.write_text(json.dumps(stored))
    metrics = json.loads(copy.metrics_file.read_text())
    copy.metrics_file.write_text(json.dumps({**metrics, HOSTILE: 1}))
    name = HOSTILE.replace("/", ":")
    hostile = RunFolder(copy.path.rename(copy.path.with_name(name)))
    shutil.rmtree(hostile.figures)
    page = report_of(hostile)
    assert set(page.tags) == set(ordinary.tags)
    assert {each[:2] for each in page.attributes} == {
        each[:2] for each in ordinary.attributes
    }
    for seen in (HOSTILE, f"{HOSTILE}, b, c, d", name, f"those of {HOSTILE}"):
        assert seen in page.text


def test_an_unfinished_run_says_so_and_has_its_last_held_out_numbers(copy, report_of):
    copy.metrics_file.unlink()
    page = report_of(copy)
    assert "has not ended: of 906 steps 906 are saved" in page.text
    assert "held out of training at step 906" in page.text
    last = copy.read_log()[-1]["validation"]
    assert number_text(last["latent"]["ratio"]) in page.text
    assert f"python train.py --resume --run-dir {copy.path}" in page.text
    copy.log_file.unlink()
    shutil.rmtree(copy.figures)
    page = report_of(copy)
    assert "No epoch has ended yet, so nothing is measured." in page.text
    assert "equilibrium" not in page.text


def test_asked_for_with_a_picture_only_that_is_written_beside_it(
    finished, call_script, tmp_path
):
    line = ("--run-dir", finished.folder.path, "--out", tmp_path)
    line = (*line, "--split", "validation", "--losses", "--report")
    ended = call_script("evaluate.py", *line)
    assert ended.status == 0, ended.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"losses.png", "report.html"}
    page = Page(tmp_path / "report.html")
    assert (tmp_path / "losses.png").read_bytes() in page.pictures
    assert "they are the images held out of training" in page.text
    assert "Measured on images held out of training" in page.text


def test_there_is_a_place_for_every_picture(finished, tmp_path):
    run = Run.load(finished.folder.path)
    pictures = {name: name.encode() for name in PICTURE_NAMES}
    write_report(run, pictures, out=tmp_path / "report.html")
    page = Page(tmp_path / "report.html")
    assert sorted(page.pictures) == sorted(pictures.values())


def test_a_discriminator_that_has_won_is_told(copy, report_of):
    lines = copy.read_log()
    for line in lines:
        line["losses"]["discriminator"] = 0.01
    copy.log_file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    assert "the discriminator has won" in report_of(copy).text


def test_the_readme_says_of_metrics_what_the_report_says():
    text = (ROOT / "README.md").read_text()
    bullets = re.findall(r"^- `([\w.]+)`: (.*?)(?=^- |^$)", text, re.M | re.S)
    told = {name: " ".join(words.split()) for name, words in bullets}
    assert len(told) >= 5
    assert (
        told.items() <= {name: each.sentence for name, each in MEANINGS.items()}.items()
    )
