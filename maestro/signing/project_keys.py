"""A project's own keys: the trust file, the development key, and every change of them, one at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from maestro.errors import Location
from maestro.signing.errors import KeyUnusableError
from maestro.signing.private_files import ensure_key_folder
from maestro.signing.public_key import PublicKey
from maestro.signing.signer import Signer, open_signer
from maestro.signing.trust import TrustedKey, TrustRoot

TRUST_FILE = "trust.yaml"
DEVELOPMENT_FILE = "development.pem"
DEVELOPMENT_NAME = "development"


@dataclass(frozen=True, slots=True)
class KeyChange:
    """Something that was done to the trust file, for the audit log.

    Args:
        kind: ``key.added``, ``key.rotated``, ``key.retired`` or ``key.revoked``.
        keyid: of the key it was done to; for a rotation the new one.
        data: name, and what else is worth knowing; nothing secret.
    """

    kind: str
    keyid: str
    data: Mapping[str, Any]
    at: datetime


Audit = Callable[[KeyChange], None]


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ProjectKeys:
    """Changes a project's trust file and development key; of two at once the second waits.

    Args:
        folder: where the development key lies; made when it is needed, 0700.
        trust_file: usually in ``folder``. One that lies elsewhere is shared, and only changed when somebody says so.
        audit: told of every change after it is durable.
        now: the clock.
    """

    folder: Path
    trust_file: Path
    audit: Audit | None = None
    now: Callable[[], datetime] = field(default=_now)

    @property
    def development_file(self) -> Path:
        """The development key."""
        return self.folder / DEVELOPMENT_FILE

    def trust(self) -> TrustRoot:
        """Whose signatures count: nobody's while there is no trust file."""
        return TrustRoot.load(self.trust_file) if self.trust_file.exists() else TrustRoot()

    def signer(self, uri: str | None, *, environ: Mapping[str, str]) -> Signer:
        """The signer whose signatures this project trusts now.

        Args:
            uri: see :func:`maestro.signing.open_signer`; None: the development key, made and trusted on first use.

        Raises:
            KeyUnusableError: it cannot be opened, or what it signs would be refused.
        """
        made = uri is None and self._ensure_development(environ)
        signer = open_signer(uri or f"file:{self.development_file}", environ=environ)
        # What was made and trusted just now needs no second look.
        if not made:
            self._refuse_useless(signer, uri)
        return signer

    def add(self, key: TrustedKey) -> None:
        """Trust ``key`` from now on. Raises InputError when its name or id is there already."""
        with self._changing() as trust:
            trust.add(key).save(self.trust_file)
            self._tell("key.added", key)

    def merge(self, others: TrustRoot) -> tuple[TrustedKey, ...]:
        """Trust what another trust root does; returns the keys that were added or changed.

        A key that is there already can only lose by it: it is retired or revoked if the other says so.
        """
        with self._changing() as trust:
            changed: list[tuple[str, TrustedKey]] = []
            for other in others:
                mine = trust.by_keyid(other.keyid)
                if mine is None:
                    trust = trust.add(other)
                    changed.append(("key.added", other))
                    continue
                if other.revoked_at is not None and mine.revoked_at is None:
                    trust = trust.revoke(mine.keyid, reason=other.revoked_reason or "", at=other.revoked_at)
                    changed.append(("key.revoked", other))
                elif other.retired_at is not None and mine.retired_at is None and mine.revoked_at is None:
                    trust = trust.retire(mine.keyid, at=other.retired_at)
                    changed.append(("key.retired", other))
            if changed:
                trust.save(self.trust_file)
            for kind, key in changed:
                self._tell(kind, key)
        return tuple(key for _kind, key in changed)

    def retire(self, wanted: str) -> TrustedKey:
        """What the key signs from now on is refused; what it has signed still verifies."""
        with self._changing() as trust:
            changed = trust.retire(wanted, at=self.now())
            changed.save(self.trust_file)
            key = changed.find(trust.find(wanted).keyid)
            self._tell("key.retired", key)
        return key

    def revoke(self, wanted: str, *, reason: str) -> TrustedKey:
        """Nothing the key ever signed verifies any more."""
        with self._changing() as trust:
            changed = trust.revoke(wanted, reason=reason, at=self.now())
            changed.save(self.trust_file)
            key = changed.find(trust.find(wanted).keyid)
            self._tell("key.revoked", key, reason=reason)
        return key

    def rotate(self, wanted: str, new: TrustedKey) -> TrustedKey:
        """Trust ``new`` and retire the key ``wanted``, whose signatures up to now still verify."""
        with self._changing() as trust:
            old = trust.find(wanted)
            at = self.now()
            changed = trust.add(new)
            if old.retired_at is None and old.revoked_at is None:
                changed = changed.retire(old.keyid, at=at)
            changed.save(self.trust_file)
            self._tell("key.rotated", new, replaces=old.keyid)
        return new

    def rotate_development(self, *, environ: Mapping[str, str]) -> TrustedKey:
        """A new development key in place of the one that is there, which is retired and whose private part is gone."""
        from maestro.signing.key_file import install_key, new_key

        self._refuse_shared()
        ensure_key_folder(self.folder)
        with self._changing() as trust:
            old = self._development_key(trust, environ)
            signer, private = new_key()
            at = self.now()
            key = TrustedKey.of(
                signer.public_key, name=_free_name(trust), valid_from=at.replace(microsecond=0), development=True
            )
            # In this order a crash leaves a key that signs and is trusted, at worst beside another one.
            trust = trust.add(key)
            trust.save(self.trust_file)
            install_key(self.development_file, private)
            if old is not None and old.retired_at is None and old.revoked_at is None:
                trust.retire(old.keyid, at=self.now()).save(self.trust_file)
            self._tell("key.rotated", key, replaces=old.keyid if old else None)
        return key

    def _ensure_development(self, environ: Mapping[str, str]) -> bool:
        if self.development_file.exists() and self.trust_file.exists():
            return False
        self._refuse_shared()
        ensure_key_folder(self.folder)
        with self._changing() as trust:
            # A key that is there but trusted nowhere is taken in only while nothing else is decided.
            is_new = not self.development_file.exists()
            if not is_new and self.trust_file.exists():
                return False
            signer = open_signer(f"file:{self.development_file}", environ=environ, create=True)
            key = TrustedKey.of(
                signer.public_key,
                name=_free_name(trust),
                valid_from=self.now().replace(microsecond=0),
                development=True,
            )
            trust.add(key).save(self.trust_file)
            self._tell("key.added", key)
        return True

    def _development_key(self, trust: TrustRoot, environ: Mapping[str, str]) -> TrustedKey | None:
        try:
            signer = open_signer(f"file:{self.development_file}", environ=environ)
        except KeyUnusableError:
            # Whatever is wrong with it, it is about to be replaced.
            return None
        return trust.by_keyid(signer.keyid)

    def _refuse_shared(self) -> None:
        if self.trust_file.absolute().parent != self.folder.absolute():
            raise KeyUnusableError(
                "a development key is not added to a trust file that others share",
                where=Location(str(self.trust_file)),
                next_step="set the key evidence is signed with (`key` under `evidence` in the profile's settings.yaml)",
            )

    def _refuse_useless(self, signer: Signer, uri: str | None) -> None:
        key = self.trust().by_keyid(signer.keyid)
        state = "not trusted here" if key is None else key.state(self.now())
        if state in ("active", "not yet valid"):
            return
        raise KeyUnusableError(
            f"the signing key {signer.keyid[:16]}… is {state}: what it signs would be refused",
            where=Location(str(self.trust_file)),
            next_step="make a new one with `maestro keys rotate`"
            if uri is None
            else "trust it with `maestro keys import --signer URI`, or sign with another key",
        )

    @contextmanager
    def _changing(self) -> Iterator[TrustRoot]:
        try:
            folder = self.trust_file.parent
            if not folder.is_dir():
                ensure_key_folder(folder)
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise KeyUnusableError(
                f"the folder of the trust file cannot be used: {error.strerror}",
                where=Location(str(self.trust_file.parent)),
                next_step="make it writable for you",
            ) from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield self.trust()
        finally:
            os.close(descriptor)

    def _tell(self, kind: str, key: TrustedKey, **data: Any) -> None:
        if self.audit is not None:
            known = {"name": key.name, "development": key.development}
            self.audit(KeyChange(kind, key.keyid, known | data, self.now()))


