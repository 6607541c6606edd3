"""Uncompress one log file: whole, once, and within bounds.

libdeflate is four times as fast as zlib, but stops silently after the first gzip member and sizes its buffer by the
last four bytes of the file (RFC 1952: CRC32 and ISIZE of the last member). Both are checked here; whatever does not fit
is looked at again with zlib, in bounded memory, only to say exactly what is wrong with it.
"""

import struct
import zlib

import deflate

from dynatrail.errors import ObjectError

_TRAILER = struct.Struct("<II")
_HEADER = 18  # the smallest gzip member
_STEP = 1 << 20


def gunzip(data: bytes, *, limit: int) -> bytes:
    """The uncompressed content of one gzip member that spans all of `data`, at most `limit` bytes.

    Raises:
        ObjectError: `not_gzip`, `truncated_gzip`, `corrupt_gzip`, `several_gzip_members`, `trailing_bytes` or
            `too_large`.
    """
    if data[:2] != b"\x1f\x8b" or len(data) < _HEADER:
        raise _reason(data, limit)
    crc, size = _TRAILER.unpack_from(data, len(data) - _TRAILER.size)
    if size > limit:
        raise _reason(data, limit)
    try:
        content = bytes(deflate.gzip_decompress(data, size or 1))
    except (deflate.DeflateError, ValueError):
        raise _reason(data, limit) from None
    # A member that ends before the file does has another trailer than the file, or its trailer is in the file twice.
    if len(content) != size or deflate.crc32(content) != crc:
        raise _reason(data, limit)
    last = len(data) - _TRAILER.size
    if data.find(data[last:]) != last and not _is_one_member(data):
        raise _reason(data, limit)
    return content


def _is_one_member(data: bytes) -> bool:
    """Whether the first member of `data`, whose content is known to be within bounds, ends where `data` does."""
    inflate = zlib.decompressobj(wbits=31)
    while data:
        inflate.decompress(data, _STEP)
        data = inflate.unconsumed_tail
    return not inflate.unused_data


def _reason(data: bytes, limit: int) -> ObjectError:
    if data[:2] != b"\x1f\x8b":
        return ObjectError("not_gzip", "The object is not gzip. Nothing but CloudTrail should write to this folder.")
    inflate, pending, size = zlib.decompressobj(wbits=31), data, 0
    try:
        while not inflate.eof:
            step = inflate.decompress(pending, _STEP)
            pending = inflate.unconsumed_tail
            size += len(step)
            if not step and not pending:
                break
            if size > limit:
                return ObjectError(
                    "too_large",
                    f"The object holds more than {limit >> 20} MB uncompressed; CloudTrail writes at most 50 MB. "
                    "If it is genuine, raise DYNATRAIL_MAX_OBJECT_MB and take the window again.",
                )
    except zlib.error:
        return ObjectError("corrupt_gzip", f"The gzip data is corrupt after {size} uncompressed bytes. Fetch it again.")
    if not inflate.eof:
        return ObjectError(
            "truncated_gzip", f"The gzip data ends after {size} uncompressed bytes. Compare with the digest's hash."
        )
    if inflate.unused_data[:2] == b"\x1f\x8b":
        return ObjectError(
            "several_gzip_members",
            f"A second gzip member follows after {size} uncompressed bytes. CloudTrail writes one: it was changed.",
        )
    if inflate.unused_data:
        return ObjectError(
            "trailing_bytes",
            f"{len(inflate.unused_data)} bytes follow the gzip member. CloudTrail writes none: it was changed.",
        )
    return ObjectError("corrupt_gzip", "The gzip trailer does not fit the content. Fetch the object again.")
