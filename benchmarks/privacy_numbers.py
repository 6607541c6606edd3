"""Makers of single sensitive values: numbers with check digits, addresses, names, keys, all drawn from a seed.

Nothing here uses the detectors. Check digits come from python-stdnum's calculators, from rejection by its validators, or
are written anew, and telephone numbers from the example numbers of libphonenumber.
"""
# ruff: noqa: E501, PLR2004, RUF001  rows of a table; lengths that standards give

import base64
import random
import string
from collections.abc import Callable
from datetime import date, timedelta
from functools import cache

import phonenumbers
from stdnum import luhn
from stdnum.cn import ric
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.mx import curp
from stdnum.no import fodselsnummer

Make = Callable[[random.Random], str]

UPPER, LOWER, DIGITS = string.ascii_uppercase, string.ascii_lowercase, string.digits
VOWELS = "AEIOU"
REGIONS = (
    "US",
    "GB",
    "DE",
    "FR",
    "ES",
    "IT",
    "NL",
    "PL",
    "BR",
    "IN",
    "CA",
    "AU",
    "SE",
    "JP",
    "CN",
    "KR",
    "TR",
    "MX",
    "ZA",
    "CH",
)
FIRST = [
    "Anna",
    "Ben",
    "Clara",
    "David",
    "Élodie",
    "François",
    "Giulia",
    "Hans",
    "Ingrid",
    "João",
    "Kenji",
    "Lena",
    "Małgorzata",
    "Nils",
    "Olga",
    "Pedro",
    "Rosa",
    "Søren",
    "Tomáš",
    "Zoë",
]
LAST = [
    "Müller",
    "Smith",
    "García",
    "Rossi",
    "Dubois",
    "de",
    "Vries",
    "Kowalski",
    "Silva",
    "Johansson",
    "Nielsen",
    "Virtanen",
    "Yılmaz",
    "Novák",
    "O'Brien",
    "Tanaka",
    "Singh",
]
STREETS = [
    "Hauptstraße",
    "High Street",
    "Rue de la Paix",
    "Calle Mayor",
    "Via Roma",
    "Kerkstraat",
    "ul. Długa",
    "Rua Augusta",
]
DISEASES = [
    "Type 2 diabetes",
    "Asthma bronchiale",
    "hypertension artérielle",
    "depresión leve",
    "Migräne",
    "COPD stage II",
]
WORDS = ["delivery", "arrived", "late", "please", "check", "the", "box", "and", "call", "back", "when", "ready", "the", "invoice", "was", "paid", "customer", "asked", "for", "a", "new", "size", "Blue", "Shoes", "returned", "in", "March", "sent", "by", "Express", "see", "Manual", "page", "stock", "Berlin", "Warehouse", "two", "items", "missing"]  # fmt: skip


def of(alphabet: str, count: int) -> Make:
    return lambda rng: "".join(rng.choices(alphabet, k=count))


def digits(rng: random.Random, count: int, first: str = DIGITS) -> str:
    return rng.choice(first) + "".join(rng.choices(DIGITS, k=count - 1))


def until(valid: Callable[[str], bool], make: Make) -> Make:
    def made(rng: random.Random) -> str:
        while not valid(value := make(rng)):
            pass
        return value

    return made


def born(rng: random.Random) -> date:
    return date(1935, 1, 1) + timedelta(days=rng.randrange(25_000))


def day(form: str) -> Make:
    return lambda rng: born(rng).strftime(form)


def dated(form: str, tail: int, valid: Callable[[str], bool], head: Make = lambda _: "") -> Make:
    return until(valid, lambda rng: head(rng) + born(rng).strftime(form) + digits(rng, tail))


def grouped(make: Make, *groups: int, by: str = " ") -> Make:
    """The value in groups; a group's separator may differ from the next one's."""

    def made(rng: random.Random) -> str:
        value, parts = make(rng), []
        for group in groups:
            parts.append(value[:group])
            value = value[group:]
        separators = by if len(by) == len(groups) - 1 else by * (len(groups) - 1)
        return "".join(part + separator for part, separator in zip(parts, [*separators, ""], strict=True)) + value

    return made


