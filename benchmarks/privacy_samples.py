"""Labelled values for the evaluation of discovery: every class in the notations people use, alone and in sentences."""
# ruff: noqa: E501, PLR2004  rows of a table; lengths that standards give

import random
import re
import string

import phonenumbers
from privacy_numbers import (
    DIGITS,
    DISEASES,
    LAST,
    STREETS,
    UPPER,
    WORDS,
    Make,
    address,
    belgian,
    born,
    card,
    chinese,
    codice,
    cpf,
    dated,
    day,
    digits,
    email,
    finnish,
    foreign_spanish,
    french,
    grouped,
    grouped_card,
    iban,
    icd,
    ipv6,
    jwt,
    medicare,
    mexican,
    name,
    norwegian,
    of,
    phone,
    rvnr,
    south_african,
    spanish,
    steuer_id,
    until,
)
from stdnum.at import vnr
from stdnum.au import tfn
from stdnum.bg import egn
from stdnum.br import cnpj
from stdnum.ca import sin
from stdnum.ch import ssn as ahv
from stdnum.cl import rut
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.fi import hetu
from stdnum.gb import nhs
from stdnum.gr import amka
from stdnum.hr import oib
from stdnum.ie import pps
from stdnum.il import idnr as il_id
from stdnum.in_ import aadhaar
from stdnum.jp import in_ as my_number
from stdnum.kr import rrn
from stdnum.nl import bsn
from stdnum.pl import pesel
from stdnum.pt import nif
from stdnum.ro import cnp
from stdnum.se import personnummer
from stdnum.th import pin
from stdnum.tr import tckimlik
from stdnum.us import itin, ssn

MIXED = string.ascii_letters + DIGITS
_FORMATS = phonenumbers.PhoneNumberFormat

