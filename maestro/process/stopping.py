"""An event that whoever waits for a process can wait for at the same time, instead of looking at it again and again."""

from __future__ import annotations

import os
import threading


class StopEvent(threading.Event):
    """Set once, for good; ``descriptor`` becomes readable then.

    With a thousand steps waiting, looking ten times a second at each event would keep half a processor busy.
    """

    def __init__(self) -> None:
        super().__init__()
        self._made = threading.Lock()
        self._descriptor: int | None = None

    @property
    def descriptor(self) -> int:
        """Readable once the event is set."""
        with self._made:
            if self._descriptor is None:
                self._descriptor = os.eventfd(int(self.is_set()), os.EFD_CLOEXEC | os.EFD_NONBLOCK)
            return self._descriptor

    def set(self) -> None:
        """Sets it."""
        super().set()
        with self._made:
            if self._descriptor is not None:
                os.eventfd_write(self._descriptor, 1)

    def clear(self) -> None:
        """Refuses: somebody may have seen it."""
        raise RuntimeError("what was asked to stop stays asked")

    def __del__(self) -> None:
        descriptor: int | None = getattr(self, "_descriptor", None)
        if descriptor is not None:
            os.close(descriptor)
