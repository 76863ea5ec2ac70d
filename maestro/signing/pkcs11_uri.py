"""PKCS #11 URIs (RFC 7512): which key of which token, the module that reaches it, and where its PIN is.

Of the RFC: ``token``, ``manufacturer``, ``model``, ``serial``, ``slot-id``, ``object``, ``id`` and ``type`` in the
path; ``module-path`` and ``pin-source`` in the query. ``pin-source`` is a file, or ``env:NAME``. A ``pin-value`` is
refused: a URI stands in settings and logs, where a PIN has no place. No library that is kept reads such URIs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote_to_bytes

from maestro.errors import Location
from maestro.signing.errors import KeyUnusableError
from maestro.signing.private_files import read_private

MODULE_VARIABLE = "MAESTRO_PKCS11_MODULE"
_PATH = {"token", "manufacturer", "model", "serial", "slot-id", "object", "id", "type"}
_QUERY = {"module-path", "pin-source"}


@dataclass(frozen=True, slots=True)
class Pkcs11Uri:
    """A key on a token. What is None may be anything.

    Args:
        object: label of the key.
        id: CKA_ID of the key.
        module_path: the PKCS #11 library.
        pin_source: ``env:NAME``, ``file:PATH`` or a path.
    """

    module_path: str
    pin_source: str
    token: str | None = None
    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    slot_id: int | None = None
    object: str | None = None
    id: bytes | None = None

    def pin(self, environ: Mapping[str, str]) -> str:
        """The PIN.

        Raises:
            KeyUnusableError: it is not where ``pin-source`` says, or others can read it.
        """
        source = self.pin_source
        if source.startswith("env:"):
            value = environ.get(source.removeprefix("env:"), "")
            if not value:
                _refuse(
                    f"the PIN is not in the environment variable {source[4:]}",
                    f"set {source[4:]}, or correct pin-source",
                )
            return value
        path = Path(source.removeprefix("file://").removeprefix("file:"))
        try:
            data = read_private(path, "PIN")
            text = (data or b"").decode("utf-8").rstrip("\r\n")
        except (OSError, UnicodeError):
            text = ""
        if not text:
            raise KeyUnusableError(
                "there is no PIN in the file pin-source names", where=Location(str(path)), next_step="put it there"
            )
        return text


def parse_pkcs11_uri(uri: str, *, environ: Mapping[str, str]) -> Pkcs11Uri:
    """What ``uri`` says.

    Args:
        environ: ``MAESTRO_PKCS11_MODULE`` is the module when the URI names none.

    Raises:
        KeyUnusableError: it is no such URI, holds a PIN, or does not say enough. No part of it is repeated but names of
            attributes.
    """
    path, _, query = uri.removeprefix("pkcs11:").partition("?")
    given = _attributes(path, ";", _PATH) | _attributes(query, "&", _QUERY | {"pin-value"})
    if "pin-value" in given:
        _refuse(
            "a pkcs11: URI must not hold a PIN",
            "put it into a file of mode 0600 or a variable, and write pin-source=/path or pin-source=env:NAME; "
            "change the PIN if this URI has been seen by others",
        )
    text = {name: _text(name, value) for name, value in given.items() if name != "id"}
    module = text.get("module-path") or environ.get(MODULE_VARIABLE, "")
    if not module.startswith("/"):
        _refuse(
            "the pkcs11: URI does not say which library reaches the token",
            f"add ?module-path=/absolute/path/of/library.so, or set {MODULE_VARIABLE}",
        )
    if "pin-source" not in text:
        _refuse("the pkcs11: URI does not say where the PIN is", "add pin-source=/path or pin-source=env:NAME")
    if text.get("type", "private") != "private":
        _refuse("the pkcs11: URI names no private key", "write type=private, or leave type out")
    if "object" not in text and "id" not in given:
        _refuse("the pkcs11: URI does not say which key", "add object=LABEL or id=%01")
    slot = text.get("slot-id")
    if slot is not None and not (slot.isascii() and slot.isdigit() and len(slot) <= 20):
        _refuse("slot-id is not a number", "leave it out and name the token: token=LABEL")
    return Pkcs11Uri(
        module_path=module,
        pin_source=text["pin-source"],
        token=text.get("token"),
        manufacturer=text.get("manufacturer"),
        model=text.get("model"),
        serial=text.get("serial"),
        slot_id=None if slot is None else int(slot),
        object=text.get("object"),
        id=given.get("id"),
    )


def _attributes(text: str, separator: str, known: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for part in text.split(separator) if text else []:
        name, equals, value = part.partition("=")
        if not equals or name not in known:
            shown = f"'{name}'" if equals and name.replace("-", "").isalnum() and len(name) < 40 else "a part"
            _refuse(f"{shown} of the pkcs11: URI is not known", f"known are {', '.join(sorted(_PATH | _QUERY))}")
        if name in found:
            _refuse(f"'{name}' is in the pkcs11: URI twice", "give it once")
        found[name] = unquote_to_bytes(value)
    return found


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        _refuse(f"'{name}' of the pkcs11: URI is not UTF-8", "correct its percent-encoding")


def _refuse(what: str, next_step: str) -> NoReturn:
    raise KeyUnusableError(
        what,
        next_step=f"{next_step}; such as pkcs11:token=release;object=signing?"
        "module-path=/usr/lib/softhsm/libsofthsm2.so&pin-source=env:MAESTRO_PIN",
    )
