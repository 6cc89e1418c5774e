"""What a run's bits depend on beside config and data: versions, device, cores."""

import hashlib
import importlib.metadata
import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = ("aae-jax", "jax", "jaxlib", "flax", "optax", "numpy")


def this_environment(*, devices: int = 1, together: int = 1) -> dict[str, Any]:
    """Versions, source, platform, devices, cores this process may use, flags of XLA.

    `devices` is how many share the work, `together` how many runs share a program.
    """
    import jax

    found = jax.devices()
    return {
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "source": source_fingerprint(),
        "platform": f"{platform.system()} {platform.machine()}",
        "device": found[0].device_kind,
        "device_count": len(found),
        "devices": devices,
        "together": together,
        "cores": usable_cores(),
        "matmul_precision": jax.config.values["jax_default_matmul_precision"],
        "XLA_FLAGS": os.environ.get("XLA_FLAGS"),
    }


def source_fingerprint() -> str:
    """Twelve digits that tell one state of this package's Python files from another.

    The version cannot: it stays while the source is worked on.
    """
    here = Path(__file__).parent
    digest = hashlib.sha256()
    for path in sorted(here.rglob("*.py")):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(here).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()[:12]


def usable_cores() -> int:
    """Cores that this process may run on; XLA splits its sums among them."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """`jax 0.10.1 -> 0.10.2, cores 2 -> 1`, or '' where nothing differs."""
    return ", ".join(
        f"{name} {before.get(name)} -> {now.get(name)}"
        for name in dict.fromkeys((*before, *now))
        if before.get(name) != now.get(name)
    )


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"  # run from a source folder
