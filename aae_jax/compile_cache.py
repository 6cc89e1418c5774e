"""Compiled programs, kept in the user's cache folder for the next process."""

import contextlib
import hashlib
import importlib.metadata
import os
import platform
from pathlib import Path

from aae_jax.data.prepared import cache_folder

MAX_BYTES = 2**30
"""Of all that is kept for one machine; what was used least goes first."""
_TIME_BYTES = 8


def keep_compiled_programs() -> None:
    """Let jax keep what it compiles from now on, and take what it has kept before.

    To be called before jax is imported. A program that is found is the one that was
    compiled, bit for bit. A choice of the user's own (`JAX_COMPILATION_CACHE_DIR`,
    `JAX_ENABLE_COMPILATION_CACHE`) stands. Where nothing can be written, nothing is
    kept.
    """
    if "JAX_COMPILATION_CACHE_DIR" in os.environ:
        return
    folder = cache_folder() / "compiled" / _machine()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return
    if not os.access(folder, os.W_OK | os.X_OK):
        return
    _remove_unfinished(folder)
    # A program of another machine is compiled anew; its loader need not tell the user.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import jax

    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_compilation_cache_max_size", MAX_BYTES)
    # Small programs are many, and take as long as the large ones together.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def _remove_unfinished(folder: Path) -> None:
    """Remove programs whose writing was cut short, as by a kill.

    jax writes a program and then, beside it, when it was used. Where that is missing it
    would warn at each program from then on, and keep no more.
    """
    for program in folder.glob("*-cache"):
        used = program.with_name(program.name.removesuffix("-cache") + "-atime")
        try:
            whole = used.stat().st_size == _TIME_BYTES
        except FileNotFoundError:
            whole = False
        if not whole:
            with contextlib.suppress(OSError):  # another process may be faster
                program.unlink()


def _machine() -> str:
    """Twelve digits for the processor and for what compiles.

    A home folder may be shared by machines, and a program of one may use instructions
    that another lacks.
    """
    told = [importlib.metadata.version("jaxlib"), platform.system()]
    told += [platform.machine(), platform.processor()]
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        lines = cpuinfo.read_text(errors="replace").splitlines()
        kinds = ("model name", "flags", "Features", "CPU part")
        told += sorted({line for line in lines if line.startswith(kinds)})
    return hashlib.sha256("\n".join(told).encode()).hexdigest()[:12]
