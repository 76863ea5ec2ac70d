"""Opens the vault an installation is set up with."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import unquote, urlsplit

from maestro.errors import InputError
from maestro.vault.address import BucketAddress
from maestro.vault.folder import FolderVault
from maestro.vault.retention import retention_table
from maestro.vault.vault import Vault

GOOD_FOR = timedelta(days=7)
"""How long the outcome of a probe counts."""


def open_vault(
    url: str | None,
    *,
    folder: Path,
    environ: Mapping[str, str],
    retention: Mapping[str, str] | None = None,
    probe_good_for: timedelta = GOOD_FOR,
) -> Vault:
    """The vault at ``url``; nothing is asked of a server before it is used.

    Args:
        url: ``s3://bucket/prefix?endpoint=…&region=…&kms_key=…``, an absolute folder, or None: ``folder`` itself.
        folder: absolute; the vault's own state: the evidence when there is no server, else what probes found out.
        environ: where the credentials are (:func:`maestro.vault.client.open_client`).
        retention: evidence type -> period such as ``90d`` or ``10y``, in place of the defaults.
        probe_good_for: after that long the server is probed again.

    Raises:
        InputError: the address or a period cannot be used.
        VaultError: no credentials, or boto3 is not installed.
    """
    table = retention_table(retention)
    if url is None:
        return FolderVault(folder, table)
    local = _folder_of(url)
    if local is not None:
        return FolderVault(local, table)
    from maestro.vault.bucket_vault import BucketVault
    from maestro.vault.client import open_client

    address = BucketAddress.parse(url)
    return BucketVault(address, open_client(address, environ), table, folder / "probes", probe_good_for)


def _folder_of(url: str) -> Path | None:
    if url.startswith("/"):
        return Path(url)
    if not url.startswith("file:"):
        return None
    parts = urlsplit(url)
    if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
        raise InputError("the vault's address names no folder of this machine", next_step="write file:///folder")
    return Path(unquote(parts.path))
