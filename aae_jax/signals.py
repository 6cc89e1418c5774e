"""Signals as a request to stop, which the training loop reads between two chunks."""

import contextlib
import os
import signal
import threading
from collections.abc import Mapping
from types import FrameType
from typing import Any, Self

STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
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

    The second one ends the process at once. A signal that is ignored stays ignored, as
    Ctrl-C is by a shell's job in the background. Outside the main thread, where Python
    hands out no signals, nothing is noted.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            found = {each: signal.getsignal(each) for each in STOPPING}
            # None: a handler from outside Python, which could not be put back.
            self._before = {
                each: handler
                for each, handler in found.items()
                if handler not in (signal.SIG_IGN, None)
            }
            self._handle(dict.fromkeys(self._before, self._note))
        return self

    def __exit__(self, *exception: object) -> None:
        self._handle(self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        # Not by print, which may be what was interrupted.
        with contextlib.suppress(OSError):
            os.write(2, _HEARD)
        self._handle(dict.fromkeys(self._before, signal.SIG_DFL))

    def _handle(self, handlers: Mapping[int, Any]) -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
