"""Secrets by name: where they are read from (``providers``), and how their values are kept out of every output.

``encodings`` says in which forms a value may appear, ``masking`` replaces them, ``stream`` does so in bytes that arrive
in pieces, ``pipe`` and ``log_filter`` put it between a process or a logger and what they write.
"""

from maestro.secrets.log_filter import MaskingLogFilter
from maestro.secrets.masking import MASK, Masker
from maestro.secrets.pipe import MaskedPipe
from maestro.secrets.providers import SecretReader, SecretSource, kept_apart
from maestro.secrets.stream import MaskingStream
from maestro.secrets.values import MINIMUM_LENGTH, SecretValues

__all__ = [
    "MASK",
    "MINIMUM_LENGTH",
    "MaskedPipe",
    "Masker",
    "MaskingLogFilter",
    "MaskingStream",
    "SecretReader",
    "SecretSource",
    "SecretValues",
    "kept_apart",
]
