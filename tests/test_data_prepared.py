"""Getting, preparing and reading sets in the format of tensorflow-datasets."""

import contextlib
import functools
import hashlib
import http.server
import io
import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from idx_files import NAMES, make_arrays, sums_of, write_idx_folder
from PIL import Image

from aae_jax.data import check_dataset_name, load_dataset, prepare, resolve
from aae_jax.data.__main__ import main
from aae_jax.data.prepared import cache_root
from aae_jax.data.preparing import (
    FILES,
    ORIGINS,
    Origin,
    check_reachable,
    download,
    prepare_folder,
)
from aae_jax.data.stored import StoredImages
from aae_jax.errors import RunError, UserError

READ_WITH_TFDS = """
import hashlib, json, sys
import tensorflow_datasets as tfds
found = {}
for split in ("train", "test"):
    source = tfds.data_source("mnist", split=split, data_dir=sys.argv[1])
    found[split] = [
        [hashlib.sha256(record["image"].tobytes()).hexdigest(), int(record["label"])]
        for record in source
    ]
    assert source[0]["image"].shape == (28, 28, 1)
assert "tensorflow" not in sys.modules
print(json.dumps(found))
"""


def quiet(line: str) -> None:
    """Takes lines for the user and drops them."""


@pytest.fixture(scope="module")
def arrays() -> dict:
    return make_arrays()


@pytest.fixture(scope="module")
def root(tmp_path_factory, arrays) -> Path:
    """A data folder in which the tiny set is prepared as mnist."""
    folder = write_idx_folder(tmp_path_factory.mktemp("idx"), arrays)
    root = tmp_path_factory.mktemp("root")
    made = prepare_folder("mnist", folder, root, sums=sums_of(folder), say=quiet)
    assert made == root / "mnist" / "3.0.1"
    return root


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch):
    """Servers of this machine are asked directly, whatever the environment says."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")


@pytest.fixture
def idx_folder(tmp_path, arrays) -> Path:
    return write_idx_folder(tmp_path / "idx", arrays)


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """Serves files without a line for each request."""

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def served(folder: Path, handler: type = QuietHandler):
    """The folder behind a web server of this machine; gives the address."""
    answer = functools.partial(handler, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), answer) as server:
        serving = threading.Thread(target=server.serve_forever, args=(0.01,))
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            serving.join()


def closed_address() -> str:
    """An address at which nothing answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/"


def pairs(images: np.ndarray, labels: np.ndarray) -> list[tuple[bytes, int]]:
    return sorted((x.tobytes(), int(y)) for x, y in zip(images, labels, strict=True))


def test_prepared_set_holds_the_images_of_the_idx_files(root, arrays):
    dataset = load_dataset("mnist", data_dir=root)
    assert dataset.name == "mnist"
    assert dataset.image_shape == (28, 28, 1)
    assert dataset.class_names == tuple("0123456789")
    train = pairs(dataset.x_train, dataset.y_train)
    assert train == pairs(arrays["x"], arrays["y"])
    test = pairs(dataset.x_test, dataset.y_test)
    assert test == pairs(arrays["x_test"], arrays["y_test"])


