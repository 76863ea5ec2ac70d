"""Masks bytes that arrive in pieces, without waiting for more than it must."""

from __future__ import annotations

from collections.abc import Callable

from maestro.secrets.masking import MASK, Masker


class MaskingStream:
    """Passes bytes on to ``sink``, masked; the outcome does not depend on how they were cut into pieces.

    Only what could be the beginning of a secret is held back, until it is known. Not thread safe.

    Args:
        masker: what is masked.
        sink: takes the bytes.
    """

    def __init__(self, masker: Masker, sink: Callable[[bytes], object]) -> None:
        self._masker = masker
        self._sink = sink
        self._held = b""
        self._covered = 0
        """That many bytes of what is held are masked already; the mask for them has been passed on."""

    def write(self, data: bytes) -> None:
        """Take the next piece."""
        held = self._held + data
        self._pass_on(held, self._masker.open_end(held))

    def flush(self) -> None:
        """Nothing more comes: pass on what was held back."""
        self._pass_on(self._held, len(self._held))

    def _pass_on(self, data: bytes, stop: int) -> None:
        """Pass on everything before ``stop``; no form that begins there can still grow."""
        parts = []
        position = 0
        for start, end in self._masker.spans(data, stop, self._covered):
            if start >= position:
                parts.append(data[position:start])
            if start > 0 or not self._covered:
                parts.append(MASK.encode())
            position = end
        parts.append(data[position:stop])
        self._covered = max(0, position - stop)
        self._held = data[stop:]
        if passed := b"".join(parts):
            self._sink(passed)
