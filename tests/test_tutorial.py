"""The tutorial's commands and Python work in its order, with smaller trainings."""

import re
import shlex
import subprocess
import sys

import pytest
from scripts import DEADLINE, ROOT

pytest_plugins = ["script_fixtures"]

TEXT = (ROOT / "docs" / "tutorial.md").read_text()
FENCES = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.M | re.S)
SMALLER = {"--hidden 300 300": "--hidden 16 16", "--steps 1500": "--steps 180"}


def blocks(language):
    """What stands between the fences of one language."""
    return [inside for name, inside in FENCES if name == language]


def smaller(line):
    """A command of the tutorial; trainings are shorter, narrower, without pictures."""
    for words, fewer in SMALLER.items():
        line = line.replace(words, fewer)
    if "train.py" in line:
        line += " --no-figures"  # other tests draw what a training draws
    return shlex.split(line)


@pytest.fixture
def ended(call_script, tmp_path, monkeypatch):
    """The end of the tutorial's Python, in a folder where its commands ran."""
    monkeypatch.chdir(tmp_path)
    for line in "".join(blocks("")).splitlines():
        python, script, *arguments = smaller(line)
        assert python == "python"
        done = call_script(script, *arguments)
        assert done.status == 0, f"{line}\n{done.stderr}"
    return subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", "\n".join(blocks("python"))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )


def test_the_tutorial_runs_and_prints_what_it_says(ended, tmp_path):
    assert ended.returncode == 0, ended.stderr
    # What does not depend on how long one trains is as the page has it.
    (moves,) = (text for text in blocks("text") if " moved " in text)
    assert moves in ended.stdout
    assert "discriminator 1.386\ngenerator 0.693\n" in ended.stdout
    (of_mean,) = re.findall(r"of the mean image: (\S+)", ended.stdout)
    assert f"prints {of_mean}." in TEXT
    pictures = {path.stem for path in tmp_path.glob("*.png")}
    assert pictures == set(re.findall(r"figures/tutorial-(\w+)\.png", TEXT))
    for made in ("figures/explore.html", "figures/animation.gif"):
        assert (tmp_path / "runs" / "aae-joint" / made).stat().st_size


def test_every_link_of_the_tutorial_leads_to_a_file():
    links = re.findall(r"\]\(([^)#]+)", TEXT)
    assert links
    assert [link for link in links if not (ROOT / "docs" / link).is_file()] == []
