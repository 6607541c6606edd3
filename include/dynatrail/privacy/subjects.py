"""Values that can be made unreadable: each person's are encrypted under a key of their own, which can be destroyed.

A subject is whoever a value is about, known by a token (`python -m dynatrail token patient_id=-`). Their data key is
made at first use, wrapped (RFC 3394) under the key-wrapping key, and kept in the state database. Destroying it leaves
every copy of every value unreadable, in old versions of tables, in evidence and in backups of both, while hashes and
signatures over them stay what they were. A backup of the state database must not outlive an erasure.

Encryption is AES-SIV (RFC 5297) with a 512-bit key: authenticated, and deterministic, so that an hour written again has
the same bytes. Within one attribute of one subject equal values are therefore seen to be equal.
"""

import base64
import binascii
import re
from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

import msgspec
import sqlalchemy as sa
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dynatrail import clock
from dynatrail.errors import PrivacyError
from dynatrail.privacy import secret_keys
from dynatrail.privacy.actions import REDACTED
from dynatrail.privacy.policy import TableMasks
from dynatrail.settings import Settings
from dynatrail.state.database import session
from dynatrail.state.models import SubjectKey

PREFIX = "e1:"
"""Version of the form: prefix, the subject's token without its own, `:`, and the ciphertext in base64url."""

_FORM = re.compile(r"e1:([0-9a-f]{32}):([A-Za-z0-9_-]+={0,2})")
_REMEMBERED = 50_000
_encode = msgspec.json.Encoder().encode

Path = tuple[str | int, ...]


class Erasure(NamedTuple):
    """What is known of an erased subject."""

    subject: str
    erased_at: datetime
    erased_by: str
    approved_by: str
    reason: str


class SubjectKeys:
    """The data keys of subjects.

    Args:
        wrapping_key: 32 bytes.
        url: of the state database; default: that of the settings.
    """

    def __init__(self, wrapping_key: bytes, url: str | None = None) -> None:
        if len(wrapping_key) != secret_keys.BYTES:
            raise PrivacyError(
                f"The key-wrapping key has {len(wrapping_key)} bytes; it needs {secret_keys.BYTES}. Store the key that "
                "was used before: values encrypted under another cannot be read."
            )
        self._wrapping = wrapping_key
        self._url = url
        self._ciphers: dict[str, AESSIV | None] = {}

    def encrypt(self, subject: str, path: Path, kind: str, text: str) -> str:
        """A value of a subject, bound to its place; `***` where the subject was erased.

        Args:
            subject: the subject's token.
            path: attribute and what lies below it, as for tokens.
            kind: DynamoDB type, as for tokens.
            text: the canonical text.

        Raises:
            PrivacyError, StateError: the key cannot be read or made; nothing may be stored then.
        """
        cipher = self._cipher(subject, make=True)
        if cipher is None:
            return REDACTED
        sealed = cipher.encrypt(text.encode("utf-8", "surrogatepass"), [_place(subject, path, kind)])
        return f"{PREFIX}{subject.rpartition(':')[2]}:{base64.urlsafe_b64encode(sealed).decode()}"

    def decrypt(self, stored: str, path: Path, kind: str) -> str:
        """The value in clear.

        Raises:
            PrivacyError: it is no encrypted value, was not stored at this place, or its subject was erased.
            StateError: the key cannot be read.
        """
        subject = subject_of(stored)
        found = _FORM.fullmatch(stored)
        if subject is None or found is None:
            raise PrivacyError("This is no encrypted value.")
        cipher = self._cipher(subject, make=False)
        if cipher is None:
            raise PrivacyError(
                f"The data of subject {subject} was erased, or its key was lost: this value cannot be read."
            )
        try:
            sealed = base64.urlsafe_b64decode(found[2])
            return cipher.decrypt(sealed, [_place(subject, path, kind)]).decode("utf-8", "surrogatepass")
        except (InvalidTag, binascii.Error, ValueError):
            raise PrivacyError(
                f"The value of subject {subject} does not fit its attribute: it was altered, or comes from elsewhere."
            ) from None

    def erase(self, subject: str, *, reason: str, erased_by: str, approved_by: str, at: datetime) -> Erasure:
        """Destroy a subject's key for good; a subject that was erased stays as it was erased first.

        A subject without a key is noted as erased too, so that none is made later.

        Raises:
            StateError: the state database cannot be written.
        """
        self._ciphers.pop(subject, None)
        return erase(subject, reason=reason, erased_by=erased_by, approved_by=approved_by, at=at, url=self._url)

    def erased(self, subjects: Iterable[str] | None = None) -> list[Erasure]:
        """The erased ones among `subjects`, or all, in the order of their erasure."""
        return erased(subjects, self._url)

    def _cipher(self, subject: str, *, make: bool) -> AESSIV | None:
        if subject in self._ciphers:
            return self._ciphers[subject]
        key = self._key(subject, make=make)
        cipher = None if key is None else AESSIV(key)
        if len(self._ciphers) >= _REMEMBERED:
            self._ciphers.clear()
        if make or cipher is not None:
            self._ciphers[subject] = cipher
        return cipher

    def _key(self, subject: str, *, make: bool) -> bytes | None:
        with session(self._url) as opened:
            row = opened.get(SubjectKey, subject)
            if row is None and make:
                fresh = base64.b64encode(aes_key_wrap(self._wrapping, AESSIV.generate_key(512))).decode()
                # Whoever comes first makes the key; two keys of one subject would give an hour two contents.
                _insert(opened, subject=subject, wrapped_key=fresh, made_at=clock.now())
                row = opened.get(SubjectKey, subject, populate_existing=True)
            if row is None or row.wrapped_key is None:
                return None
            wrapped = row.wrapped_key
        try:
            return aes_key_unwrap(self._wrapping, base64.b64decode(wrapped))
        except (InvalidUnwrap, ValueError):
            raise PrivacyError(
                f"The data key of subject {subject} cannot be unwrapped: the key-wrapping key is not the one that it "
                "was made under. Put that one back where DYNATRAIL_WRAPPING_KEY points; nothing was written."
            ) from None


