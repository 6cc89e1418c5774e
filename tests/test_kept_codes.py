"""Codes that a run keeps: as many, as large and the same, however often it stopped."""

import numpy as np
import pytest

from aae_jax import kept_codes
from aae_jax.errors import UserError
from aae_jax.kept_codes import cut_codes, keep_codes, kept_steps, read_codes
from aae_jax.run_folder import RunFolder

STEPS_PER_EPOCH = 7


@pytest.fixture
def folder(tmp_path):
    return RunFolder(tmp_path)


def codes_of(epoch, *, n=50, z_dim=2):
    return np.random.default_rng(epoch).normal(size=(n, z_dim)).astype(np.float32)


def keep(folder, epochs):
    """Keep codes as a training does in some of its epochs."""
    for epoch in epochs:
        step = STEPS_PER_EPOCH * epoch
        arrays = codes_of(epoch), np.arange(50, dtype=np.int32)
        keep_codes(folder, *arrays, step=step, steps_per_epoch=STEPS_PER_EPOCH)


def files(folder):
    return {path.name: path.read_bytes() for path in folder.codes.iterdir()}


@pytest.mark.parametrize(("n", "z_dim", "kept"), [(50, 2, 50), (2000, 1024, 100)])
def test_codes_and_labels_come_back_in_order_and_bounded(folder, n, z_dim, kept):
    codes = codes_of(0, n=n, z_dim=z_dim)
    codes[0] = 1e30  # as of a run that went astray
    y = np.arange(n, dtype=np.int32) - 1
    keep_codes(folder, codes, y, step=5, steps_per_epoch=7)
    (found,) = read_codes(folder, kept_steps(folder), z_dim=z_dim)
    rows = np.arange(kept) * n // kept
    np.testing.assert_array_equal(found.y, y[rows])
    np.testing.assert_allclose(found.z[1:], codes[rows][1:], rtol=1e-3, atol=1e-4)
    assert np.isfinite(found.z).all()
    assert found.step == 5
    assert sum(map(len, files(folder).values())) < 2**18


def test_without_labels_there_are_none(folder):
    keep_codes(folder, codes_of(1), None, step=7, steps_per_epoch=7)
    (found,) = read_codes(folder, [7], z_dim=2)
    assert found.y is None


def test_of_many_epochs_some_are_kept_evenly_spaced(folder, monkeypatch):
    monkeypatch.setattr(kept_codes, "MOST_EPOCHS", 6)
    for newest in range(1, 40):
        keep(folder, [newest])
        epochs = [step // STEPS_PER_EPOCH for step in kept_steps(folder)]
        assert (epochs[0], epochs[-1]) == (1, newest)
        assert min(newest, 4) <= len(epochs) <= 7
        assert len(set(np.diff(epochs[:-1]))) <= 1


@pytest.mark.parametrize(("killed", "saved"), [(9, 7), (25, 6), (26, 24), (13, 0)])
def test_gone_back_to_a_save_a_run_keeps_what_it_would_have(
    tmp_path, monkeypatch, killed, saved
):
    monkeypatch.setattr(kept_codes, "MOST_EPOCHS", 6)
    straight, resumed = RunFolder(tmp_path / "a"), RunFolder(tmp_path / "b")
    for each in (straight, resumed):
        each.path.mkdir()
    keep(straight, range(1, 28))
    keep(resumed, range(1, killed + 1))
    (resumed.codes / "00000001.npz.0a1b2c3d.tmp").touch()
    # In the midst of an epoch, of which nothing is kept yet.
    cut_codes(resumed, STEPS_PER_EPOCH * saved + 3)
    assert all(int(name[:8]) <= STEPS_PER_EPOCH * saved for name in files(resumed))
    keep(resumed, range(saved + 1, 28))
    assert files(resumed) == files(straight)


def test_nothing_kept_is_said_in_a_sentence(folder):
    with pytest.raises(UserError, match="has kept no codes of its epochs: none has"):
        kept_steps(folder)
    folder.codes.mkdir()
    (folder.codes / "notes.txt").touch()
    with pytest.raises(UserError, match="animate another run"):
        kept_steps(folder)


@pytest.mark.parametrize(
    "arrays",
    [
        {"z": np.zeros((3, 5), np.float16)},
        {"z": np.zeros((0, 2), np.float16)},
        {"z": np.zeros((3, 2), np.float64)},
        {"z": np.full((3, 2), np.nan, np.float16)},
        {"z": np.zeros((3, 2), np.float16), "y": np.zeros(4, np.int32)},
        {"z": np.zeros((3, 2), np.float16), "y": np.array([b"", b"", b""])},
        {"z": np.array([print], object)},
        {"z": np.zeros((2**21, 2), np.float16)},
        {"x": np.zeros(3)},
        None,
    ],
)
def test_a_file_that_somebody_else_wrote_is_refused(folder, arrays):
    folder.codes.mkdir()
    path = folder.codes / "00000007.npz"
    if arrays is None:
        path.write_text("z = 1")
    else:
        np.savez_compressed(path, **arrays)
    with pytest.raises(UserError, match=r"00000007\.npz"):
        read_codes(folder, [7], z_dim=2)
