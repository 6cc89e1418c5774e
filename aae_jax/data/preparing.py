"""Getting mnist or fashion_mnist: downloaded or given, checked, and prepared."""

import hashlib
import os
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from aae_jax.data.files import CHUNK_BYTES, open_regular
from aae_jax.data.idx import PARTS, find_idx_files, read_idx
from aae_jax.data.prepared import cache_root, find_prepared
from aae_jax.errors import RunError, UserError
from aae_jax.messages import Say

PROBE_SECONDS = 4.0
READ_SECONDS = 20.0
# No file of the two sets is larger, packed and unpacked.
MAX_FILE_BYTES = 2**25
MAX_UNPACKED_BYTES = 2**26
FILES = {
    "x": "train-images-idx3-ubyte.gz",
    "y": "train-labels-idx1-ubyte.gz",
    "x_test": "t10k-images-idx3-ubyte.gz",
    "y_test": "t10k-labels-idx1-ubyte.gz",
}


@dataclass(frozen=True)
class Origin:
    """Where a set is published; for each file the SHA-256 sums that are right."""

    url: str
    sums: Mapping[str, tuple[str, ...]]


# Addresses and sums of the .gz files are those of tensorflow-datasets (its folder
# url_checksums); the second sums, of mnist, are of the unpacked files.
ORIGINS = {
    "mnist": Origin(
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
        {
            "x": (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
            ),
            "y": (
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
            ),
            "x_test": (
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
            ),
            "y_test": (
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
        },
    ),
    "fashion_mnist": Origin(
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        {
            "x": ("3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",),
            "y": ("a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",),
            "x_test": (
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            ),
            "y_test": (
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        },
    ),
}


def prepare(
    name: str,
    *,
    data_dir: str | os.PathLike | None = None,
    source: str | os.PathLike | None = None,
    say: Say = print,
) -> Path:
    """Make the set ready for `--dataset NAME`, in files that tfds reads as well.

    Args:
      name: `mnist` or `fashion_mnist`.
      data_dir: the tfds data folder to write to; by default our own cache folder.
      source: a folder with the four IDX files as they are published, `.gz`, or for
        mnist also unpacked. Without it they are downloaded.
      say: takes one line for the user.

    Returns:
      The prepared set's folder.

    Raises:
      UserError: another name, no network, files missing or not those published.
      RunError: the download broke off.
    """
    if name not in ORIGINS:
        raise UserError(
            f"{name!r} cannot be prepared here; choose one of {', '.join(ORIGINS)}"
        )
    root = cache_root() if data_dir is None else Path(os.path.expanduser(data_dir))
    found = find_prepared(name, root)
    if found is not None:
        say(f"{name} is already prepared in {found}")
        return found
    origin = ORIGINS[name]
    if source is not None:
        return prepare_folder(
            name, Path(os.path.expanduser(source)), root, sums=origin.sums, say=say
        )
    check_reachable(name, origin.url)
    with tempfile.TemporaryDirectory(prefix="aae_jax-") as folder:
        download(origin.url, Path(folder), say=say)
        try:
            return prepare_folder(name, Path(folder), root, sums=origin.sums, say=say)
        except UserError as error:
            raise RunError(
                f"{origin.url} did not give the files of {name}: {error}"
            ) from error


def prepare_folder(
    name: str,
    folder: Path,
    root: Path,
    *,
    sums: Mapping[str, tuple[str, ...]],
    say: Say,
) -> Path:
    """Check the IDX files of a folder against `sums` and prepare them under `root`.

    Raises:
      UserError: a file is missing, or its SHA-256 is not among those of `sums`.
    """
    if not os.path.isdir(folder):
        raise UserError(f"{folder} is not a folder; give the folder of the IDX files")
    files = find_idx_files(folder)
    missing = [f"{start}*" for key, start in PARTS.items() if key not in files]
    if missing:
        raise UserError(
            f"{folder} has no file {', '.join(missing)}; the four files "
            f"{', '.join(FILES.values())} are needed"
        )
    for key in PARTS:
        with open_regular(files[key]) as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        if digest not in sums[key]:
            raise UserError(
                f"{files[key]} is not the file that is published as {name} (its "
                f"SHA-256 is {digest}); give that as .gz, or use your own with "
                f"--dataset {folder}"
            )
    arrays = {
        key: read_idx(path, memory_limit=MAX_UNPACKED_BYTES)
        for key, path in files.items()
    }
    splits = {
        "train": (arrays["x"], arrays["y"]),
        "test": (arrays["x_test"], arrays["y_test"]),
    }
    say(f"preparing {name}, which takes some 10 seconds")
    from aae_jax.data.builder import build  # imports tensorflow_datasets

    made = build(name, splits, root)
    say(f"{name} is prepared in {made}")
    return made


def check_reachable(name: str, url: str, *, seconds: float = PROBE_SECONDS) -> None:
    """Ask the server for one small file's header; a proxy of the environment is used.

    Raises:
      UserError: there is no answer within `seconds`.
    """
    import http.client
    import urllib.request

    failures: list[str] = [f"no answer within {seconds:g} seconds"]

    def ask() -> None:
        request = urllib.request.Request(url + FILES["y_test"], method="HEAD")
        try:
            with urllib.request.urlopen(request, timeout=seconds):
                failures.clear()
        except (OSError, ValueError, http.client.HTTPException) as error:
            failures[:] = [str(getattr(error, "reason", error))]

    # In a thread, for looking up a host's name heeds no time-out.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(seconds)
    if failures:
        raise UserError(
            f"{name} cannot be downloaded from {url} ({failures[0]}); type `python -m "
            f"aae_jax.data {name} --from FOLDER` with a folder of its four IDX files, "
            "or train with --dataset sample"
        )


def download(url: str, folder: Path, *, say: Say) -> None:
    """Download the four files into `folder`; their sums are checked by the caller.

    Raises:
      RunError: a transfer failed or was larger than it should be.
    """
    import http.client
    import urllib.request

    for name in FILES.values():
        say(f"downloading {url}{name}")
        received = 0
        try:
            with (
                urllib.request.urlopen(url + name, timeout=READ_SECONDS) as answer,
                open(folder / name, "xb") as file,
            ):
                while chunk := answer.read(CHUNK_BYTES):
                    received += len(chunk)
                    if received > MAX_FILE_BYTES:
                        raise RunError(f"{url}{name} is larger than it should be")
                    file.write(chunk)
                promised = answer.headers.get("Content-Length", str(received))
            if promised != str(received):
                raise OSError(f"{received:,} of {promised} bytes came")
        except (OSError, http.client.HTTPException) as error:
            raise RunError(
                f"the download of {url}{name} broke off ({error})"
            ) from error
