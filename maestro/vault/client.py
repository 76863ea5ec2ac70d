"""The S3 client of the vault: credentials from the environment alone, retries, and every failure as one of ours."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from maestro.errors import MaestroError
from maestro.vault.address import BucketAddress
from maestro.vault.errors import VaultError, VaultUnavailableError

_ATTEMPTS = 4
_DEFAULT_REGION = "us-east-1"

_ABSENT = {"NoSuchKey", "NoSuchVersion", "404", "NotFound", "MethodNotAllowed", "405"}
_NO_BUCKET = {"NoSuchBucket"}
_NO_LOCK = {"ObjectLockConfigurationNotFoundError", "InvalidRequest"}
_BAD_CREDENTIALS = {
    "InvalidAccessKeyId",
    "SignatureDoesNotMatch",
    "ExpiredToken",
    "InvalidToken",
    "InvalidClientTokenId",
    "TokenRefreshRequired",
}
_DENIED = {"AccessDenied", "AllAccessDisabled", "403", "Forbidden"}


def open_client(address: BucketAddress, environ: Mapping[str, str]) -> Any:
    """A boto3 S3 client for ``address``.

    Args:
        environ: ``AWS_ACCESS_KEY_ID``, ``AWS_SECRET_ACCESS_KEY``, with temporary credentials ``AWS_SESSION_TOKEN``;
            ``AWS_REGION`` where the address has none; ``AWS_CA_BUNDLE`` for a private authority. Nothing else is read:
            no credential files, no metadata service.

    Raises:
        VaultError: no credentials, or boto3 is not installed.
    """
    key, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not key or not secret:
        raise VaultError(
            f"there are no credentials for the vault {address}",
            next_step="set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment",
        )
    try:
        import boto3  # type: ignore[import-untyped]  # publishes no types
        import botocore.session  # type: ignore[import-untyped]  # publishes no types
        from botocore.config import Config  # type: ignore[import-untyped]  # publishes no types
    except ImportError as error:
        raise VaultError(
            "a vault in S3 needs boto3, which is not installed",
            next_step="pip install 'maestro-conductor[evidence]'",
        ) from error
    # Files and a profile meant for other tools are not looked at: name in a file, variable, value, conversion.
    fixed = {"profile": None, "config_file": os.devnull, "credentials_file": os.devnull}
    core = botocore.session.Session(session_vars={name: (None, None, value, None) for name, value in fixed.items()})
    region = address.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or _DEFAULT_REGION
    with told(address, "be reached"):
        return boto3.session.Session(botocore_session=core).client(
            "s3",
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=environ.get("AWS_SESSION_TOKEN") or None,
            endpoint_url=address.endpoint,
            region_name=region,
            verify=environ.get("AWS_CA_BUNDLE") or None,
            config=Config(
                connect_timeout=5,
                read_timeout=60,
                retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
                s3={"addressing_style": "path" if address.endpoint else "auto"},
                ignore_configured_endpoint_urls=True,
                # Trailing checksums are unknown to many servers; the digests the vault needs it sends itself.
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )


def error_code(error: Exception) -> str:
    """The S3 code of a client error (``AccessDenied``), or its class's name."""
    response = getattr(error, "response", None)
    code = response.get("Error", {}).get("Code") if isinstance(response, dict) else None
    return str(code) if code else type(error).__name__


def http_status(error: Exception) -> int:
    """The HTTP status of a client error; 0 when it has none."""
    response = getattr(error, "response", None)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    return int(status) if status else 0


def is_absent(error: Exception) -> bool:
    """The key or the version is not there, or is a delete marker."""
    return error_code(error) in _ABSENT


@contextmanager
def told(address: BucketAddress, what: str) -> Iterator[None]:
    """Turns what boto3 raises inside into a :class:`VaultError` that says that the vault cannot ``what``, and why."""
    from botocore.exceptions import BotoCoreError, ClientError  # type: ignore[import-untyped]  # publishes no types

    try:
        yield
    except ClientError as error:
        raise explain(error, address, what) from error
    except BotoCoreError as error:
        # Their messages hold URLs, never credentials.
        raise VaultUnavailableError(
            f"the vault {address} cannot {what}: {error}"[:400],
            next_step="check the endpoint and the network; what was written before is not affected",
        ) from error


def explain(error: Exception, address: BucketAddress, what: str) -> MaestroError:
    """The error a person reads for a :class:`botocore.exceptions.ClientError`."""
    code, message = error_code(error), _message(error)
    if code in _NO_BUCKET:
        return VaultError(
            f"the vault {address} cannot {what}: there is no bucket {address.bucket!r}",
            next_step="make it with Object Lock: python -m maestro.vault.deploy --apply",
        )
    if "kms" in code.lower() or "kms" in message.lower():
        return VaultError(
            f"the vault {address} cannot {what}: its encryption key is refused ({code} {message})".rstrip(),
            next_step="check kms_key in the vault's address, and that these credentials may use the key",
        )
    if code == "RequestTimeTooSkewed":
        return VaultError(
            f"the vault {address} cannot {what}: the clocks of this machine and of the server differ too much",
            next_step="set this machine's clock (timedatectl set-ntp true), then try again",
        )
    if code in _NO_LOCK and ("lock" in (code + message).lower() or not message):
        return no_object_lock(address)
    if code in _BAD_CREDENTIALS:
        return VaultError(
            f"the vault {address} cannot {what}: the server refuses the credentials ({code})",
            next_step="check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN",
        )
    if code in _DENIED:
        return VaultError(
            f"the vault {address} cannot {what}: these credentials may not do that ({code})",
            next_step="grant it in the bucket's policy; deploy/vault has one for the principal that writes",
        )
    if http_status(error) >= 500:
        return VaultUnavailableError(
            f"the vault {address} cannot {what}: the server failed {_ATTEMPTS} times ({code})",
            next_step="try again later; what was written before is not affected",
        )
    return VaultError(
        f"the vault {address} cannot {what}: {code} {message}".rstrip(), next_step="see the server's own log"
    )


def no_object_lock(address: BucketAddress) -> VaultError:
    """The bucket was made without Object Lock."""
    return VaultError(
        f"the bucket {address.bucket!r} of the vault {address} has no Object Lock, so nothing in it can be locked",
        next_step="use a bucket made with it: python -m maestro.vault.deploy --apply makes one",
    )


def _message(error: Exception) -> str:
    response = getattr(error, "response", None)
    message = response.get("Error", {}).get("Message") if isinstance(response, dict) else None
    return str(message)[:200] if message else ""
