"""TensorBoard files: what they hold, and what happens where they cannot be written."""

import numpy as np
import pytest
from disk import file_size_limit
from tensorboardX.proto import event_pb2

from aae_jax.board import Board
from aae_jax.phases import make_model
from aae_jax.run_folder import RunFolder

pytest_plugins = ["script_fixtures"]

LINE = {
    "step": 36,
    "epoch": 2,
    "losses": {"generator": 0.7, "reconstruction": 0.0345, "discriminator": 1.38},
    "images_per_second": 12345.6,
    "validation": {"latent": {"ratio": 1.234, "mean": [0.5, -0.5]}},
}
Z = np.zeros((4, 2))


@pytest.fixture
def model(tiny_config):
    return make_model(tiny_config, image_shape=(8, 8, 1))


def events_of(folder):
    """All events: each is 8 bytes of length, 4 of checksum, itself, 4 of checksum."""
    found = []
    for path in sorted(folder.iterdir()):
        content = path.read_bytes()
        while content:
            end = 12 + int.from_bytes(content[:8], "little")
            found.append(event_pb2.Event.FromString(content[12:end]))
            content = content[end + 4 :]
    return found


def values_of(events, step):
    """The values of a step by name."""
    return {v.tag: v for e in events if e.step == step for v in e.summary.value}


def test_tensorboard_holds_scalars_histograms_and_images(finished):
    events = events_of(finished.folder.tensorboard)
    line = finished.folder.read_log()[-1]
    values = values_of(events, line["step"])
    for name, value in line["losses"].items():
        assert values[f"losses/{name}"].simple_value == pytest.approx(value)
    ratio = line["validation"]["latent"]["ratio"]
    assert values["validation/latent/ratio"].simple_value == pytest.approx(ratio)
    mean = line["validation"]["latent"]["mean"]
    assert values["validation/latent/mean/1"].simple_value == pytest.approx(mean[1])
    for index in (0, 1):
        assert values[f"codes/{index}"].histo.num == 40
        assert values[f"prior/{index}"].histo.num == 2000
    image = values["samples"].image
    assert image.encoded_image_string.startswith(b"\x89PNG")
    assert image.height % 8 == 0
    assert "step" not in values
    assert "epoch" not in values


def test_what_a_resumed_run_repeats_is_purged_from_its_curves(
    model, tiny_state, tmp_path
):
    folder = RunFolder(tmp_path)
    with Board(folder, model, first_step=18) as board:
        board.epoch(LINE, tiny_state("aae").params, Z)
    events = events_of(folder.tensorboard)
    starts = [event.step for event in events if event.HasField("session_log")]
    assert starts == [19]  # the first step that counts no more
    assert "losses/generator" in values_of(events, 36)


def test_a_full_disk_ends_the_curves_and_not_the_training(model, tiny_state, tmp_path):
    folder, params, told = RunFolder(tmp_path), tiny_state("aae").params, []
    with Board(folder, model, first_step=0, say=told.append) as board:
        board.epoch(LINE, params, Z)
        (path,) = folder.tensorboard.iterdir()
        before = path.read_bytes()
        with file_size_limit(len(before) + 100):
            for _ in range(30):
                board.epoch(LINE, params, Z)
        assert told == ["no more curves for TensorBoard: File too large"]
    assert path.read_bytes().startswith(before)


def fail_on_a_full_disk(board, params):
    """What a checkpoint does there."""
    with board, file_size_limit(10):
        board.epoch(LINE, params, Z)
        raise ZeroDivisionError


def test_what_else_fails_on_a_full_disk_is_still_told(model, tiny_state, tmp_path):
    told = []
    board = Board(RunFolder(tmp_path), model, first_step=0, say=told.append)
    with pytest.raises(ZeroDivisionError):
        fail_on_a_full_disk(board, tiny_state("aae").params)
    assert len(told) == 1


def test_without_a_place_for_curves_there_are_none(model, tiny_state, tmp_path):
    folder, told = RunFolder(tmp_path), []
    folder.tensorboard.write_text("in the way")
    with Board(folder, model, first_step=0, say=told.append) as board:
        board.epoch(LINE, tiny_state("aae").params, Z)
    assert told == ["no more curves for TensorBoard: File exists"]
