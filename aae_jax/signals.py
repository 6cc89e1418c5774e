"""Signals as a request to stop, which the training loop reads between two chunks."""

import contextlib
import os
import signal
import threading
import time
from types import FrameType
from typing import Any, Self

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_ONE_SIGNAL = 1.0
"""Seconds in which the same one counts once: `timeout` sends it to a process, then to
all of its group, and fingers slip."""
_HEARD = b"\nstopping: saving first; a second signal ends at once\n"


class Interrupted(KeyboardInterrupt):
    """A training was asked to stop and has saved. `exit_status` is the shell's.

    A loop over trainings that catches every Exception is stopped by it too.
    """

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_status = 128 + number


class StopRequest:
    """`with StopRequest() as stop:` notes the first signal in `stop.number`.

    A second one, a second later or of another kind, ends the process at once, however
    busy a compiled program keeps Python: a thread reads what C notes of signals. Only
    SIGHUP may come again, as a shell and the kernel both send it when a terminal is
    closed. A signal that is ignored stays ignored, as Ctrl-C is by a shell's job in the
    background. Outside the main thread, where Python hands out no signals, nothing is
    noted.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is not threading.main_thread():
            return self
        found = {each: signal.getsignal(each) for each in STOPPING}
        # None: a handler from outside Python, which could not be put back.
        self._before = {
            each: handler
            for each, handler in found.items()
            if handler not in (signal.SIG_IGN, None)
        }
        if not self._before:
            return self
        self._heard, self._told = os.pipe()
        os.set_blocking(self._told, False)
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self._told_before = signal.set_wakeup_fd(self._told, warn_on_full_buffer=False)
        for number in self._before:
            signal.signal(number, _leave_it_to_the_thread)
        return self

    def __exit__(self, *exception: object) -> None:
        if not self._before:
            return
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._told_before)
        os.close(self._told)  # the thread reads to the end of the pipe
        self._thread.join()
        os.close(self._heard)

    def _listen(self) -> None:
        """Read the numbers of signals, a byte each, as they come."""
        since = 0.0
        while byte := os.read(self._heard, 1):
            number = byte[0]
            if number not in self._before:
                continue
            if self.number is None:
                self.number, since = number, time.monotonic()
                # Not by print, which may be what was interrupted.
                with contextlib.suppress(OSError):
                    os.write(2, _HEARD)
            elif number == self.number and time.monotonic() - since < _ONE_SIGNAL:
                continue
            elif number != signal.SIGHUP:
                os._exit(128 + number)


def _leave_it_to_the_thread(number: int, frame: FrameType | None) -> None:
    """Python wants a handler, or the signal would end the process."""
