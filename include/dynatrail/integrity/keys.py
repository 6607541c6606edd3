"""Public keys that CloudTrail signs digests with: from AWS, from the warehouse, or from a file.

A key counts only if one of these three vouches for it; a digest cannot bring its own. Shape: ListPublicKeys
(`PublicKeyList[{Value, ValidityStartTime, ValidityEndTime, Fingerprint}]`, the value DER PKCS#1), so a file is what
`aws cloudtrail list-public-keys --start-time … --end-time … > keys.json` writes.
"""

import base64
import binascii
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

import msgspec
import pyarrow as pa
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_public_key

from dynatrail.errors import SourceError

_LEAST_BITS = 2048


class Keys:
    """Known public keys by fingerprint; where two sources name one fingerprint, the earlier one wins.

    Args:
        values: fingerprint → DER PKCS#1.
    """

    def __init__(self, values: Mapping[str, bytes] | None = None) -> None:
        self._values = {fingerprint: _checked(value, fingerprint) for fingerprint, value in (values or {}).items()}

    @classmethod
    def of_aws(cls, entries: Iterable[Mapping[str, Any]]) -> "Keys":
        """Of `PublicKeyList` as boto3 gives it, or as JSON writes it (value in base64).

        Raises:
            SourceError: an entry holds no RSA key.
        """
        return cls({str(entry.get("Fingerprint")): _der(entry.get("Value")) for entry in entries})

    @classmethod
    def of_json(cls, content: bytes) -> "Keys":
        """Of a file in ListPublicKeys' shape.

        Raises:
            SourceError: it is none.
        """
        try:
            entries = msgspec.json.decode(content, type=_KeyList).entries
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise SourceError(
                "The file of public keys is not in the shape of ListPublicKeys. Write it with `aws cloudtrail "
                "list-public-keys --start-time T --end-time T > keys.json`, in the region whose digests it is for."
            ) from None
        return cls.of_aws(entries)

    @classmethod
    def of_rows(cls, rows: pa.Table) -> "Keys":
        """Of rows of `trail_digest`: keys of digests that were once verified with AWS at hand."""
        pairs = rows.select(["public_key_fingerprint", "public_key"]).group_by(["public_key_fingerprint", "public_key"])
        found = sorted(
            (row["public_key_fingerprint"], row["public_key"])
            for row in pairs.aggregate([]).to_pylist()
            if row["public_key"] and row["public_key_fingerprint"]
        )
        return cls({fingerprint: _der(value) for fingerprint, value in reversed(found)})

    def __or__(self, other: "Keys") -> "Keys":
        """Both; what this one says of a fingerprint wins."""
        merged = Keys()
        merged._values = {**other._values, **self._values}
        return merged

    def __contains__(self, fingerprint: object) -> bool:
        return fingerprint in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def base64(self, fingerprint: str) -> str | None:
        """The key, DER PKCS#1 in base64, or None where nobody vouches for that fingerprint."""
        value = self._values.get(fingerprint)
        return None if value is None else base64.b64encode(value).decode()

    def verify(self, fingerprint: str, signature: str, text: str) -> bool:
        """Whether `signature` (hex) over `text` was made with that key: RSA PKCS #1 v1.5, SHA-256.

        Raises:
            KeyError: the fingerprint is not known.
        """
        key = _loaded(self._values[fingerprint])
        try:
            key.verify(bytes.fromhex(signature), text.encode(), padding.PKCS1v15(), hashes.SHA256())
        except (InvalidSignature, ValueError):
            return False
        return True

    def to_json(self) -> bytes:
        """In the shape that `of_json` reads, keys in the order of their fingerprints."""
        entries = [{"Fingerprint": name, "Value": self.base64(name)} for name in self]
        return msgspec.json.encode({"PublicKeyList": entries})


class _KeyList(msgspec.Struct):
    entries: list[dict[str, Any]] = msgspec.field(name="PublicKeyList")


def _der(value: Any) -> bytes:
    """The key's bytes: boto3 gives them as they are, JSON in base64."""
    if isinstance(value, bytes) and value[:1] == b"\x30":
        return value
    try:
        return base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        return b""


def _checked(value: bytes, fingerprint: str) -> bytes:
    try:
        _loaded(value)
    except (ValueError, UnsupportedAlgorithm):
        raise SourceError(
            f"The public key with fingerprint {fingerprint[:64]} is no RSA key of at least {_LEAST_BITS} bits in DER "
            "PKCS#1. Take the list of keys again with `aws cloudtrail list-public-keys`."
        ) from None
    return value


@lru_cache(maxsize=1024)
def _loaded(value: bytes) -> rsa.RSAPublicKey:
    key = load_der_public_key(value)
    if not isinstance(key, rsa.RSAPublicKey) or key.key_size < _LEAST_BITS:
        raise ValueError
    return key
