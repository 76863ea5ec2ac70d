"""The log's private key in a file only its owner may read, and the public one beside it."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from maestro.audit.errors import AuditInputError
from maestro.audit.note import SignerKey, VerifierKey
from maestro.errors import Location


def public_file(key_file: Path) -> Path:
    """Where the public key of ``key_file`` stands."""
    return key_file.with_name(f"{key_file.name}.pub")


def load_or_create(key_file: Path, origin: str | None) -> SignerKey:
    """The key in ``key_file``; a new one, written with mode 0600, when there is no such file.

    Of several processes that come first at the same time, one makes the key and all use it.

    Args:
        origin: the log's name; None: what the file says.

    Raises:
        AuditInputError: the file is of another log, is no key, may be read by others, or is to be made without a name.
    """
    try:
        return load(key_file, origin)
    except FileNotFoundError:
        pass
    if origin is None:
        raise AuditInputError(
            "there is no audit log here yet",
            where=Location(str(key_file)),
            next_step="the first run writes one; or name the database and its key",
        )
    made = SignerKey.generate(origin)
    key_file.parent.mkdir(parents=True, exist_ok=True)
    aside = key_file.with_name(f".{key_file.name}.{os.urandom(8).hex()}")
    try:
        _write(aside, made.private_text(), 0o600)
        os.link(aside, key_file)
    except FileExistsError:
        return load(key_file, origin)
    except OSError as error:
        raise _unusable(key_file, error) from error
    finally:
        aside.unlink(missing_ok=True)
    return made


def write_public(key_file: Path, key: VerifierKey) -> None:
    """Writes the public key beside the private one, for whoever verifies.

    Done when the log is there: so a public key says that there was one.
    """
    file = public_file(key_file)
    aside = file.with_name(f".{file.name}.{os.urandom(8).hex()}")
    _write(aside, str(key), 0o644)
    aside.replace(file)


def load(key_file: Path, origin: str | None) -> SignerKey:
    """The key in ``key_file``.

    Raises:
        AuditInputError: as ``load_or_create`` says.
        FileNotFoundError: there is no such file.
    """
    try:
        with key_file.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(4096)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _unusable(key_file, error) from error
    if not stat.S_ISREG(mode) or mode & 0o077:
        raise AuditInputError(
            f"the private key of the audit log may be used by others (mode {stat.S_IMODE(mode):04o})",
            where=Location(str(key_file)),
            next_step=f"chmod 600 {key_file}; if others could read it, start a new log with a new key",
        )
    try:
        key = SignerKey.parse(data.decode("utf-8", "replace"))
    except AuditInputError as error:
        raise AuditInputError(error.what, where=Location(str(key_file)), next_step=error.next_step) from None
    if origin is not None and key.name != origin:
        raise AuditInputError(
            f"this is the key of the log '{key.name}', not of '{origin}'",
            where=Location(str(key_file)),
            next_step="name the key file of this log",
        )
    return key


def read_public(text_or_file: str) -> VerifierKey:
    """A public key given as its line or as a file with it.

    Raises:
        AuditInputError: neither.
    """
    path = Path(text_or_file)
    try:
        is_file = path.is_file()
        text = path.read_text(encoding="utf-8", errors="replace") if is_file else text_or_file
    except OSError as error:
        raise _unusable(path, error) from error
    if not is_file and "+" not in text:
        # Not repeated: it may be part of a key that was pasted.
        raise AuditInputError(
            "there is no such file, and it is no public key of an audit log either",
            next_step="give a line such as NAME+1a2b3c4d+BASE64, or its file",
        )
    if text.startswith("PRIVATE+KEY+"):
        raise AuditInputError(
            "this is the private key",
            where=Location(str(path)),
            next_step="give the public one: the file ending in .pub",
        )
    return VerifierKey.parse(text)


def _write(file: Path, text: str, mode: int) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
        stream.write(f"{text}\n")
        stream.flush()
        os.fsync(stream.fileno())


def _unusable(file: Path, error: OSError) -> AuditInputError:
    return AuditInputError(
        f"the key of the audit log cannot be used: {error.strerror}",
        where=Location(str(file)),
        next_step="check the folder and its permissions",
    )
