"""Digests as S3's headers carry them."""

from __future__ import annotations

import base64
import hashlib


def sha256_base64(data: bytes) -> str:
    """SHA-256 of ``data`` in base64, as ``x-amz-checksum-sha256`` has it."""
    return base64.b64encode(hashlib.sha256(data).digest()).decode()


def checksums(data: bytes) -> dict[str, str]:
    """The arguments by which a server verifies what it receives.

    Content-MD5 too: servers that do not know SHA-256 headers check it, and writing with a lock requires one of both.
    """
    md5 = base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()
    return {"ContentMD5": md5, "ChecksumSHA256": sha256_base64(data)}
