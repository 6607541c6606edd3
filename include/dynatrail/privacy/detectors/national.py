"""Numbers that states give to people: by country, most with check digits.

`python-stdnum` has the last word wherever it knows the number and its rules go beyond what numpy can say of a whole
column (it takes 5 to 20 us a value). What it lacks follows the publications named beside it.

Chances are measured over random digits of each shape; `tests/privacy/detectors` holds numbers that python-stdnum makes
and unmakes against all of this.
"""

from collections.abc import Callable, Iterator
from typing import Any

from stdnum.be import nn
from stdnum.bg import egn
from stdnum.br import cnpj
from stdnum.cl import rut
from stdnum.cz import rc
from stdnum.de import idnr
from stdnum.dk import cpr
from stdnum.es import dni, nie
from stdnum.fi import hetu
from stdnum.fr import nir
from stdnum.gr import amka
from stdnum.ie import pps
from stdnum.it import codicefiscale
from stdnum.kr import rrn
from stdnum.mx import curp
from stdnum.no import fodselsnummer
from stdnum.pl import pesel
from stdnum.ro import cnp
from stdnum.se import personnummer
from stdnum.th import pin
from stdnum.us import itin, ssn
from stdnum.za import idnr as za_idnr

from dynatrail.privacy.detectors import arithmetic
from dynatrail.privacy.detectors.arithmetic import both, check_digit, luhn, mod_11_10, weighted
from dynatrail.privacy.detectors.base import Detector

FAMILY = "national_id"

_DAY, _MONTH, _YEAR = "(?:0[1-9]|[12][0-9]|3[01])", "(?:0[1-9]|1[0-2])", "[0-9]{2}"
_OMOCODE = "[0-9LMNP-Vlmnp-v]"
"""Letters stand for digits where two people would have one code."""

_SPACED, _RARE, _UNMISTAKABLE = 5.0, 200.0, 3000.0
"""How much likelier a notation with separators is for a class than for others: any grouping, one of its own, letters
and digits in an order that nothing else has."""

_CPF = both(
    check_digit((10, 9, 8, 7, 6, 5, 4, 3, 2), 11, places=11),
    check_digit((11, 10, 9, 8, 7, 6, 5, 4, 3, 2), 11, places=11),
)
_CNPJ = check_digit((5, 4, 3, 2, 9, 8, 7, 6, 5, 4, 3, 2), 11, places=14)
_TURKISH = both(
    weighted((3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 0), 10),
    weighted((1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 9), 10),
)
_RVNR_WEIGHTS = (2, 1, 2, 5, 7, 1, 2, 1, 2, 1, 2)