def card(rng: random.Random) -> str:
    start, length = rng.choice(
        [
            ("4", 16),
            ("51", 16),
            ("55", 16),
            ("2221", 16),
            ("34", 15),
            ("37", 15),
            ("6011", 16),
            ("3528", 16),
            ("62", 16),
        ]
    )
    body = start + digits(rng, length - 1 - len(start))
    return body + luhn.calc_check_digit(body)


def grouped_card(rng: random.Random) -> str:
    value, by = card(rng), rng.choice(" -")
    sizes = (4, 6, 5) if len(value) == 15 else (4, 4, 4, 4)
    return grouped(lambda _: value, *sizes, by=by)(rng)


BBANS = {
    "DE": "18n", "GB": "4a14n", "FR": "10n11c2n", "ES": "20n", "IT": "1a10n12c", "NL": "4a10n", "PL": "24n", "BE": "12n",
    "SE": "20n", "CH": "5n12c", "PT": "21n", "AT": "16n", "IE": "4a14n", "NO": "11n", "DK": "14n", "FI": "14n", "CZ": "20n",
    "RO": "4a16c", "GR": "7n16c", "TR": "6n16c", "SA": "2n18c", "AE": "19n", "BR": "23n1a1c",
}  # fmt: skip
_ALPHABETS = {"n": DIGITS, "a": UPPER, "c": DIGITS + UPPER}


def bban(rng: random.Random, form: str) -> str:
    made, count = "", ""
    for sign in form:
        if sign.isdigit():
            count += sign
        else:
            made, count = made + of(_ALPHABETS[sign], int(count))(rng), ""
    return made


def iban(rng: random.Random, *, wrong: bool = False) -> str:
    country = rng.choice(sorted(BBANS))
    body = bban(rng, BBANS[country])
    left = int("".join(str(int(sign, 36)) for sign in body + country + "00")) % 97
    check = (98 - left + (rng.randrange(1, 90) if wrong else 0)) % 97
    return f"{country}{check if check > 1 else check + 97:02}{body}"


def rvnr(rng: random.Random) -> str:
    body = f"{rng.randrange(2, 90):02}{born(rng):%d%m%y}{rng.choice(UPPER)}{rng.randrange(100):02}"
    spread = body.replace(body[8], f"{ord(body[8]) - 64:02}")
    total = 0
    for sign, weight in zip(spread, [2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2, 1], strict=True):
        total += sum(map(int, str(int(sign) * weight)))
    return f"{body}{total % 10}"


def medicare(rng: random.Random) -> str:
    body = digits(rng, 8, "23456")
    return (
        f"{body}{sum(int(one) * by for one, by in zip(body, [1, 3, 7, 9] * 2, strict=True)) % 10}{rng.randrange(1, 10)}"
    )


def codice(rng: random.Random) -> str:
    letters = "".join(rng.choices("BCDFGLMNPRSTVZ", k=6))
    moment = born(rng)
    body = f"{letters}{moment:%y}{'ABCDEHLMPRST'[moment.month - 1]}{moment.day + rng.choice([0, 40]):02}{rng.choice('ABCDEFGHIL')}{digits(rng, 3)}"
    return body + codicefiscale.calc_check_digit(body)


def mexican(rng: random.Random) -> str:
    head = rng.choice("BCDFGH") + rng.choice(VOWELS) + "".join(rng.choices("BCDFGHLM", k=2))
    body = f"{head}{born(rng):%y%m%d}{rng.choice('HM')}{rng.choice(['DF', 'JC', 'NL'])}{''.join(rng.choices('BCDFGHLM', k=3))}0"
    return body + curp.calc_check_digit(body)


def chinese(rng: random.Random) -> str:
    body = rng.choice(["110101", "310104", "440106", "510104", "330102"]) + f"{born(rng):%Y%m%d}{digits(rng, 3)}"
    return body + ric.calc_check_digit(body + "0")


def french(rng: random.Random) -> str:
    body = f"{rng.choice('12')}{born(rng):%y%m}{rng.choice(['75', '13', '69', '2A', '59', '33'])}{digits(rng, 6)}"
    return body + nir.calc_check_digits(body)


