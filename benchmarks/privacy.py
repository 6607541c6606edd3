"""How well discovery tells sensitive attributes from others, and how fast.

    python benchmarks/privacy.py              held-out seeds, then 1,000,000 different values timed
    python benchmarks/privacy.py --quick      one other seed, 50,000 values
    python benchmarks/privacy.py --seed 3     another seed, with all that was wrong; for working on the detectors

Every column is an attribute with a name, a number of values and a known class. Each class is made in every notation of
`privacy_samples.py`, under a name that speaks for it and under one that says nothing (`field_7`), pure and as a tenth
of other values, with 3, 20 and 200 values; some are hidden in sentences. Hard negatives are the columns of
`privacy_harmless.py`. A finding is right if the class is in the column. Held-out seeds use names and hard negatives
that were written when the detectors were done.
"""

import argparse
import itertools
import random
import resource
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import privacy_harmless
import privacy_numbers
import privacy_samples as samples
import pyarrow as pa

from dynatrail.privacy import discovery
from dynatrail.privacy.detectors import BUILT_IN, own

HELD_OUT = (9001, 9002, 9003)
SIZES = (3, 20, 200)
SHARES = {"pure": 1.0, "a tenth": 0.1}

# Names as schemas have them, not as include/detection has them.
SEEN = {
    "payment_card": ["cardNumber", "cc_num", "kartennummer", "credit_card_no", "PAN"],
    "iban": ["iban", "BankAccountIBAN", "kontonummer", "payee_account"],
    "us_ssn": ["ssn", "socialSecurityNumber", "SSN_TIN"],
    "us_itin": ["itin"],
    "gb_nino": ["ni_number", "NationalInsurance"],
    "gb_nhs": ["nhsNumber", "nhs_no"],
    "de_steuer_id": ["steuerId", "SteuerIdentifikationsnummer", "tax_id"],
    "de_rvnr": ["rentenversicherungsnr", "sv_nummer"],
    "fr_nir": ["numeroSecu", "nir"],
    "es_dni": ["dni", "documento"],
    "es_nie": ["nie", "documento"],
    "it_codice_fiscale": ["codiceFiscale", "cod_fisc"],
    "nl_bsn": ["bsn", "burgerservicenummer"],
    "pl_pesel": ["pesel"],
    "br_cpf": ["cpf", "cpf_cliente"],
    "br_cnpj": ["cnpj"],
    "in_aadhaar": ["aadhaarNumber", "uid"],
    "in_pan": ["panCard", "pan_no"],
    "ca_sin": ["sin", "socialInsuranceNumber"],
    "au_tfn": ["tfn", "taxFileNumber"],
    "au_medicare": ["medicareNo", "medicare_card"],
    "se_personnummer": ["personnummer", "pers_nr"],
    "fi_hetu": ["hetu", "henkilötunnus"],
    "dk_cpr": ["cpr", "cprNummer"],
    "no_fodselsnummer": ["fødselsnummer", "fnr"],
    "be_national_number": ["rijksregisternummer", "niss"],
    "ch_ahv": ["ahvNr", "navs"],
    "at_svnr": ["svnr", "sozialversicherungsnummer"],
    "ie_pps": ["ppsn"],
    "pt_nif": ["nif", "contribuinte"],
    "cz_rc": ["rodne_cislo", "rodnéČíslo"],
    "ro_cnp": ["cnp"],
    "bg_egn": ["egn"],
    "gr_amka": ["amka"],
    "hr_oib": ["oib"],
    "cn_resident_id": ["身份证号", "id_card_no"],
    "jp_my_number": ["myNumber", "個人番号"],
    "kr_rrn": ["rrn", "주민등록번호"],
    "tr_tckn": ["tcKimlikNo", "tckn"],
    "mx_curp": ["curp"],
    "cl_rut": ["rut", "rut_cliente"],
    "za_id": ["idNumber", "sa_id_number"],
    "th_pin": ["thai_id", "citizen_id"],
    "il_id": ["teudatZehut", "id_number"],
    "email": ["email", "contactMail", "correo"],
    "phone": ["phone", "mobileNo", "telefon", "tel_home"],
    "ip_address": ["ip", "clientIp", "last_login_ip"],
    "mac_address": ["mac", "deviceMac"],
    "geo_location": ["coordinates", "latitude", "home_location"],
    "person_name": ["lastName", "patientName", "nachname", "contact_person", "customer"],
    "date_of_birth": ["dob", "birthDate", "geburtsdatum", "fecha_nac"],
    "postal_address": ["address", "street1", "anschrift", "shipTo"],
    "gender": ["gender", "sex", "geschlecht"],
    "health_code": ["icd10", "diagnosisCode", "dx"],
    "diagnosis": ["diagnosis", "befund", "medicalHistory", "dx_text"],
    "salary": ["salary", "annualIncome", "gehalt", "base_pay"],
    "aws_access_key": ["accessKeyId", "aws_key"],
    "aws_secret_key": ["secretAccessKey", "aws_secret"],
    "private_key": ["privateKey", "pem"],
    "jwt": ["idToken", "jwt"],
    "api_token": ["apiToken", "githubToken"],
    "bearer_token": ["authorization", "authHeader"],
    "connection_password": ["dsn", "connectionString"],
    "password_hash": ["passwordHash", "pw_hash"],
    "password": ["password", "passwort", "user_pwd"],
    "secret": ["clientSecret", "apiKey", "webhook_secret"],
}

