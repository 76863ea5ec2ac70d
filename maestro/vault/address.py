"""Where a vault in a bucket is, as a person writes it: ``s3://bucket/prefix?endpoint=…&region=…&kms_key=…``."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from maestro.errors import InputError

_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]\Z")
_REGION = re.compile(r"[a-z0-9-]{2,40}\Z")
_OPTIONS = ("endpoint", "region", "kms_key")


@dataclass(frozen=True, slots=True)
class BucketAddress:
    """A place in a bucket.

    Args:
        bucket: its name.
        prefix: first part of all keys, without slashes at its ends; empty: the whole bucket.
        endpoint: URL of the server; None: AWS.
        region: as the server names it; None: what the environment says.
        kms_key: id, alias or ARN of the key objects are encrypted with (SSE-KMS); None: as the bucket is set up.
    """

    bucket: str
    prefix: str = ""
    endpoint: str | None = None
    region: str | None = None
    kms_key: str | None = None

    @classmethod
    def parse(cls, url: str) -> BucketAddress:
        """The address in ``url``.

        Raises:
            InputError: it is no such address, or carries credentials. The message never repeats them.
        """
        try:
            parts = urlsplit(url)
            options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        except ValueError:
            raise _not_an_address("it cannot be read as a URL") from None
        if "@" in parts.netloc:
            raise _not_an_address(
                "it holds credentials", "give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
            )
        if parts.scheme != "s3" or not _BUCKET.match(parts.netloc):
            raise _not_an_address("it does not begin with s3:// and a bucket's name")
        if parts.fragment or any(name not in _OPTIONS for name in options):
            raise _not_an_address(f"its options can only be {', '.join(_OPTIONS)}")
        prefix = unquote(parts.path).strip("/")
        if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
            raise _not_an_address("its prefix has empty, '.' or '..' parts")
        region = options.get("region")
        if region is not None and not _REGION.match(region):
            raise _not_an_address("its region is no region's name")
        return cls(parts.netloc, prefix, _checked_endpoint(options.get("endpoint")), region, options.get("kms_key"))

    def key(self, name: str) -> str:
        """The bucket's key of ``name``."""
        return f"{self.prefix}/{name}" if self.prefix else name

    def name(self, key: str) -> str:
        """The vault's name of a key of the bucket."""
        return key[len(self.prefix) + 1 :] if self.prefix else key

    def __str__(self) -> str:
        place = f"s3://{self.bucket}/{self.prefix}".rstrip("/")
        return f"{place} at {self.endpoint}" if self.endpoint else place


def _checked_endpoint(endpoint: str | None) -> str | None:
    if endpoint is None:
        return None
    try:
        parts = urlsplit(endpoint)
        host, _port = parts.hostname, parts.port
    except ValueError:
        raise _not_an_address("its endpoint cannot be read as a URL") from None
    if "@" in parts.netloc:
        raise _not_an_address(
            "its endpoint holds credentials", "give them as AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY instead"
        )
    if parts.scheme not in ("http", "https") or not host or parts.path.strip("/") or parts.query or parts.fragment:
        raise _not_an_address("its endpoint is no URL of a server such as https://storage.example:9000")
    if parts.scheme == "http" and not _is_this_machine(host):
        raise _not_an_address(f"its endpoint {endpoint} is not encrypted", "use https:// for a server elsewhere")
    return f"{parts.scheme}://{parts.netloc}"


def _is_this_machine(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _not_an_address(why: str, next_step: str | None = None) -> InputError:
    return InputError(
        f"the vault's address cannot be used: {why}",
        next_step=next_step or "write s3://bucket/prefix?endpoint=https://host:port&region=name, or an absolute folder",
    )