def spanish(rng: random.Random) -> str:
    body = digits(rng, 8)
    return body + dni.calc_check_digit(body)


def foreign_spanish(rng: random.Random) -> str:
    body = rng.choice("XYZ") + digits(rng, 7)
    return body + nie.calc_check_digit(body)


def finnish(rng: random.Random) -> str:
    moment, serial = born(rng), rng.randrange(2, 900)
    check = "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(f"{moment:%d%m%y}{serial:03}") % 31]
    return f"{moment:%d%m%y}{'-' if moment.year < 2000 else 'A'}{serial:03}{check}"


@cache
def _plans(region: str) -> list[phonenumbers.PhoneNumber]:
    kinds = (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
    return [one for kind in kinds if (one := phonenumbers.example_number_for_type(region, kind))]


def phone(form: int) -> Make:
    def made(rng: random.Random) -> str:
        while True:
            example = rng.choice(_plans(rng.choice(REGIONS)))
            body = str(example.national_number)[:-5] + digits(rng, 5)
            number = phonenumbers.PhoneNumber(country_code=example.country_code, national_number=int(body))
            if phonenumbers.is_valid_number(number):
                return phonenumbers.format_number(number, form)

    return made


def name(rng: random.Random) -> str:
    return f"{rng.choice(FIRST)} {rng.choice(LAST)}"


def email(rng: random.Random) -> str:
    user = (
        f"{rng.choice(FIRST)}{rng.choice(['.', '_', ''])}{rng.choice(LAST)}{rng.choice(['', str(rng.randrange(99))])}"
    )
    plain = "".join(one for one in user if one.isascii() and (one.isalnum() or one in "._")).lower()
    return f"{plain}@{rng.choice(['example.com', 'mail.example.org', 'post.example.co.uk', 'example.museum'])}"


def ipv6(rng: random.Random) -> str:
    return f"2001:db8:{rng.randrange(65536):x}::{rng.randrange(1, 65536):x}"


def jwt(rng: random.Random) -> str:
    parts = ['{"alg":"RS256","typ":"JWT"}', f'{{"sub":"{rng.randrange(10**9)}","iat":{rng.randrange(10**9)}}}']
    encoded = [base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, of(string.ascii_letters + DIGITS + "-_", 86)(rng)])


def address(rng: random.Random) -> str:
    return f"{rng.choice(STREETS)} {rng.randrange(1, 200)}, {digits(rng, 5)} {rng.choice(['Berlin', 'Lyon', 'Madrid', 'Leeds'])}"


def icd(rng: random.Random) -> str:
    return f"{rng.choice('ABCDEFGHIJKLMN')}{rng.randrange(100):02}{rng.choice(['', f'.{rng.randrange(10)}', f'.{rng.randrange(100):02}'])}"


def norwegian(rng: random.Random) -> str:
    while True:
        body = f"{born(rng):%d%m%y}{rng.randrange(0, 500):03}"
        for weights in ((3, 7, 6, 1, 8, 9, 4, 5, 2), (5, 4, 3, 2, 7, 6, 5, 4, 3, 2)):
            body += str(-sum(int(one) * by for one, by in zip(body, weights, strict=False)) % 11)
        if fodselsnummer.is_valid(body):
            return body


def belgian(rng: random.Random) -> str:
    moment = born(rng)
    body = f"{moment:%y%m%d}{rng.randrange(1, 998):03}"
    return f"{body}{97 - int(('2' if moment.year >= 2000 else '') + body) % 97:02}"


def south_african(rng: random.Random) -> str:
    body = f"{born(rng):%y%m%d}{digits(rng, 4)}{rng.choice('01')}8"
    return body + luhn.calc_check_digit(body)


def steuer_id(rng: random.Random) -> str:
    ten = rng.sample(DIGITS, 10)
    ten[rng.randrange(1, 10)] = ten[0]
    rng.shuffle(ten)
    return "".join(ten) + rng.choice(DIGITS)


def cpf(rng: random.Random) -> str:
    body = digits(rng, 9)
    for weight in (10, 11):
        body += str(-sum((weight - place) * int(one) for place, one in enumerate(body)) % 11 % 10)
    return body