def load(settings: Settings, *, make: bool = True) -> SubjectKeys:
    """The subjects' keys of this installation.

    Args:
        settings: say where the key-wrapping key is.
        make: make that key where it is a file that is not there; who only reads never does.

    Raises:
        SettingsError: the key-wrapping key cannot be had.
    """
    path = settings.home / "wrapping.key"
    key = secret_keys.load("key-wrapping key", "DYNATRAIL_WRAPPING_KEY", settings.wrapping_key, path, make=make)
    return SubjectKeys(key)


def erase(
    subject: str, *, reason: str, erased_by: str, approved_by: str, at: datetime, url: str | None = None
) -> Erasure:
    """As `SubjectKeys.erase`; it needs no key-wrapping key.

    One transaction notes the erasure and destroys the key: there is no state in which one is without the other.
    """
    with session(url) as opened:
        _insert(opened, subject=subject, made_at=at)
        row = opened.get_one(SubjectKey, subject, with_for_update=True)
        if row.erased_at is None:
            row.wrapped_key, row.erased_at = None, at
            row.erased_by, row.approved_by, row.reason = erased_by, approved_by, reason
        opened.flush()
        return _erasure(row)


def erased(subjects: Iterable[str] | None = None, url: str | None = None) -> list[Erasure]:
    """As `SubjectKeys.erased`."""
    query = sa.select(SubjectKey).where(SubjectKey.erased_at.is_not(None))
    if subjects is not None:
        query = query.where(SubjectKey.subject.in_(list(subjects)))
    with session(url) as opened:
        return [_erasure(row) for row in opened.scalars(query.order_by(SubjectKey.erased_at, SubjectKey.subject))]


def needed(settings: Settings, masks: TableMasks) -> SubjectKeys | None:
    """The subjects' keys, where a table's policy encrypts at all.

    Raises:
        SettingsError: as `load`.
    """
    return load(settings) if masks.encrypts else None


def subject_of(stored: str) -> str | None:
    """The token of the subject whose value this is; None for what is not encrypted."""
    found = _FORM.fullmatch(stored)
    return f"t1:{found[1]}" if found else None


def _insert(opened: Session, **values: str | datetime) -> None:
    """Make a subject's row unless somebody else has."""
    insert = sqlite.insert if opened.get_bind().dialect.name == "sqlite" else postgresql.insert
    opened.execute(insert(SubjectKey).values(values).on_conflict_do_nothing())


def _place(subject: str, path: Path, kind: str) -> bytes:
    return _encode([subject, *path, kind])


def _erasure(row: SubjectKey) -> Erasure:
    assert row.erased_at is not None
    return Erasure(row.subject, row.erased_at, row.erased_by or "", row.approved_by or "", row.reason or "")
