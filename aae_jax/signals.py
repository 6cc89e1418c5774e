"""SIGINT and SIGTERM as a request that the training loop reads between two chunks."""

import signal
import threading
from collections.abc import Mapping
from types import FrameType, TracebackType
from typing import Any, Self

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818 - a request, not an error
    """A training was asked to stop and has saved. `exit_status` is the shell's."""

    def __init__(self, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_status = 128 + number


class StopRequest:
    """`with StopRequest() as stop:` notes the first signal in `stop.number`.

    The second one ends the process at once. Outside the main thread, where Python
    hands out no signals, nothing is noted.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            self._before = {each: signal.signal(each, self._note) for each in STOPPING}
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._restore(self._before)

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        self._restore(dict.fromkeys(STOPPING, signal.SIG_DFL))

    def _restore(self, handlers: Mapping[int, Any]) -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)