UNSEEN = {
    "payment_card": ["PaymentCardNo", "card_pan", "NumCB"],
    "iban": ["beneficiaryIban", "acct_iban", "IBAN_Empfaenger"],
    "us_ssn": ["ssn_full", "SocSecNo", "employee_ssn"],
    "us_itin": ["itin_no"],
    "gb_nino": ["nino", "employeeNINO"],
    "gb_nhs": ["NHS_NUMBER", "patientNhs"],
    "de_steuer_id": ["steuerIdNr", "idNr"],
    "de_rvnr": ["RVNR", "sozialversicherungsNr"],
    "fr_nir": ["num_secu_sociale", "NIR_patient"],
    "es_dni": ["dni_cliente", "nifTitular"],
    "es_nie": ["nie_trabajador"],
    "it_codice_fiscale": ["CodFiscale", "cf_paziente"],
    "nl_bsn": ["bsn_nummer", "klantBsn"],
    "pl_pesel": ["PESEL_pacjenta"],
    "br_cpf": ["nr_cpf", "cpfTitular"],
    "br_cnpj": ["cnpj_fornecedor"],
    "in_aadhaar": ["aadhar_no", "AadhaarID"],
    "in_pan": ["panNumber", "customer_pan"],
    "ca_sin": ["employee_sin", "SIN_NAS"],
    "au_tfn": ["tfn_no"],
    "au_medicare": ["medicareCardNumber"],
    "se_personnummer": ["persnr", "personNummer"],
    "fi_hetu": ["asiakas_hetu"],
    "dk_cpr": ["cpr_nr"],
    "no_fodselsnummer": ["fodselsNr"],
    "be_national_number": ["insz_nummer", "nationalNumber"],
    "ch_ahv": ["AHVN13", "avs_number"],
    "at_svnr": ["svNr"],
    "ie_pps": ["pps_no"],
    "pt_nif": ["nifCliente"],
    "cz_rc": ["rodneCislo"],
    "ro_cnp": ["cnp_pacient"],
    "bg_egn": ["EGN_no"],
    "gr_amka": ["amka_no"],
    "hr_oib": ["oibKupca"],
    "cn_resident_id": ["身份证号码", "idCardNo"],
    "jp_my_number": ["マイナンバー", "my_number"],
    "kr_rrn": ["resident_reg_no", "juminNo"],
    "tr_tckn": ["tcNo", "TCKimlikNumarasi"],
    "mx_curp": ["curp_empleado"],
    "cl_rut": ["rutPaciente"],
    "za_id": ["said", "SA_ID"],
    "th_pin": ["nationalIdTh"],
    "il_id": ["zehut", "tz_number"],
    "email": ["e-mail", "userEmailAddr", "mail1"],
    "phone": ["cellPhone", "tel_mobil", "contact_number", "whatsapp"],
    "ip_address": ["remoteIp", "ipv4", "peer_addr"],
    "mac_address": ["mac_addr", "wifiMac"],
    "geo_location": ["gpsPosition", "lat", "LONGITUDE"],
    "person_name": ["FIRST_NAME", "familyName", "cognome", "recipientName", "owner"],
    "date_of_birth": ["DateOfBirth", "bday", "naissance", "geb_datum"],
    "postal_address": ["homeAddress", "street_name", "adresse1", "delivery_addr"],
    "gender": ["GENDER", "sexo", "anrede"],
    "health_code": ["icdCode", "icd_10_gm", "main_dx"],
    "diagnosis": ["diagnoses", "symptom_text", "Krankheit", "reason_for_visit"],
    "salary": ["grossSalary", "lohn", "yearly_wage", "comp_amount"],
    "aws_access_key": ["AWS_ACCESS_KEY_ID"],
    "aws_secret_key": ["AWS_SECRET_ACCESS_KEY"],
    "private_key": ["ssh_private_key", "tlsKey"],
    "jwt": ["accessToken", "bearer"],
    "api_token": ["slack_bot_token", "stripeKey"],
    "bearer_token": ["Authorization", "auth"],
    "connection_password": ["DATABASE_URL", "connStr"],
    "password_hash": ["hash", "pwdhash"],
    "password": ["userPassword", "passwd", "mdp", "login_secret"],
    "secret": ["apiSecret", "signingKey", "client_credential"],
}
"""Written when the detectors and their dictionary were done; used with held-out seeds alone."""


