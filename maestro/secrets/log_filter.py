"""Masks log records before any handler formats them."""

from __future__ import annotations

import logging
import traceback

from maestro.secrets.masking import Masker


class MaskingLogFilter(logging.Filter):
    """Masks a record's message, arguments, traceback and extra fields.

    Add it to handlers: a logger's own filters do not see what its children log.

    Args:
        masker: what is masked.
    """

    def __init__(self, masker: Masker) -> None:
        super().__init__()
        self._masker = masker

    def filter(self, record: logging.LogRecord) -> bool:
        """Mask ``record`` in place; it always passes."""
        if not self._masker.active:
            return True
        try:
            message = record.getMessage()
        except Exception as error:  # noqa: BLE001 - an argument's own __str__ may raise anything
            # Left alone, logging would print the arguments to standard error.
            message = f"{record.msg} (its arguments cannot be formatted: {type(error).__name__})"
        if record.exc_info and record.exc_info[1] is not None and not record.exc_text:
            record.exc_text = "".join(traceback.format_exception(record.exc_info[1])).rstrip("\n")
        record.msg, record.args, record.exc_info = message, None, None
        for name, value in list(vars(record).items()):
            if isinstance(value, str | bytes | dict | list | tuple):
                setattr(record, name, self._masker.value(value))
        return True
