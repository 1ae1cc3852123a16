"""SIGINT and SIGTERM while training: they wait for the end of a step, which then is saved."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType, TracebackType

Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(KeyboardInterrupt):
    """A signal ended the work, and what was done is kept.

    Args:
        message: what was reached, and how to go on.
        number: of the signal.
    """

    def __init__(self, message: str, number: int = signal.SIGINT) -> None:
        super().__init__(message)
        self.number = number

    @property
    def code(self) -> int:
        """The exit code of a command that the signal ends, as shells expect it."""
        return 128 + self.number


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within it SIGTERM raises `Interrupted`, as Ctrl-C raises KeyboardInterrupt.

    So what is held is let go of. A signal that the process ignores stays ignored.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise Interrupted("terminated", number)

    before = signal.getsignal(signal.SIGTERM)
    main = threading.current_thread() is threading.main_thread()
    if not main or before in (signal.SIG_IGN, None):
        yield
        return
    signal.signal(signal.SIGTERM, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


class Deferred:
    """Within it the first SIGINT or SIGTERM is only noted in `received`; a second one acts at once.

    A signal that was noted and not answered by an exception acts when the block ends. Signals that
    the process ignores, as shells have it for jobs in the background, stay ignored. Outside of the
    main thread, where Python cannot set handlers, nothing is noted.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._before: dict[signal.Signals, Handler] = {}

    def __enter__(self) -> Deferred:
        if threading.current_thread() is threading.main_thread():
            for number in SIGNALS:
                # None: a handler that was not set from Python, which could not be set again.
                if signal.getsignal(number) not in (signal.SIG_IGN, None):
                    self._before[number] = signal.signal(number, self._note)
        return self

    def _note(self, number: int, frame: FrameType | None) -> None:
        self.received = number
        self._restore()

    def _restore(self) -> None:
        while self._before:
            number, handler = self._before.popitem()
            signal.signal(number, handler)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._restore()
        if error is None and self.received is not None:
            signal.raise_signal(self.received)