@dataclass(frozen=True, slots=True)
class Column:
    """One attribute: what is in it, and how it was made."""

    path: str
    values: list[str]
    holds: frozenset[str]
    how: str


def columns(seed: int) -> Iterator[Column]:
    rng = random.Random(seed)
    names = UNSEEN if seed in HELD_OUT else SEEN
    harmless = privacy_harmless.HARMLESS | (privacy_harmless.UNSEEN if seed in HELD_OUT else {})
    made = [
        *_sensitive(rng, names, [make for _, make in harmless.values()]),
        *_in_sentences(rng),
        *_harmless(rng, harmless.values()),
    ]
    for serial, column in enumerate(made):
        yield Column(f"t{serial}.{column.path}", column.values, column.holds, column.how)


def _sensitive(
    rng: random.Random, names: Mapping[str, list[str]], others: list[privacy_numbers.Make]
) -> Iterator[Column]:
    for kind, makers in samples.CLASSES.items():
        for make, size, share, how in itertools.product(makers, SIZES, SHARES, ("named", "unnamed")):
            if share == "pure" or size == SIZES[-1]:  # a tenth of few is none
                name = rng.choice(names[kind]) if how == "named" else f"field_{rng.randrange(9)}"
                other = rng.choice(others)
                values = [(make if rng.random() <= SHARES[share] else other)(rng) for _ in range(size)]
                yield Column(name, values, frozenset({kind}), f"{how}, {share}")


def _in_sentences(rng: random.Random) -> Iterator[Column]:
    for kind, size in itertools.product(samples.INSIDE, SIZES):
        values = [rng.choice([samples.hidden(kind, rng), samples.sentence(rng)]) for _ in range(size - 1)]
        values.append(samples.hidden(kind, rng))
        yield Column(rng.choice(["note", "body", "field_1"]), values, frozenset({kind}), "in sentences")


def _harmless(rng: random.Random, kinds: Iterable[tuple[list[str], privacy_numbers.Make]]) -> Iterator[Column]:
    for names, make in kinds:
        for name, size in itertools.product(names, SIZES):
            yield Column(name, [make(rng) for _ in range(size)], frozenset(), "harmless")


HOWS = ("named, pure", "unnamed, pure", "named, a tenth", "unnamed, a tenth", "in sentences")