def rvnr(text: str) -> bool:
    """German pension insurance number: VKVV section 4; the letter counts as its two-digit place in the alphabet."""
    bare = text.replace(" ", "").upper()
    written = bare[:8] + f"{ord(bare[8]) - 64:02}" + bare[9:]
    products = [int(digit) * weight for digit, weight in zip(written, (*_RVNR_WEIGHTS, 1), strict=False)]
    return sum(product // 10 + product % 10 for product in products[:12]) % 10 == int(written[12])


def _with_spaces(*groups: int, separators: str = " ", kind: str = "[0-9]") -> str:
    return f"[{separators}]".join(f"{kind}{{{group}}}" for group in groups)


def _number(
    name: str, shape: str, chance: float, *grouped: str, rarity: float = _SPACED, **more: Any
) -> Iterator[Detector]:
    """The plain notation, of which nothing but its checks speaks, and those with separators."""
    plain = {"among": "digits", "inside": False, **more}
    yield Detector(name, FAMILY, shape, chance=chance, **plain)
    for other in grouped:
        yield Detector(
            name,
            FAMILY,
            other,
            chance=chance,
            rarity=rarity,
            **{**plain, "needs_name": False, "inside": rarity > _SPACED},
        )


def _lettered(name: str, shape: str, check: Callable[[str], bool], chance: float, rarity: float) -> Iterator[Detector]:
    yield Detector(name, FAMILY, shape, "words", check=check, chance=chance, rarity=rarity, inside=rarity >= _RARE)


def _all() -> Iterator[Detector]:
    nine = _with_spaces(3, 3, 3)
    yield from _number(
        "us_ssn",
        "[0-8][0-9]{8}",
        0.99,
        "[0-8][0-9]{2}-[0-9]{2}-[0-9]{4}",
        check=ssn.is_valid,
        needs_name=True,
        rarity=1000,
    )
    yield from _number(
        "us_itin", "9[0-9]{8}", 0.28, "9[0-9]{2}-[0-9]{2}-[0-9]{4}", check=itin.is_valid, needs_name=True, rarity=_RARE
    )
    yield Detector(
        "gb_nino",
        FAMILY,
        "[A-Z]{2}(?:[0-9]{6}| [0-9]{2} [0-9]{2} [0-9]{2} )[A-Z]",
        "words",
        rule="(?:[ACEHJLMOPRSWXY][A-CEGHJ-NPR-TW-Z]|B[A-CEHJ-NPR-TW-Z]|G[ACEGHJ-NPR-TW-Z]|K[A-CEGHJ-MPR-TW-Z]"
        "|N[A-CEGHJLMNPRSW-Z]|T[A-CEGHJ-MPR-TW-Z]|Z[A-CEGHJ-NPR-TW-Y]).{6,10}[A-D]",
        chance=0.1,
        rarity=20,
    )
    yield from _number(
        "gb_nhs",
        "[3467][0-9]{9}",
        0.09,
        "[3467][0-9]{2} [0-9]{3} [0-9]{4}",
        "[3467][0-9]{2}-[0-9]{3}-[0-9]{4}",
        quick=weighted((10, 9, 8, 7, 6, 5, 4, 3, 2, 1), 11),
    )
    yield from _number(
        "de_steuer_id", "[1-9][0-9]{10}", 0.003, _with_spaces(2, 3, 3, 3), quick=mod_11_10(11), check=idnr.is_valid
    )
    yield from _lettered(
        "de_rvnr",
        rf"[0-9]{{2}} ?(?:0[1-9]|[12][0-9]|3[01]|5[1-9]|[67][0-9]|8[01]) ?{_MONTH} ?{_YEAR} ?[A-Z] ?[0-9]{{2}} ?[0-9]",
        rvnr,
        0.1,
        _RARE,
    )
    yield Detector(
        "fr_nir",
        FAMILY,
        r"[12378] ?[0-9]{2} ?[0-9]{2} ?(?:[0-9]{2}|2[AB]) ?[0-9]{3} ?[0-9]{3} ?[0-9]{2}",
        "words",
        form=rf"[12378] ?{_YEAR} ?(?:{_MONTH}|[2-9][0-9]) ?.*",
        check=nir.is_valid,
        chance=0.01,
        rarity=2,
    )
    yield from _lettered("es_dni", "[0-9]{8}[ -]?[A-Za-z]", dni.is_valid, 0.04, 10)
    yield from _lettered("es_nie", "[XYZxyz][ -]?[0-9]{7}[ -]?[A-Za-z]", nie.is_valid, 0.04, 10)
    yield from _lettered(
        "it_codice_fiscale",
        f"[A-Za-z]{{6}} ?{_OMOCODE}{{2}}[A-EHLMPR-Ta-ehlmpr-t]{_OMOCODE}{{2}} ?[A-Za-z]{_OMOCODE}{{3}}[A-Za-z]",
        codicefiscale.is_valid,
        0.03,
        _UNMISTAKABLE,
    )
    yield from _number("nl_bsn", "[0-9]{9}", 0.09, quick=weighted((9, 8, 7, 6, 5, 4, 3, 2, -1), 11))
    yield from _number(
        "pl_pesel",
        "[0-9]{11}",
        0.1,
        check=pesel.is_valid,
        form=rf"{_YEAR}(?:[02468][1-9]|[13579][0-2]){_DAY}[0-9]{{5}}",
        quick=weighted((1, 3, 7, 9, 1, 3, 7, 9, 1, 3, 1), 10),
    )
    yield from _number(
        "br_cpf", "[0-9]{11}", 0.011, "[0-9]{3}[.][0-9]{3}[.][0-9]{3}-[0-9]{2}", quick=_CPF, rarity=_RARE
    )
    yield from _number("br_cnpj", "[0-9]{14}", 0.009, quick=_CNPJ, check=cnpj.is_valid)
    yield from _lettered(
        "br_cnpj", "[0-9A-Z]{2}[.][0-9A-Z]{3}[.][0-9A-Z]{3}/[0-9A-Z]{4}-[0-9]{2}", cnpj.is_valid, 0.01, _RARE
    )
    yield from _number(
        "in_aadhaar", "[2-9][0-9]{11}", 0.1, "[2-9][0-9]{3} [0-9]{4} [0-9]{4}", quick=arithmetic.verhoeff(12)
    )
    yield Detector(
        "in_pan",
        FAMILY,
        "[A-Z]{5}[0-9]{4}[A-Z]",
        "words",
        rule="[A-Z]{3}[ABCFGHJLPT].*",
        chance=0.38,
        rarity=30,
        inside=True,
    )
    yield from _number(
        "ca_sin",
        "[1-79][0-9]{8}",
        0.1,
        "[1-79][0-9]{2} [0-9]{3} [0-9]{3}",
        "[1-79][0-9]{2}-[0-9]{3}-[0-9]{3}",
        quick=luhn(9),
    )
    yield from _number("au_tfn", "[0-9]{9}", 0.09, nine, quick=weighted((1, 4, 3, 7, 5, 8, 6, 9, 10), 11))
    yield from _number(
        "au_medicare",
        "[2-6][0-9]{9}",
        0.1,
        "[2-6][0-9]{3} [0-9]{5} [0-9]",
        quick=weighted((1, 3, 7, 9, 1, 3, 7, 9, -1, 0), 10),
        rarity=30,
    )
    yield from _number(
        "se_personnummer",
        "(?:19|20)?[0-9]{10}",
        0.1,
        "(?:19|20)?[0-9]{6}[-+][0-9]{4}",
        quick=luhn(10),
        form=rf"(?:19|20)?{_YEAR}{_MONTH}{_DAY}[-+]?[0-9]{{4}}",
        check=personnummer.is_valid,
        rarity=30,
    )
    yield from _lettered("fi_hetu", f"{_DAY}{_MONTH}{_YEAR}[-+A-FU-Y][0-9]{{3}}[0-9A-Y]", hetu.is_valid, 0.05, _RARE)
    yield from _number(
        "dk_cpr",
        "[0-9]{10}",
        0.03,
        "[0-9]{6}-[0-9]{4}",
        rule=rf"{_DAY}{_MONTH}{_YEAR}-?[0-9]{{4}}",
        check=cpr.is_valid,
        needs_name=True,
        rarity=30,
    )
    yield from _number(
        "no_fodselsnummer",
        "[0-9]{11}",
        0.009,
        "[0-9]{6} [0-9]{5}",
        form=rf"[0-7][0-9][0-9]{{2}}{_YEAR} ?[0-9]{{5}}",
        quick=weighted((3, 7, 6, 1, 8, 9, 4, 5, 2, 1, 0), 11),
        check=fodselsnummer.is_valid,
    )
    yield from _number(
        "be_national_number",
        "[0-9]{11}",
        0.02,
        "[0-9]{2}[.][0-9]{2}[.][0-9]{2}-[0-9]{3}[.][0-9]{2}",
        form=rf"{_YEAR}[.]?(?:0[0-9]|1[0-2])[.]?[0-3][0-9].*",
        check=nn.is_valid,
        rarity=_RARE,
    )
    yield from _number(
        "ch_ahv",
        "756[0-9]{10}",
        0.1,
        "756[.][0-9]{4}[.][0-9]{4}[.][0-9]{2}",
        quick=weighted((1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1, 3, 1), 10),
    )
    yield from _number(
        "at_svnr",
        "[1-9][0-9]{9}",
        0.09,
        "[1-9][0-9]{3} [0-9]{6}",
        rarity=30,
        form=rf"[0-9]{{4}} ?{_DAY}(?:0[1-9]|1[0-5]){_YEAR}",
        quick=weighted((3, 7, 9, -1, 5, 8, 4, 2, 1, 6), 11),
    )
    yield from _lettered("ie_pps", "[0-9]{7}[A-Wa-w][A-IWa-iw]?", pps.is_valid, 0.045, 5)
    yield from _number(
        "pt_nif",
        "[123][0-9]{8}",
        0.09,
        "[123][0-9]{2} [0-9]{3} [0-9]{3}",
        quick=check_digit((9, 8, 7, 6, 5, 4, 3, 2), 11),
    )
    yield from _number(
        "cz_rc",
        "[0-9]{10}",
        0.1,
        "[0-9]{6}/[0-9]{4}",
        check=rc.is_valid,
        rarity=_RARE,
        form=rf"{_YEAR}(?:[0257][1-9]|[1368][0-2]){_DAY}/?[0-9]{{4}}",
    )
    yield from _number(
        "ro_cnp", "[1-9][0-9]{12}", 0.06, form=rf"[1-9]{_YEAR}{_MONTH}{_DAY}[0-9]{{6}}", check=cnp.is_valid
    )
    yield from _number(
        "bg_egn",
        "[0-9]{10}",
        0.1,
        form=rf"{_YEAR}(?:[024][1-9]|[135][0-2]){_DAY}[0-9]{{4}}",
        check=egn.is_valid,
    )
    yield from _number(
        "gr_amka", "[0-9]{11}", 0.1, form=rf"{_DAY}{_MONTH}{_YEAR}[0-9]{{5}}", quick=luhn(11), check=amka.is_valid
    )
    yield from _number("hr_oib", "[0-9]{11}", 0.1, quick=mod_11_10(11))
    yield Detector(
        "cn_resident_id",
        FAMILY,
        "[1-8][0-9]{16}[0-9Xx]",
        "words",
        form=rf"[1-8][0-9]{{5}}(?:18|19|20){_YEAR}{_MONTH}{_DAY}[0-9]{{3}}[0-9Xx]",
        quick=arithmetic.mod_11_2,
        chance=0.09,
        inside=True,
    )
    yield from _number(
        "jp_my_number",
        "[0-9]{12}",
        0.1,
        "[0-9]{4}[ -][0-9]{4}[ -][0-9]{4}",
        quick=check_digit((6, 5, 4, 3, 2, 7, 6, 5, 4, 3, 2), 11),
    )
    yield from _number(
        "kr_rrn",
        "[0-9]{13}",
        0.1,
        "[0-9]{6}-[0-9]{7}",
        form=rf"{_YEAR}{_MONTH}{_DAY}-?[0-9]{{7}}",
        check=rrn.is_valid,
        rarity=_RARE,
    )
    yield from _number("tr_tckn", "[1-9][0-9]{10}", 0.01, quick=_TURKISH)
    yield from _lettered("mx_curp", "[A-Z]{4}[0-9]{6}[HMX][A-Z]{5}[0-9A-Z][0-9]", curp.is_valid, 0.05, _UNMISTAKABLE)
    yield from _lettered("cl_rut", "[0-9]{1,2}(?:[.][0-9]{3}[.][0-9]{3}|[0-9]{6})-[0-9Kk]", rut.is_valid, 0.09, 20)
    yield from _number(
        "za_id",
        "[0-9]{13}",
        0.1,
        form=rf"{_YEAR}{_MONTH}{_DAY}[0-9]{{4}}[0-2][0-9]{{2}}",
        quick=luhn(13),
        check=za_idnr.is_valid,
    )
    yield from _number(
        "th_pin",
        "[1-8][0-9]{12}",
        0.1,
        "[1-8]-[0-9]{4}-[0-9]{5}-[0-9]{2}-[0-9]",
        rarity=_RARE,
        check=pin.is_valid,
    )
    yield from _number("il_id", "[0-9]{9}", 0.1, quick=luhn(9))


DETECTORS: tuple[Detector, ...] = tuple(_all())
