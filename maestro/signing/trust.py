"""Whom to trust: public keys with the time they are good for. Keys are retired and revoked, never forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from maestro.errors import InputError
from maestro.signing.errors import KeyUnusableError
from maestro.signing.public_key import PublicKey

CLOCK_SKEW = timedelta(minutes=5)
"""By how much the clocks of signer and verifier may differ."""

KeyState = Literal["active", "retired", "revoked", "expired", "not yet valid"]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("control characters are not allowed")
    return text


class TrustedKey(BaseModel):
    """A public key and how long it is trusted.

    Args:
        name: unique in a trust root; letters, digits and ``.-_``.
        public_key: PEM, SubjectPublicKeyInfo.
        keyid: sha256 of its DER, in hexadecimal.
        scheme: how it signs, see :data:`maestro.signing.public_key.SCHEMES`.
        development: made by Maestro for one's own machine; protects against accidents only.
        valid_from, valid_until: what is verified before or after is refused.
        retired_at: what is signed after is refused; what was signed before still verifies.
        revoked_at: nothing verifies any more, whenever it was signed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}\z")]
    keyid: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}\z")]
    scheme: str
    development: bool = False
    valid_from: AwareDatetime
    valid_until: AwareDatetime | None = None
    retired_at: AwareDatetime | None = None
    revoked_at: AwareDatetime | None = None
    revoked_reason: Annotated[str, Field(max_length=500), AfterValidator(_printable)] | None = None
    public_key: Annotated[str, Field(max_length=10_000)]

    @model_validator(mode="after")
    def _consistent(self) -> TrustedKey:
        try:
            key = PublicKey.from_pem(self.public_key, self.scheme)
        except KeyUnusableError as error:
            raise ValueError(error.what) from None
        if key.keyid != self.keyid:
            raise ValueError(f"the keyid does not belong to the public key; it should be {key.keyid}")
        if self.valid_until is not None and self.valid_until <= self.valid_from:
            raise ValueError("valid_until is not after valid_from")
        if (self.revoked_at is None) != (self.revoked_reason is None):
            raise ValueError("revoked_at and revoked_reason go together")
        return self

    @classmethod
    def of(
        cls,
        key: PublicKey,
        *,
        name: str,
        valid_from: datetime,
        valid_until: datetime | None = None,
        development: bool = False,
    ) -> TrustedKey:
        """``key``, trusted from ``valid_from`` on.

        Raises:
            pydantic.ValidationError: the name is none, or the times are the wrong way round.
        """
        return cls(
            name=name,
            keyid=key.keyid,
            scheme=key.scheme,
            development=development,
            valid_from=valid_from,
            valid_until=valid_until,
            public_key=key.pem,
        )

    @property
    def key(self) -> PublicKey:
        """What verifies signatures."""
        return PublicKey(self.keyid, self.scheme, self.public_key)

    def state(self, at: datetime) -> KeyState:
        """What becomes of something signed and verified ``at``."""
        if self.revoked_at is not None:
            return "revoked"
        if at < self.valid_from:
            return "not yet valid"
        if self.valid_until is not None and at >= self.valid_until:
            return "expired"
        if self.retired_at is not None and at > self.retired_at:
            return "retired"
        return "active"


@dataclass(frozen=True, slots=True)
class TrustRoot:
    """The keys trusted in one project. Every change makes a new one; :meth:`save` keeps it.

    Args:
        keys: no name and no key id twice.
    """

    keys: tuple[TrustedKey, ...] = ()

    def __post_init__(self) -> None:
        for what, values in (("name", [one.name for one in self]), ("key id", [one.keyid for one in self])):
            twice = next((value for value in values if values.count(value) > 1), None)
            if twice is not None:
                raise InputError(
                    f"the trust root has the {what} {twice} twice", next_step="give each key once, under its own name"
                )

    def __iter__(self) -> Iterator[TrustedKey]:
        return iter(self.keys)

    @classmethod
    def load(cls, path: Path) -> TrustRoot:
        """The trust root in a file. Raises KeyUnusableError when there is none, or none that can be used."""
        from maestro.signing.trust_file import load

        return load(path)

    def save(self, path: Path) -> None:
        """Write it to a file: whole, and durable, or not at all."""
        from maestro.signing.trust_file import save

        save(self, path)

    def by_keyid(self, keyid: str) -> TrustedKey | None:
        """The key with this id."""
        return next((one for one in self.keys if one.keyid == keyid), None)

    def find(self, wanted: str) -> TrustedKey:
        """The key with this name, or whose id begins so (eight characters at least).

        Raises:
            InputError: there is none, or more than one.
        """
        found = [one for one in self.keys if one.name == wanted]
        if not found and len(wanted) >= 8:
            found = [one for one in self.keys if one.keyid.startswith(wanted)]
        if len(found) != 1:
            problem = f"{len(found)} keys begin with" if found else "there is no trusted key"
            raise InputError(f"{problem} '{wanted}'", next_step="list them with `maestro keys list`")
        return found[0]

    def add(self, key: TrustedKey) -> TrustRoot:
        """With ``key``. Raises InputError when its name or id is there already."""
        known = self.by_keyid(key.keyid)
        if known is not None:
            raise InputError(
                f"this key is there already: it is '{known.name}'", next_step=f"see `maestro keys show {known.name}`"
            )
        if any(one.name == key.name for one in self.keys):
            raise InputError(f"another key is named '{key.name}'", next_step="choose another name")
        return TrustRoot((*self.keys, key))

    def retire(self, wanted: str, *, at: datetime) -> TrustRoot:
        """What the key signs after ``at`` is refused; what it signed before still verifies.

        Raises:
            InputError: there is no such key, or it is retired or revoked already.
        """
        key = self.find(wanted)
        if key.retired_at is not None or key.revoked_at is not None:
            state = "revoked" if key.revoked_at else "retired"
            raise InputError(
                f"the key '{key.name}' is {state} already", next_step=f"see `maestro keys show {key.name}`"
            )
        return self._with(key.model_copy(update={"retired_at": at}))

    def revoke(self, wanted: str, *, reason: str, at: datetime) -> TrustRoot:
        """Nothing the key ever signed verifies any more.

        Raises:
            InputError: there is no such key, it is revoked already, or no reason is given.
        """
        key = self.find(wanted)
        if key.revoked_at is not None:
            raise InputError(
                f"the key '{key.name}' is revoked already: {key.revoked_reason}",
                next_step=f"see `maestro keys show {key.name}`",
            )
        if not reason.strip() or len(reason) > 500 or not reason.isprintable():
            raise InputError(
                "a key is revoked for a reason", next_step="say it in one line of at most 500 characters: --reason '…'"
            )
        return self._with(key.model_copy(update={"revoked_at": at, "revoked_reason": reason.strip()}))

    def _with(self, changed: TrustedKey) -> TrustRoot:
        return replace(self, keys=tuple(changed if one.keyid == changed.keyid else one for one in self.keys))