def quality(seeds: tuple[int, ...], *, show: bool) -> None:
    """Precision and recall by class, by how a column was made, and by how sure discovery was."""
    right: dict[str, Counter[str]] = defaultdict(Counter)
    there: dict[str, Counter[str]] = defaultdict(Counter)
    wrong: Counter[str] = Counter()
    sure: dict[float, Counter[bool]] = defaultdict(Counter)
    harmless: Counter[bool] = Counter()
    detection = own.load()
    for seed in seeds:
        made = {column.path: column for column in columns(seed)}
        found = discovery.inspect({path: pa.array(column.values) for path, column in made.items()}, detection)
        by_path = defaultdict(set)
        for one in found:
            column = made[one.path]
            by_path[one.path].add(one.detected_class)
            correct = one.detected_class in column.holds
            sure[next(edge for edge in (0.95, 0.8, 0.5, 0) if one.confidence >= edge)][correct] += 1
            if correct:
                right[one.detected_class][column.how] += 1
            else:
                wrong[one.detected_class] += 1
                if show:
                    print(
                        "  wrong:",
                        one.detected_class,
                        one.confidence,
                        f"{one.matched}/{one.sampled}",
                        column.path,
                        *column.holds,
                        column.how,
                    )
        for column in made.values():
            for kind in column.holds:
                there[kind][column.how] += 1
                if show and kind not in by_path[column.path]:
                    print("  missed:", kind, len(column.values), column.path, column.how)
            if not column.holds:
                harmless[bool(by_path[column.path])] += 1
    _print(right, there, wrong)
    for edge, counts in sorted(sure.items(), reverse=True):
        print(f"confidence from {edge}: {counts[True] / counts.total():.1%} of {counts.total()} findings are right")
    share = harmless[True] / harmless.total()
    print(f"harmless columns: {harmless.total()}, {harmless[True]} of them with a finding ({share:.1%})")


_LINE = "{:22}" + " {:>9}" * 7


def _print(right: dict[str, Counter[str]], there: dict[str, Counter[str]], wrong: Counter[str]) -> None:
    print(_LINE.format("class", "precision", "recall", "named", "unnamed", "n. tenth", "u. tenth", "sentences"))
    for kind, counts in there.items():
        print(_line(kind, right[kind], counts, wrong[kind]))
    by_name = {one.name for one in BUILT_IN} - {one.name for one in BUILT_IN if not one.needs_name}
    for title, kinds in (("decided by values", there.keys() - by_name), ("decided by names", by_name), ("all", there)):
        every = set(kinds) | (wrong.keys() - there.keys() if title == "all" else set())
        sums = [sum((counts[kind] for kind in every), Counter()) for counts in (right, there)]
        print(_line(title, *sums, sum(wrong[kind] for kind in every)), flush=True)


def _line(kind: str, right: Counter[str], there: Counter[str], wrong: int) -> str:
    found = right.total()
    figures = [f"{found / (found + wrong):.1%}" if found + wrong else "", f"{found / there.total():.1%}"]
    figures += [f"{right[how] / there[how]:.0%}" if there[how] else "" for how in HOWS]
    return _LINE.format(kind, *figures)


def speed(count: int) -> None:
    """Time over so many different values, of all classes, notations, sentences and hard negatives."""
    rng = random.Random(17)
    makers = [make for every in samples.CLASSES.values() for make in every]
    makers += [make for _, make in privacy_harmless.HARMLESS.values()]
    makers += [lambda rng, kind=kind: samples.hidden(kind, rng) for kind in samples.INSIDE]
    each = -(-count // len(makers))
    arrays = {f"c{n}.field": pa.array([make(rng) for _ in range(each)]) for n, make in enumerate(makers)}
    _timed("all kinds", arrays)
    some = np.random.default_rng(5).integers(10**10, 10**11, count)
    _timed("numbers of 11 digits", {"n": pa.array(some).cast(pa.string())})
    cards = [privacy_numbers.card(rng) for _ in range(count)]
    _timed("valid cards", {"c": pa.array(cards)})
    _timed("sentences", {"s": pa.array([samples.hidden(samples.INSIDE[n % 8], rng) for n in range(count // 4)])})


def _timed(name: str, arrays: dict[str, pa.Array]) -> None:
    count = sum(map(len, arrays.values()))
    begun, cpu = time.perf_counter(), time.process_time()
    found = discovery.inspect(arrays)
    seconds, cpu = time.perf_counter() - begun, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(
        f"{name:22} {count:9} values in {len(arrays):3} attributes: {seconds:5.1f} s ({cpu:.1f} s CPU), "
        f"{count / seconds:9.0f} values/s, {len(found)} findings, {peak:.2f} GB at most",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="one other seed, 50,000 values")
    parser.add_argument("--seed", type=int, action="append", help="this seed instead; says what was wrong")
    asked = parser.parse_args()
    if asked.seed:
        quality(tuple(asked.seed), show=True)
        return
    quality((101,) if asked.quick else HELD_OUT, show=False)
    speed(50_000 if asked.quick else 1_000_000)


if __name__ == "__main__":
    main()
