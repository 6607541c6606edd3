"""The vectorised checksums agree with python-stdnum, number by number."""

import random

import pyarrow as pa
import pytest
from stdnum import iban, luhn
from stdnum.br import cnpj, cpf
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.gb import nhs
from stdnum.hr import oib
from stdnum.in_ import aadhaar
from stdnum.jp import in_
from stdnum.nl import bsn
from stdnum.tr import tckimlik

from dynatrail.privacy.detectors import arithmetic, national

BUILT = {one.name: one for one in reversed(national.DETECTORS)}  # the plain notation of each


def numbers(first, places, count=3000):
    rng = random.Random(places)
    return [rng.choice(first) + "".join(rng.choices("0123456789", k=places - 1)) for _ in range(count)]


@pytest.mark.parametrize(
    ("name", "module", "first", "places"),
    [
        ("gb_nhs", nhs, "3467", 10),
        ("de_steuer_id", idnr, "123456789", 11),
        ("nl_bsn", bsn, "12", 9),
        ("br_cpf", cpf, "0123456789", 11),
        ("br_cnpj", cnpj, "123456789", 14),
        ("in_aadhaar", aadhaar, "23456789", 12),
        ("hr_oib", oib, "123456789", 11),
        ("jp_my_number", in_, "123456789", 12),
        ("tr_tckn", tckimlik, "123456789", 11),
    ],
)
def test_a_column_passes_as_its_numbers_do(name, module, first, places):
    texts = numbers(first, places)
    assert BUILT[name].matched(pa.array(texts)).tolist() == [module.is_valid(text) for text in texts]


def test_luhn_counts_from_the_right_whatever_the_length():
    texts = [text for places in (14, 15, 16, 19) for text in numbers("3456", places, 500)]
    assert arithmetic.luhn(19)(pa.array(texts)).tolist() == [luhn.is_valid(text) for text in texts]


def test_separators_change_no_checksum():
    assert arithmetic.luhn(19)(pa.array(["4111 1111 1111 1111", "4111-1111-1111-1111"])).tolist() == [True, True]


def test_mod_97_is_that_of_ibans():
    texts = [f"DE{check:02}370400440532013000" for check in range(2, 99)] + [
        "GB82 WEST 1234 5698 7654 32",
        "gb82west12345698765432",
    ]
    assert arithmetic.mod_97(pa.array(texts)).tolist() == [iban.is_valid(text, check_country=False) for text in texts]


def test_mod_11_2_ends_with_the_only_check_character_that_fits():
    body = "11010519491231002"
    found = arithmetic.mod_11_2(pa.array([body + check for check in "0123456789X"])).tolist()
    assert found == [check == ric.calc_check_digit(f"{body}0") for check in "0123456789X"]


def test_no_text_is_no_error():
    assert arithmetic.luhn(19)(pa.array([], pa.string())).tolist() == []
