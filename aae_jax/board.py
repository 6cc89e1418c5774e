"""A run's numbers, codes and samples as TensorBoard shows them."""

import contextlib
import os
import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any, Self

import jax
import numpy as np
from numpy.typing import NDArray
from tensorboardX import summary
from tensorboardX.proto.event_pb2 import Event, SessionLog
from tensorboardX.record_writer import RecordWriter

from aae_jax.messages import Say, say_on_stderr
from aae_jax.metrics import numbers_in
from aae_jax.networks import Params
from aae_jax.phases import Model
from aae_jax.run_folder import RunFolder

_SHOWN_CODES, _SHOWN_IMAGES, _SHOWN_DIMENSIONS = 2_000, 16, 8
_BINS = 50


class Board:
    """TensorBoard files of a run; the only user of tensorboardX.

    Curves are worth less than the training: where the disk refuses them, that is said
    once and the training goes on without. Events are written here and now, because the
    thread of tensorboardX's own writer dies of a full disk, and its queue then blocks.
    """

    def __init__(
        self,
        folder: RunFolder,
        model: Model,
        *,
        first_step: int,
        say: Say = say_on_stderr,
    ) -> None:
        """Begin a file of events; what lies after `first_step` in others is purged."""
        self._say = say
        self._events: RecordWriter | None = None
        self._z_prior = model.prior.sample(jax.random.key(0), _SHOWN_CODES)
        self._decode = jax.jit(model.networks.decode_sample)
        self._y = np.arange(_SHOWN_IMAGES) % max(model.networks.n_categories, 1)
        with self._or_without():
            folder.tensorboard.mkdir(parents=True, exist_ok=True)
            # The name is TensorBoard's: it reads the files in this order.
            name = f"events.out.tfevents.{int(time.time())}"
            name += f".{socket.gethostname()}.{os.getpid()}"
            self._events = RecordWriter(str(folder.tensorboard / name))
            start = SessionLog(status=SessionLog.START)
            self._write(
                Event(file_version="brain.Event:2"),
                Event(step=first_step + 1, session_log=start),
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with self._or_without():
            if self._events is not None:
                self._events.close()

    def epoch(self, line: Mapping[str, Any], params: Params, z: NDArray) -> None:
        """The numbers of a log line; codes beside prior; decoded prior samples."""
        if self._events is None:
            return
        z_prior = np.asarray(self._z_prior)
        shown = self._z_prior[:_SHOWN_IMAGES]
        images = np.asarray(self._decode(params, shown, self._y))
        summaries = [summary.scalar(name, value) for name, value in numbers_in(line)]
        for index in range(min(z.shape[1], _SHOWN_DIMENSIONS)):
            for name, codes in (("codes", z), ("prior", z_prior)):
                shown = codes[:, index]
                summaries.append(summary.histogram(f"{name}/{index}", shown, _BINS))
        summaries.append(summary.image("samples", images, dataformats="NHWC"))
        with self._or_without():
            self._write(*(Event(step=line["step"], summary=s) for s in summaries))

    def _write(self, *events: Event) -> None:
        assert self._events is not None
        for event in events:
            event.wall_time = time.time()
            self._events.write(event.SerializeToString())
        self._events.flush()

    @contextlib.contextmanager
    def _or_without(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            with contextlib.suppress(OSError):  # it tries once more to write
                if self._events is not None:
                    self._events.close()
            self._events = None
            self._say(f"no more curves for TensorBoard: {error.strerror or error}")
