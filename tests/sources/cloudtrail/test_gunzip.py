import gzip
import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dynatrail.errors import ObjectError
from dynatrail.sources.cloudtrail.gunzip import gunzip

CONTENT = b"".join(b'{"Records":[%d]}' % number for number in range(100))
DATA = gzip.compress(CONTENT, mtime=0)  # the header would carry the clock into the names of the tests
LIMIT = 1 << 20


def refused(data, limit=LIMIT):
    with pytest.raises(ObjectError) as error:
        gunzip(data, limit=limit)
    return error.value


@given(content=st.binary(max_size=5000), level=st.integers(0, 9))
def test_one_member_gives_its_content(content, level):
    assert gunzip(gzip.compress(content, level), limit=LIMIT) == content


def test_member_with_a_name_and_comment_gives_its_content():
    header = DATA[:3] + bytes([0x08 | 0x10]) + DATA[4:10] + b"name\0comment\0"
    assert gunzip(header + DATA[10:], limit=LIMIT) == CONTENT


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "not_gzip"),
        (CONTENT, "not_gzip"),
        (zlib.compress(CONTENT), "not_gzip"),
        (DATA[:1], "not_gzip"),
        (DATA[:10], "truncated_gzip"),
        (DATA[:-1], "truncated_gzip"),
        (DATA[:-8], "truncated_gzip"),
        (DATA[:-20], "truncated_gzip"),
        (DATA + gzip.compress(b"more", mtime=0), "several_gzip_members"),
        (DATA + DATA, "several_gzip_members"),
        (DATA + gzip.compress(b"", mtime=0), "several_gzip_members"),
        (DATA + b"x", "trailing_bytes"),
        (DATA + bytes(8), "trailing_bytes"),
        (DATA + DATA[-8:], "trailing_bytes"),
        (DATA[:-8] + bytes(4) + DATA[-4:], "corrupt_gzip"),
        (DATA[:-4] + struct.pack("<I", len(CONTENT) + 1), "corrupt_gzip"),
        (DATA[:2] + b"\x07" + DATA[3:], "corrupt_gzip"),
        (DATA[:12] + b"\xff\xff\xff" + DATA[15:], "corrupt_gzip"),
    ],
)
def test_anything_else_is_refused_by_name(data, code):
    error = refused(data)
    assert error.code == code
    assert str(error).count(".") >= 1


def test_content_above_the_limit_is_refused_and_says_what_to_set():
    error = refused(gzip.compress(bytes(LIMIT + 1)))
    assert (error.code, "DYNATRAIL_MAX_OBJECT_MB" in str(error)) == ("too_large", True)


def test_content_of_exactly_the_limit_is_taken():
    assert len(gunzip(gzip.compress(bytes(LIMIT)), limit=LIMIT)) == LIMIT


def test_trailer_that_understates_a_bomb_is_seen_through():
    bomb = gzip.compress(bytes(8 * LIMIT))
    assert refused(bomb[:-4] + struct.pack("<I", 10)).code == "too_large"


def test_trailer_that_overstates_makes_no_large_buffer():
    assert refused(DATA[:-4] + struct.pack("<I", 0xFFFFFFFF)).code == "corrupt_gzip"


@given(cut=st.integers(0, len(DATA) - 1))
def test_every_truncation_is_refused(cut):
    assert refused(DATA[:cut]).code in ("truncated_gzip", "not_gzip", "corrupt_gzip")


@given(at=st.integers(10, len(DATA) - 1), bit=st.integers(0, 7))
def test_every_flipped_bit_of_the_data_is_noticed(at, bit):
    spoilt = bytearray(DATA)
    spoilt[at] ^= 1 << bit
    assert refused(bytes(spoilt)).code in ("corrupt_gzip", "truncated_gzip", "trailing_bytes", "too_large")
