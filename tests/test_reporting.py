"""What a person sees: words on losses, lines or a bar."""

import contextlib
import os
import pty
import re
import sys
import threading

from aae_jax import environment
from aae_jax.reporting import Reporter, progress_text, summary
from aae_jax.run import Run
from aae_jax.run_folder import RunFolder

pytest_plugins = ["script_fixtures"]

LOSSES = {"generator": 0.7, "reconstruction": 0.0345, "discriminator": 1.38}
LINE = {
    "step": 36,
    "epoch": 2,
    "losses": LOSSES,
    "images_per_second": 12345.6,
    "validation": {"latent": {"ratio": 1.234, "mean": [0.5, -0.5]}},
}


def show(*, quiet=False, first_step=0):
    """A reporter that sees an epoch end, and the training."""
    with Reporter(total_steps=40, first_step=first_step, quiet=quiet) as reporter:
        reporter.chunk(18, LOSSES, 12345.6)
        reporter.epoch([LINE])
        reporter.chunk(20, LOSSES, 12345.6)
        reporter.chunk(40, LOSSES, 12345.6)


def test_losses_stand_beside_their_equilibria():
    assert progress_text(LOSSES, 1.234, 12345.6) == (
        "reconstruction 0.0345  generator 0.700 (-> 0.693)  discriminator 1.380 "
        "(-> 1.386)  latent ratio 1.23 (-> 1)  12,346 images/s"
    )
    assert "latent" not in progress_text({"reconstruction": 1.0}, None, 1.0)


def test_without_a_terminal_there_are_plain_lines(capsys):
    show()
    stdout, stderr = capsys.readouterr()
    assert stdout == ""
    first, last = stderr.splitlines()  # few: the one between came too soon after
    assert first.startswith("step 18/40  reconstruction 0.0345  generator 0.700")
    assert last.startswith("step 40/40  ")
    assert "latent ratio 1.23 (-> 1)" in last
    assert stderr.isascii()


def test_quiet_shows_nothing(capsys):
    show(quiet=True)
    assert capsys.readouterr() == ("", "")


def test_a_terminal_sees_a_bar(monkeypatch):
    here, there = pty.openpty()
    shown = []

    def watch():
        with contextlib.suppress(OSError):  # raised once the other end is closed
            while True:
                shown.append(os.read(here, 4096))

    watcher = threading.Thread(target=watch)
    watcher.start()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with os.fdopen(there, "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        show()
    watcher.join()
    os.close(here)
    shown = b"".join(shown).decode()
    assert "\x1b[" in shown  # drawn again in its place
    assert "━" in shown
    assert "40/40" in shown
    for word in ("reconstruction", "0.0345", "1.386)", "0.693)", "ratio", "images/s"):
        assert word in shown


def test_the_summary_says_what_numbers_mean_and_where_files_are(tmp_path):
    metrics = {
        "images": 2000,
        "steps": 27000,
        "seconds": 61.4,
        "reconstruction_mse": 0.0345,
        "latent": {"ratio": 1.2, "gap_fraction": 0.02, "rescaled": True},
    }
    text = summary({RunFolder(tmp_path): metrics})
    assert text.startswith("trained for 27,000 steps in 61 s; on 2,000 test images:\n")
    some = summary({RunFolder(tmp_path): metrics | {"labelled": 400}})
    assert "on 2,000 test images, 400 of them labelled:\n" in some
    assert "0.0345   squared error a pixel" in text
    assert "more images see more, codes first scaled to the prior" in text
    assert "pictures" not in text  # none were drawn
    (tmp_path / "figures").mkdir()
    assert f"pictures  {tmp_path}/figures/" in summary({RunFolder(tmp_path): metrics})
    assert "accuracy" not in text  # there is none without labels and discriminator
    assert f"python evaluate.py --run-dir {tmp_path}" in text
    assert "few images" not in text
    assert "few images" in summary({RunFolder(tmp_path): metrics | {"images": 5}})
    far = {"ratio": 6.0, "gap_fraction": 0.02}
    assert "far from the prior" in summary(
        {RunFolder(tmp_path): metrics | {"latent": far}}
    )
    assert "far from" not in text


def test_of_several_runs_the_summary_has_means_and_deviations(tmp_path):
    metrics = {
        RunFolder(tmp_path / f"seed{seed}"): {
            "images": 2000,
            "steps": 100,
            "seconds": 9.0,
            "reconstruction_mse": mse,
            "latent": {"ratio": 1.5, "gap_fraction": 0.02},
        }
        for seed, mse in ((3, 0.02), (4, 0.04))
    }
    text = summary(metrics)
    assert text.startswith("2 seeds trained for 100 steps in 9 s; on 2,000 test images")
    assert "  0.0300 +- 0.0141   squared error" in text
    assert "  1.5000 +- 0.0000   codes to prior" in text
    assert f"runs      seed3, seed4 in {tmp_path}/\n" in text
    assert text.endswith(f"--run-dir {tmp_path}/seed3")


def test_the_environment_is_told_and_compared(finished):
    here = environment.this_environment()
    assert here["cores"] == environment.usable_cores() >= 1
    record = Run.load(finished.folder.path).record
    assert environment.difference(record.environment, here) == ""
    assert re.fullmatch("[0-9a-f]{12}", here["source"])
    there = {**here, "cores": 99}
    del there["numpy"]
    assert environment.difference(there, here) == (
        f"cores 99 -> {here['cores']}, numpy None -> {here['numpy']}"
    )
