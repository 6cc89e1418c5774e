"""A process of a distributed training, watched by its parent.

The runtime ends a process in its own way, with pages on stderr, when another one dies.
The parent is there to say what happened. No jax is imported here.
"""

import os
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from types import FrameType

from aae_jax.errors import RunError, UserError
from aae_jax.signals import STOPPING

ENDED = (
    "another process of this training has ended or cannot be reached, so this one ends "
    "too; what the first one saved is intact: start all of them again, with --resume "
    "and its --run-dir"
)
_PIPE = "AAE_JAX_PARENT"
"""Names, in the environment of a child, the pipe that closes when its parent dies."""
_OURS = {0, 1, 2, *(128 + number for number in (*STOPPING, signal.SIGPIPE))}
"""Exit statuses that a training ends with by itself."""


@dataclass(frozen=True)
class Cluster:
    """The processes of a training, as the command line names them.

    Attributes:
      coordinator: `host:port` of the first process; None where the cluster's own
        environment tells it (Slurm, Open MPI, Kubernetes, Cloud TPU), and the rest.
      processes: how many there are.
      process_id: which of them this is, from 0.
    """

    coordinator: str | None = None
    processes: int | None = None
    process_id: int | None = None

    def __post_init__(self) -> None:
        """Refuse what is no cluster.

        Raises:
          UserError: with what is to be typed.
        """
        given = (self.coordinator, self.processes, self.process_id)
        if given == (None, None, None):
            return
        if self.coordinator is None or self.processes is None or None in given:
            raise UserError(
                "--coordinator HOST:PORT, --processes and --process-id go together; "
                "give all three, or none where the cluster's environment tells them"
            )
        host, _, port = self.coordinator.rpartition(":")
        if not (host and port.isdecimal() and len(port) < 6 and 0 < int(port) < 65_536):
            raise UserError(
                f"coordinator={self.coordinator!r} is no HOST:PORT; give the address "
                "of the process with --process-id 0, such as 10.0.0.1:9876"
            )
        if not 0 <= (self.process_id or 0) < self.processes:
            raise UserError(
                f"process_id={self.process_id} is out of range; it counts from 0 to "
                f"{max(self.processes, 1) - 1}, with --processes {self.processes}"
            )


def is_watched() -> bool:
    """Whether this process is a child of `watch_child`."""
    return _PIPE in os.environ


def watch_child() -> int:
    """Run this command in a child, pass signals on, and return its exit status.

    Raises:
      RunError: the runtime ended the child.
    """
    theirs, ours = os.pipe()
    child = subprocess.Popen(
        [sys.executable, *sys.argv],
        env=os.environ | {_PIPE: str(theirs)},
        pass_fds=(theirs,),
        process_group=0,  # Ctrl-C reaches it through us alone, once
    )
    os.close(theirs)

    def pass_on(number: int, frame: FrameType | None) -> None:
        child.send_signal(number)

    for number in STOPPING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, pass_on)
    status = child.wait()
    os.close(ours)
    if status < 0 and -status != signal.SIGABRT:  # by which the runtime ends it
        raise RunError(
            f"this process was ended by signal {-status} ({signal.strsignal(-status)}) "
            "and the others end with it; what the first one saved is intact: start all "
            "of them again, with --resume and its --run-dir"
        )
    if status not in _OURS:
        raise RunError(ENDED)
    return status


def be_watched() -> None:
    """In a child: end with the parent, and keep what the runtime prints off stdout."""
    pipe = int(os.environ[_PIPE])

    def wait() -> None:
        os.read(pipe, 1)  # nobody writes: it returns when the parent is no more
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()
    sys.stdout.flush()
    results = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = open(results, "w", errors="backslashreplace")  # noqa: SIM115
