"""Several processes, on one machine or on many, that train one model together.

Each holds the whole state, and all images unless they stay on disk, and computes its
part of every batch; the first alone reads and writes run folders. Whatever hangs on
time, signals or the disk is agreed upon: a computation that one process leaves out
stops all.
"""

import json
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from aae_jax.errors import RunError, UserError
from aae_jax.supervisor import Cluster

SECONDS_UNTIL_DEAD = 30
"""How long a process may be silent before the others are ended."""
SECONDS_TO_CONNECT = 60
"""How long the others wait for the first process to be there."""
_SECONDS_TO_FINISH = 3600
"""How long the others may wait while the first draws and measures."""
_ERRORS = {"UserError": UserError, "RunError": RunError}

Tree = TypeVar("Tree")


def join(cluster: Cluster) -> None:
    """Become one of the processes. Before anything else is asked of jax.

    Raises:
      UserError: the coordinator cannot be reached; the environment names none.
    """
    if cluster.coordinator is not None:
        _reach(cluster)
    try:
        jax.distributed.initialize(
            cluster.coordinator,
            cluster.processes,
            cluster.process_id,
            heartbeat_timeout_seconds=SECONDS_UNTIL_DEAD,
            shutdown_timeout_seconds=_SECONDS_TO_FINISH,
            initialization_timeout=SECONDS_TO_CONNECT,
        )
    except ValueError as error:
        raise UserError(
            "--distributed finds no cluster in the environment; give --coordinator "
            "HOST:PORT, --processes and --process-id"
        ) from error
    except RuntimeError as error:
        first = str(error).splitlines()[0]
        raise RunError(
            f"the processes did not come together within {SECONDS_TO_CONNECT} s "
            f"({first}); start all of them, each with its own --process-id"
        ) from error


def _reach(cluster: Cluster) -> None:
    """Try the coordinator's address by TCP: the runtime's own errors are pages long."""
    assert cluster.coordinator is not None
    host, _, port = cluster.coordinator.rpartition(":")
    address = (host.strip("[]"), int(port))
    try:
        if cluster.process_id == 0:
            family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
            with socket.socket(family, socket.SOCK_STREAM) as bound:
                bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                bound.bind(address)
            return
        until = time.monotonic() + SECONDS_TO_CONNECT
        while True:
            try:
                socket.create_connection(address, timeout=5).close()
                return
            except (ConnectionRefusedError, TimeoutError):  # it may be starting still
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)
    except OSError as error:
        raise UserError(
            f"the coordinator {cluster.coordinator} cannot be reached "
            f"({error.strerror or error}); give --coordinator the address of the "
            "process with --process-id 0 and a free port there, the same to all"
        ) from error


def is_first() -> bool:
    """Whether this process is the one that reads and writes."""
    return jax.process_index() == 0


def refuse_disagreement(
    values: Mapping[str, Any],
    *,
    instead: str = "start all with the same command and the same data",
) -> None:
    """Check that all processes have the same; `values` go through JSON.

    `instead` ends the sentence, with what to do.

    Raises:
      UserError: with the first name that differs, in all processes alike.
    """
    if jax.process_count() == 1:
        return
    of_each = [json.loads(text) for text in _gather(json.dumps(values))]
    for process, other in enumerate(of_each):
        for name, value in of_each[0].items():
            if other.get(name) != value:
                raise UserError(
                    f"process {process} has {name} {other.get(name)!r} and process 0 "
                    f"has {value!r}; {instead}"
                )


def agree(until: int, save: bool, stop: int | None) -> tuple[int, bool, int | None]:
    """What all do next.

    That is the step to go to and whether to save, as the first process wants it, and
    the signal that any of them has heard.
    """
    if jax.process_count() == 1:
        return until, save, stop
    wanted = np.array([until, save, stop or 0], np.int32)
    of_each = multihost_utils.process_allgather(wanted)
    until, save, _ = of_each[0]
    return int(until), bool(save), int(of_each[:, 2].max()) or None


def told_by_first(tell: Callable[[], Any]) -> Any:
    """What `tell()` gives in the first process, through JSON, in all of them.

    Raises:
      UserError, RunError: as it does there, in all of them.
    """
    if jax.process_count() == 1:
        return tell()
    told: dict[str, Any] = {}
    if is_first():
        try:
            told = {"value": tell()}
        except (UserError, RunError) as error:
            told = {"error": type(error).__name__, "sentence": str(error)}
    told = json.loads(_gather(json.dumps(told))[0])
    if "error" in told:
        raise _ERRORS[told["error"]](told["sentence"])
    return told["value"]


def copied_from_first(tree: Tree) -> Tree:
    """The arrays of the first process in all of them, to the bit; keys are arrays too.

    All have the same shapes and dtypes.
    """
    if jax.process_count() == 1:
        return tree
    return jax.tree.map(_copied, tree)


def _copied(leaf: Any) -> Any:
    if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _copied(jax.random.key_data(leaf))
        return jax.random.wrap_key_data(data, dtype=leaf.dtype)
    array = np.asarray(leaf)
    # As bytes: a sum with the others' zeros would make 0.0 of -0.0.
    content = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    content = multihost_utils.broadcast_one_to_all(content)
    return jax.numpy.array(content.view(array.dtype).reshape(array.shape))


def _gather(text: str) -> Sequence[str]:
    """The texts of all processes, in their order."""
    content = text.encode()
    lengths = multihost_utils.process_allgather(np.array(len(content), np.int32))
    padded = np.zeros(int(lengths.max()), np.uint8)
    padded[: len(content)] = np.frombuffer(content, np.uint8)
    rows = multihost_utils.process_allgather(padded)
    return [
        bytes(row[:length]).decode() for row, length in zip(rows, lengths, strict=True)
    ]