CLASSES: dict[str, list[Make]] = {
    "payment_card": [card, grouped_card],
    "iban": [iban, lambda r: " ".join(re.findall(".{1,4}", iban(r))), lambda rng: iban(rng).lower()],
    "us_ssn": [until(ssn.is_valid, lambda r: digits(r, 9)), grouped(until(ssn.is_valid, lambda r: digits(r, 9)), 3, 2, 4, by="-")],
    "us_itin": [grouped(until(itin.is_valid, lambda r: "9" + digits(r, 8)), 3, 2, 4, by="-")],
    "gb_nino": [lambda r: f"{r.choice('ABCEHJ')}{r.choice('ABCEHJ')}{digits(r, 6)}{r.choice('ABCD')}",
                lambda r: f"{r.choice('ABCEHJ')}{r.choice('ABCEHJ')} {digits(r, 2)} {digits(r, 2)} {digits(r, 2)} {r.choice('ABCD')}"],
    "gb_nhs": [until(nhs.is_valid, lambda r: digits(r, 10, "46")), grouped(until(nhs.is_valid, lambda r: digits(r, 10, "467")), 3, 3, 4)],
    "de_steuer_id": [(steuer := until(idnr.is_valid, steuer_id)), grouped(steuer, 2, 3, 3, 3)],
    "de_rvnr": [rvnr, grouped(rvnr, 2, 6, 1, 3)],
    "fr_nir": [french, grouped(french, 1, 2, 2, 2, 3, 3, 2)],
    "es_dni": [spanish, grouped(spanish, 8, 1, by="-")],
    "es_nie": [foreign_spanish, grouped(foreign_spanish, 1, 7, 1, by="-")],
    "it_codice_fiscale": [codice, lambda r: codice(r).lower()],
    "nl_bsn": [until(bsn.is_valid, lambda r: digits(r, 9, "12"))],
    "pl_pesel": [dated("%y%m%d", 5, pesel.is_valid)],
    "br_cpf": [cpf,
               grouped(cpf, 3, 3, 3, 2, by="..-")],
    "br_cnpj": [lambda r: (b := digits(r, 8) + "0001") + cnpj.calc_check_digits(b),
                grouped(lambda r: (b := of(UPPER + DIGITS, 8)(r) + "0001") + cnpj.calc_check_digits(b), 2, 3, 3, 4, 2, by="../-")],
    "in_aadhaar": [(indian := until(aadhaar.is_valid, lambda r: digits(r, 12, "23456789"))), grouped(indian, 4, 4, 4)],
    "in_pan": [lambda r: f"{of(UPPER, 3)(r)}{r.choice('PCHF')}{of(UPPER, 1)(r)}{digits(r, 3)}{r.randrange(1, 10)}{r.choice(UPPER)}"],
    "ca_sin": [(canadian := until(sin.is_valid, lambda r: digits(r, 9, "1234567"))), grouped(canadian, 3, 3, 3), grouped(canadian, 3, 3, 3, by="-")],
    "au_tfn": [(australian := until(tfn.is_valid, lambda r: digits(r, 9, "123456789"))), grouped(australian, 3, 3, 3)],
    "au_medicare": [medicare, grouped(medicare, 4, 5, 1)],
    "se_personnummer": [dated("%y%m%d", 4, personnummer.is_valid), grouped(dated("%Y%m%d", 4, personnummer.is_valid), 8, 4, by="-")],
    "fi_hetu": [until(hetu.is_valid, finnish)],
    "dk_cpr": [grouped(dated("%d%m%y", 4, cpr.is_valid), 6, 4, by="-")],
    "no_fodselsnummer": [norwegian],
    "be_national_number": [belgian, grouped(belgian, 2, 2, 2, 3, 2, by="..-.")],
    "ch_ahv": [until(ahv.is_valid, lambda r: "756" + digits(r, 10)), grouped(until(ahv.is_valid, lambda r: "756" + digits(r, 10)), 3, 4, 4, 2, by=".")],
    "at_svnr": [until(vnr.is_valid, lambda r: digits(r, 4, "123456789") + born(r).strftime("%d%m%y"))],
    "ie_pps": [until(pps.is_valid, lambda r: digits(r, 7) + r.choice("ABCDEFGHIJKLMNOPQRSTUVW") + r.choice(["", "A"]))],
    "pt_nif": [until(nif.is_valid, lambda r: digits(r, 9, "12"))],
    "cz_rc": [grouped(dated("%y%m%d", 4, rc.is_valid), 6, 4, by="/")],
    "ro_cnp": [dated("%y%m%d", 6, cnp.is_valid, lambda r: r.choice("12"))],
    "bg_egn": [dated("%y%m%d", 4, egn.is_valid)],
    "gr_amka": [dated("%d%m%y", 5, amka.is_valid)],
    "hr_oib": [until(oib.is_valid, lambda r: digits(r, 11))],
    "cn_resident_id": [chinese],
    "jp_my_number": [(japanese := until(my_number.is_valid, lambda r: digits(r, 12))), grouped(japanese, 4, 4, 4)],
    "kr_rrn": [dated("%y%m%d", 7, rrn.is_valid), grouped(dated("%y%m%d", 7, rrn.is_valid), 6, 7, by="-")],
    "tr_tckn": [lambda r: (b := digits(r, 9, "123456789")) + tckimlik.calc_check_digits(b)],
    "mx_curp": [mexican],
    "cl_rut": [lambda r: (b := digits(r, 8, "12")) + "-" + rut.calc_check_digit(b),
               lambda r: (b := digits(r, 8, "12")) and f"{b[:2]}.{b[2:5]}.{b[5:]}-{rut.calc_check_digit(b)}"],
    "za_id": [south_african],
    "th_pin": [until(pin.is_valid, lambda r: digits(r, 13, "12345678")), grouped(until(pin.is_valid, lambda r: digits(r, 13, "1234578")), 1, 4, 5, 2, 1, by="-")],
    "il_id": [until(il_id.is_valid, lambda r: digits(r, 9))],
    "email": [email, lambda r: email(r).title()],
    "phone": [phone(_FORMATS.E164), phone(_FORMATS.INTERNATIONAL), phone(_FORMATS.NATIONAL)],
    "ip_address": [lambda r: f"192.0.2.{r.randrange(256)}", lambda r: f"{r.randrange(1, 224)}.{r.randrange(256)}.{r.randrange(256)}.{r.randrange(256)}", ipv6],
    "mac_address": [lambda r: ":".join(f"{r.randrange(256):02x}" for _ in range(6)), lambda r: "-".join(f"{r.randrange(256):02X}" for _ in range(6))],
    "geo_location": [lambda r: f"{r.uniform(-90, 90):.6f},{r.uniform(-180, 180):.6f}", lambda r: f"{r.uniform(-90, 90):.5f}"],
    "person_name": [name, lambda r: r.choice(LAST), lambda r: ", ".join(reversed(name(r).split(" ", 1)))],
    "date_of_birth": [day("%Y-%m-%d"), day("%d.%m.%Y"), day("%m/%d/%Y"), day("%Y%m%d")],
    "postal_address": [address, lambda r: f"{r.choice(STREETS)} {r.randrange(200)}"],
    "gender": [lambda r: r.choice(["male", "female", "diverse"]), lambda r: r.choice("MFX"), lambda r: r.choice(["männlich", "weiblich"])],
    "health_code": [icd],
    "diagnosis": [lambda r: r.choice(DISEASES)],
    "salary": [lambda r: str(r.randrange(18_000, 190_000)), lambda r: f"{r.randrange(18, 190)}.{digits(r, 3)},00 €"],
    "aws_access_key": [lambda r: "AKIA" + of(UPPER + "234567", 16)(r), lambda r: "ASIA" + of(UPPER + "234567", 16)(r)],
    "aws_secret_key": [of(MIXED + "/+", 40)],
    "private_key": [lambda r: f"-----BEGIN {r.choice(['RSA ', 'EC ', '', 'OPENSSH '])}PRIVATE KEY-----\n{of(MIXED, 64)(r)}\n-----END"],
    "jwt": [jwt],
    "api_token": [lambda r: "ghp_" + of(MIXED, 36)(r), lambda r: f"xoxb-{digits(r, 12)}-{of(MIXED, 24)(r)}",
                  lambda r: "sk_live_" + of(MIXED, 24)(r), lambda r: "AIza" + of(MIXED + "-_", 35)(r)],
    "bearer_token": [lambda r: "Bearer " + of(MIXED, 32)(r)],
    "connection_password": [lambda r: f"postgres://app:{of(MIXED, 12)(r)}@db.example.com:5432/x",
                            lambda r: f"Server=db.example.com;User Id=app;Password={of(MIXED, 10)(r)};"],
    "password_hash": [lambda r: f"$2b$12${of(MIXED, 53)(r)}"],
    "password": [lambda r: f"{r.choice(WORDS)}{r.randrange(1000)}!", of(MIXED + "!?$", 12)],
    "secret": [of(MIXED, 32)],
}  # fmt: skip


def sentence(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randrange(5, 18))).capitalize() + "."


INSIDE = (
    "payment_card",
    "iban",
    "email",
    "phone",
    "ip_address",
    "aws_access_key",
    "jwt",
    "us_ssn",
    "it_codice_fiscale",
    "person_name",
)
"""Classes that are hidden in sentences too."""


def hidden(kind: str, rng: random.Random) -> str:
    """A sentence around a value of a class, in the notation that people write in sentences."""
    make = {"payment_card": grouped_card, "us_ssn": CLASSES["us_ssn"][1], "phone": phone(_FORMATS.INTERNATIONAL)}.get(
        kind
    )
    value = (make or CLASSES[kind][0])(rng)
    if kind == "person_name":
        value = f"{rng.choice(['Mr.', 'Mrs.', 'Dr.', 'Frau', 'Herr', 'Mme', 'Sra.'])} {value}"
    start, end = sentence(rng), sentence(rng)
    return f"{start[:-1]} {value} {end}" if rng.random() < 0.5 else f"{start} ({value}) {end}"