def test_another_process_reads_it_with_tfds_alone(root):
    command = [sys.executable, "-W", "ignore", "-c", READ_WITH_TFDS, str(root)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    dataset = load_dataset("mnist", data_dir=root)
    for split, x, y in (
        ("train", dataset.x_train, dataset.y_train),
        ("test", dataset.x_test, dataset.y_test),
    ):
        sums = [hashlib.sha256(image.tobytes()).hexdigest() for image in x]
        # In the same order, too.
        assert found[split] == [
            [s, int(label)] for s, label in zip(sums, y, strict=True)
        ]


def test_auto_finds_the_prepared_set(root):
    said = []
    assert resolve("auto", data_dir=root) == "mnist"
    assert load_dataset("auto", data_dir=root, say=said.append).name == "mnist"
    assert said == ["dataset: mnist"]


def test_names_with_version_and_config(root, tmp_path):
    (tmp_path / "letters" / "small").mkdir(parents=True)
    for version in ("3.0.1", "3.0.10"):
        target = tmp_path / "letters" / "small" / version
        target.symlink_to(root / "mnist" / "3.0.1")
    for name in ("letters/small", "letters/small:3.0.1"):
        check_dataset_name(name, data_dir=tmp_path)
    assert len(load_dataset("letters/small", data_dir=tmp_path).x_train) == 24
    with pytest.raises(UserError, match="did you mean letters/small"):
        check_dataset_name("leters/small", data_dir=tmp_path)
    for name in ("letters/small:9.9.9", "../letters/small", "letters"):
        with pytest.raises(UserError, match=r"unknown|does not exist"):
            check_dataset_name(name, data_dir=tmp_path)


def test_prepared_images_can_stay_on_disk(root):
    """The same ones in the same order, read by rows."""
    dataset = load_dataset("mnist", data_dir=root)
    stored = load_dataset("mnist", data_dir=root, memory_limit=1e-5)
    assert isinstance(stored.x_train, StoredImages)
    assert stored.fingerprint() == dataset.fingerprint()
    np.testing.assert_array_equal(stored.x_train[[5, 2]], dataset.x_train[[5, 2]])
    np.testing.assert_array_equal(stored.y_train, dataset.y_train)


def test_images_of_prepared_sets_are_scaled(root):
    small = load_dataset("mnist", data_dir=root, image_size=(7, 9))
    assert small.image_shape == (7, 9, 1)


def test_a_set_that_is_prepared_stays(root):
    before = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    said = []
    prepare("mnist", data_dir=root, say=said.append)
    assert "already prepared" in said[0]
    after = sorted((path, path.stat().st_mtime_ns) for path in root.rglob("*"))
    assert after == before


def test_preparation_that_fails_leaves_nothing(tmp_path, arrays):
    wrong = arrays | {"y_test": np.full_like(arrays["y_test"], 77)}  # no such class
    folder = write_idx_folder(tmp_path / "idx", wrong)
    root = tmp_path / "root"
    with pytest.raises(ValueError, match="77"):
        prepare_folder("mnist", folder, root, sums=sums_of(folder), say=quiet)
    assert resolve("auto", data_dir=root) == "sample"
    assert not [path for path in root.rglob("*") if path.is_file()]


def test_half_written_sets_are_not_found(root, tmp_path):
    folder = tmp_path / "mnist" / "incomplete.ABCDEF_3.0.1"
    folder.mkdir(parents=True)
    for path in (root / "mnist" / "3.0.1").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    assert resolve("auto", data_dir=tmp_path) == "sample"


def test_stock_tfrecord_copy_is_not_taken(root, tmp_path):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    info = json.loads((root / "mnist/3.0.1/dataset_info.json").read_text())
    (folder / "dataset_info.json").write_text(
        json.dumps(info | {"fileFormat": "tfrecord"})
    )
    assert resolve("auto", data_dir=tmp_path) == "sample"


@pytest.fixture
def copy(root, tmp_path) -> Path:
    """A copy of the prepared set, to be damaged."""
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    for path in (root / "mnist" / "3.0.1").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    return folder


def test_damaged_records_are_refused(copy):
    for path in copy.glob("*train*array_record*"):
        path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(UserError, match="not a sound prepared set"):
        load_dataset("mnist", data_dir=copy.parent.parent)


def test_features_that_would_import_code_are_refused(copy):
    (copy.parent.parent / "evil_feature.py").write_text("raise SystemExit('imported')")
    features = (copy / "features.json").read_text()
    features = features.replace(
        "tensorflow_datasets.core.features.image_feature.Image", "evil_feature.Image"
    )
    (copy / "features.json").write_text(features)
    with pytest.raises(UserError, match="evil_feature"):
        load_dataset("mnist", data_dir=copy.parent.parent)


def test_sets_without_images_are_refused(copy):
    features = (
        (copy / "features.json").read_text().replace('"image": {\n', '"video": {\n', 1)
    )
    (copy / "features.json").write_text(features)
    with pytest.raises(UserError, match="'image'"):
        load_dataset("mnist", data_dir=copy.parent.parent)


def test_set_without_labels_or_test_split(tmp_path, arrays):
    import tensorflow_datasets as tfds

    class Plain(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.2.3")

        def _info(self):
            image = tfds.features.Image(shape=(28, 28, 1))
            features = tfds.features.FeaturesDict({"image": image})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, dl_manager):
            return {self.split: self._generate_examples()}

        def _generate_examples(self):
            for index, image in enumerate(arrays["x"]):
                png = io.BytesIO()
                Image.fromarray(image).save(png, "PNG")
                yield index, {"image": png.getvalue()}

    for root, split in ((tmp_path / "good", "train"), (tmp_path / "bad", "other")):
        builder = Plain(data_dir=root, file_format="array_record")
        builder.split = split
        builder.download_and_prepare()
    dataset = load_dataset("plain", data_dir=tmp_path / "good")
    assert dataset.y_train is None
    assert dataset.class_names is None
    both = np.concatenate([dataset.x_train, dataset.x_test])
    assert sorted(x.tobytes() for x in both) == sorted(x.tobytes() for x in arrays["x"])
    with pytest.raises(UserError, match="'train' is needed"):
        load_dataset("plain", data_dir=tmp_path / "bad")


def test_files_that_are_not_the_published_ones_are_refused(idx_folder, tmp_path):
    with pytest.raises(
        UserError, match="not the file that is published as mnist"
    ) as caught:
        prepare("mnist", data_dir=tmp_path / "root", source=idx_folder, say=quiet)
    assert f"--dataset {idx_folder}" in str(caught.value)
    assert not (tmp_path / "root").exists()


def test_missing_files_and_folders_are_named(idx_folder, tmp_path):
    next(idx_folder.glob("t10k-labels*")).unlink()
    with pytest.raises(UserError, match="t10k-labels"):
        prepare("mnist", data_dir=tmp_path, source=idx_folder, say=quiet)
    with pytest.raises(UserError, match="not a folder"):
        prepare("mnist", data_dir=tmp_path, source=tmp_path / "none", say=quiet)
    with pytest.raises(UserError, match="choose one of mnist, fashion_mnist"):
        prepare("cifar10", data_dir=tmp_path, say=quiet)


def test_download_brings_the_four_files(tmp_path):
    site, target = tmp_path / "site", tmp_path / "target"
    site.mkdir()
    target.mkdir()
    for number, name in enumerate(FILES.values()):
        (site / name).write_bytes(bytes([number]) * 3_000_000)
    with served(site) as url:
        check_reachable("mnist", url)
        download(url, target, say=quiet)
        (site / FILES["y"]).unlink()
        (tmp_path / "again").mkdir()
        with pytest.raises(RunError, match="broke off"):
            download(url, tmp_path / "again", say=quiet)
    for number, name in enumerate(FILES.values()):
        assert (target / name).read_bytes() == bytes([number]) * 3_000_000


def test_download_that_breaks_off_is_noticed(tmp_path):
    """A server that promises more bytes than it sends before it hangs up."""

    class Short(QuietHandler):
        def do_GET(self):
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(bytes(400))

    with (
        served(tmp_path, Short) as url,
        pytest.raises(RunError, match="400 of 1000 bytes"),
    ):
        download(url, tmp_path, say=quiet)


def test_unreachable_server_is_told(tmp_path):
    with pytest.raises(UserError, match="--from FOLDER"):
        check_reachable("mnist", closed_address())
    with served(tmp_path) as url, pytest.raises(UserError, match=r"(?i)not found"):
        check_reachable("mnist", url)


def test_server_that_never_answers_is_given_up():
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(UserError, match="cannot be downloaded"):
            check_reachable("mnist", url, seconds=0.2)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist", "mnsit"])
def test_command_without_a_network(tmp_path, name):
    nowhere = closed_address()
    environment = os.environ | {
        "http_proxy": nowhere,
        "https_proxy": nowhere,
        "no_proxy": "",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, "-m", "aae_jax.data", name],
        capture_output=True,
        text=True,
        env=environment,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert ("--dataset sample" if name != "mnsit" else "choose one of") in done.stderr
    assert not (tmp_path / "cache").exists()


def test_published_sums_are_those_of_tensorflow_datasets():
    import tensorflow_datasets

    folder = Path(tensorflow_datasets.__file__).parent / "url_checksums"
    for name, origin in ORIGINS.items():
        rows = [
            line.split("\t")
            for line in (folder / f"{name}.txt").read_text().split("\n")
        ]
        theirs = {row[0]: row[2] for row in rows if len(row) > 2}
        ours = {origin.url + FILES[key]: sums[0] for key, sums in origin.sums.items()}
        assert ours == theirs


def test_command_prepares_the_published_files(
    idx_folder, tmp_path, monkeypatch, capsys
):
    """The whole command, the tiny set standing for the published one."""
    tiny = Origin("http://unused/", sums_of(idx_folder))
    monkeypatch.setitem(ORIGINS, "fashion_mnist", tiny)
    root = tmp_path / "root"
    command = ["fashion_mnist", "--from", str(idx_folder), "--data-dir", str(root)]
    assert main(command) == 0
    assert main(command) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert "already prepared" in told.err
    dataset = load_dataset("fashion_mnist", data_dir=root)
    assert dataset.class_names[-1] == "Ankle boot"
    assert len(dataset.x_train) == 24


def test_command_downloads_checks_and_prepares(
    idx_folder, tmp_path, monkeypatch, capsys
):
    site = tmp_path / "site"
    site.mkdir()
    for key, name in FILES.items():
        (site / name).write_bytes((idx_folder / f"{NAMES[key]}.gz").read_bytes())
    with served(site) as url:
        monkeypatch.setitem(ORIGINS, "mnist", Origin(url, sums_of(idx_folder)))
        assert main(["mnist", "--data-dir", str(tmp_path / "root")]) == 0
        assert resolve("auto", data_dir=tmp_path / "root") == "mnist"
        (site / FILES["y"]).write_bytes(b"something else")
        assert main(["mnist", "--data-dir", str(tmp_path / "other")]) == 1
    assert "did not give the files of mnist" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_cache_and_stock_folders(tmp_path, monkeypatch, root):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(root))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_root().is_relative_to(tmp_path)
    assert resolve("auto") == "mnist"
    assert len(load_dataset("mnist", image_size=(2, 2)).x_train) == 24
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "none"))
    assert resolve("auto") == "sample"
