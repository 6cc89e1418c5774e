"""How a script ends: failures in one sentence on stderr, and a status for the shell."""

import contextlib
import errno
import io
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from aae_jax.errors import RunError, UserError
from aae_jax.messages import say_on_stderr
from aae_jax.signals import Interrupted
from aae_jax.supervisor import ENDED, is_watched

_STOPPED = "stopped; what was saved before is intact"


def exit_status(main: Callable[[], object], *, script: str) -> int:
    """Run a script's body; tell failures in one sentence on stderr.

    Returns:
      0 done, 2 the input is at fault, 1 anything else that went wrong; 130, 143 or 129
      stopped by SIGINT, SIGTERM or SIGHUP after saving, 141 as nobody reads its lines.
    """
    status = _status(main, script=script)
    if status and is_watched():
        os._exit(status)  # at a usual end the runtime waits for all processes
    return status


def _status(main: Callable[[], object], *, script: str) -> int:
    for stream in (sys.stdout, sys.stderr):  # a path may hold what cannot be shown
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _unraisable_ends(script):
            main()
        sys.stdout.flush()
    except UserError as error:
        return _tell(script, error, 2)
    except RunError as error:
        return _tell(script, error, 1)
    except Interrupted as stopped:
        return _tell(script, stopped, stopped.exit_status)
    except ModuleNotFoundError as error:
        return _tell(
            script,
            f"the package {error.name} is not installed; type 'make setup', then "
            "'source .venv/bin/activate'",
            2,
        )
    except KeyboardInterrupt:
        return _tell(script, _STOPPED, 130)
    except BrokenPipeError:
        # Whoever read our output has enough of it, as `head` does after ten lines.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return _tell(script, f"{error.filename} is too long a name; shorten it", 2)
        return _tell(script, error, 1)
    except Exception as error:
        if is_watched() and _is_of_runtime(error):
            return _tell(script, ENDED, 1)
        # jax's error for a full memory is not a MemoryError.
        if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
            return _tell(script, "the memory is full; try a smaller network", 1)
        for line in traceback.format_exc().splitlines():
            say_on_stderr(line)
        return _tell(script, "this is a mistake of ours; please report the above", 1)
    return 0


@contextlib.contextmanager
def _unraisable_ends(script: str) -> Iterator[None]:
    """End at a Ctrl-C that came where Python drops exceptions, as in callbacks."""
    before = sys.unraisablehook

    def hook(dropped: Any) -> None:
        if "loop is closed" in str(dropped.exc_value):
            return None  # of a thread that reads a checkpoint found to be damaged
        if not issubclass(dropped.exc_type, KeyboardInterrupt):
            return before(dropped)
        os._exit(_tell(script, _STOPPED, 130))

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before


def _is_of_runtime(error: Exception) -> bool:
    """Whether another process's end can be behind it; Gloo's errors have no class."""
    return type(error).__name__ == "JaxRuntimeError" or "Gloo" in str(error)


def _tell(script: str, what: object, status: int) -> int:
    """Say what went wrong on one line that cannot drive a terminal."""
    sentence = " ".join(str(what).split())
    with contextlib.suppress(BrokenPipeError):  # nobody reads it
        say_on_stderr(f"{script}: {sentence}")
    return status