def project_signer(
    folder: Path,
    uri: str | None,
    trust_file: Path,
    *,
    environ: Mapping[str, str],
    audit: Audit | None = None,
    now: Callable[[], datetime] = _now,
) -> Signer:
    """The signer of a project; see :meth:`ProjectKeys.signer`."""
    return ProjectKeys(folder, trust_file, audit, now).signer(uri, environ=environ)


def _free_name(trust: TrustRoot) -> str:
    taken = {one.name for one in trust}
    number = 1
    while (name := DEVELOPMENT_NAME if number == 1 else f"{DEVELOPMENT_NAME}-{number}") in taken:
        number += 1
    return name


def trusted_pem(
    pem: str, *, name: str, at: datetime, valid_until: datetime | None = None, scheme: str | None = None
) -> TrustedKey:
    """The key in ``pem``, trusted from ``at`` on.

    Raises:
        KeyUnusableError: it is no public key, a private one, or the name or the time cannot be used.
    """
    if "PRIVATE KEY" in pem:
        raise KeyUnusableError(
            "this is a private key; only public keys are trusted",
            next_step="give its public part: `openssl pkey -in KEY -pubout`; if others have seen this file, make a new "
            "key",
        )
    return trusted(PublicKey.from_pem(pem, scheme), name=name, at=at, valid_until=valid_until)


def trusted(
    key: PublicKey, *, name: str, at: datetime, valid_until: datetime | None = None, development: bool = False
) -> TrustedKey:
    """``key``, trusted from ``at`` on. Raises KeyUnusableError when the name or the time cannot be used."""
    from pydantic import ValidationError

    from maestro.signing.statement import first_problem

    try:
        return TrustedKey.of(
            key,
            name=name,
            valid_from=at.replace(microsecond=0),
            valid_until=valid_until,
            development=development,
        )
    except ValidationError as error:
        raise KeyUnusableError(
            f"the key cannot be trusted like this: {first_problem(error)}",
            next_step="name it with letters, digits and .-_, and let it expire later than now",
        ) from None
