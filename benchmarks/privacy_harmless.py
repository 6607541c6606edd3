"""Hard negatives: columns of values that only look sensitive, with the names that such attributes have."""
# ruff: noqa: E501, PLR2004  rows of a table; lengths that standards give

import hashlib
import random
import uuid

from privacy_numbers import DIGITS, REGIONS, UPPER, WORDS, Make, born, codice, day, digits, grouped, iban, of, until
from privacy_samples import MIXED, sentence
from stdnum import luhn
from stdnum.it import codicefiscale


def isbn10(rng: random.Random) -> str:
    body = digits(rng, 9, "0139")
    check = -sum((10 - place) * int(one) for place, one in enumerate(body)) % 11
    return body + ("X" if check == 10 else str(check))


def ean13(rng: random.Random) -> str:
    body = rng.choice(["400", "978", "761", "501"]) + digits(rng, 9)
    return body + str(-sum(int(one) * (1, 3)[place % 2] for place, one in enumerate(body)) % 10)


def with_luhn(start: str, length: int) -> Make:
    return lambda rng: (b := start + digits(rng, length - 1 - len(start))) + luhn.calc_check_digit(b)


HARMLESS: dict[str, tuple[list[str], Make]] = {
    "uuid": (["id", "uuid", "key"], lambda r: str(uuid.UUID(int=r.getrandbits(128), version=4))),
    "order numbers of 9 digits": (["order_id", "nr", "value"], lambda r: digits(r, 9, "123")),
    "order numbers of 10 digits": (["order_number", "k1"], lambda r: digits(r, 10, "46")),
    "order numbers of 11 digits": (["order_no", "k2"], lambda r: digits(r, 11, "123456789")),
    "order numbers of 12 digits": (["parcel", "k3"], lambda r: digits(r, 12)),
    "order numbers of 13 digits": (["shipment", "k4"], lambda r: digits(r, 13, "12345678")),
    "order numbers like cards": (["order_id", "k5"], lambda r: "4" + digits(r, 15)),
    "order numbers with a date": (["bestellnummer", "k6"], lambda r: born(r).strftime("%y%m%d") + digits(r, 5)),
    "counted up": (["id", "n"], lambda r: str(1_000_000_000 + r.randrange(10**6))),
    "epoch seconds": (["created_at", "ts", "k7"], lambda r: str(1_600_000_000 + r.randrange(2 * 10**8))),
    "epoch milliseconds": (["updated_at", "k8"], lambda r: str(1_600_000_000_000 + r.randrange(2 * 10**11))),
    "ISO times": (["created_at", "k9"], lambda r: f"{born(r)}T{r.randrange(24):02}:{r.randrange(60):02}:00Z"),
    "compact times": (["run", "k10"], lambda r: born(r).strftime("20%y%m%d") + digits(r, 6, "012")),
    "dates": (["order_date", "valid_until", "k11"], day("%Y-%m-%d")),
    "sha1": (["commit", "k12"], lambda r: hashlib.sha1(str(r.random()).encode()).hexdigest()),
    "sha256": (["hash", "k13"], lambda r: hashlib.sha256(str(r.random()).encode()).hexdigest()),
    "object ids": (["_id", "k14"], of("0123456789abcdef", 24)),
    "ulid": (["event", "k15"], lambda r: "01" + of("0123456789ABCDEFGHJKMNPQRSTVWXYZ", 24)(r)),
    "short ids": (["ref", "k16"], of(MIXED + "-_", 21)),
    "cursors in base64": (["cursor", "next", "k17"], of(MIXED + "+/", 40)),
    "product codes 1": (["sku", "k18"], lambda r: f"{of(UPPER, 3)(r)}-{digits(r, 4)}"),
    "product codes 2": (["part", "k19"], lambda r: f"{digits(r, 2)}-{digits(r, 3)}-{digits(r, 4)}"),
    "product codes 3": (["article_number", "k20"], lambda r: f"{of(UPPER, 2)(r)}{digits(r, 6)}{r.choice(UPPER)}"),
    "product codes 4": (["model", "k21"], lambda r: f"{digits(r, 8)}{r.choice(UPPER)}"),
    "product codes 5": (["k22"], lambda r: f"{digits(r, 6)}-{digits(r, 4)}"),
    "product codes 6": (["k23"], lambda r: grouped(lambda _: digits(r, 9), 3, 3, 3)(r)),
    "wrong IBANs": (["reference", "k24"], lambda r: iban(r, wrong=True)),
    "wrong cards": (["voucher", "k25"], until(lambda v: not luhn.is_valid(v), lambda r: "5" + r.choice("12345") + digits(r, 14))),
    "wrong codici": (["k26"], until(lambda v: not codicefiscale.is_valid(v), lambda r: codice(r)[:-1] + r.choice(UPPER))),
    "ISBN": (["isbn", "k27"], isbn10),
    "EAN": (["ean", "k28"], ean13),
    "IMEI": (["imei", "k29"], with_luhn("35", 15)),
    "ICCID": (["sim", "k30"], with_luhn("8949", 19)),
    "SIREN": (["siren", "k31"], with_luhn("4", 9)),
    "SIRET": (["siret", "k32"], with_luhn("4", 14)),
    "tracking 1Z": (["tracking", "k33"], lambda r: "1Z" + of(UPPER + DIGITS, 16)(r)),
    "versions": (["version", "release", "k34"], lambda r: f"{r.randrange(20)}.{r.randrange(30)}.{r.randrange(90)}"),
    "versions of four": (["build", "k35"], lambda r: f"{r.randrange(20)}.{r.randrange(30)}.{r.randrange(9000, 29999)}.{r.randrange(99)}"),
    "versions like addresses": (["app_version", "k36"], lambda r: f"{r.randrange(20)}.{r.randrange(9)}.{r.randrange(9)}.{r.randrange(9)}"),
    "prices": (["price", "total", "k37"], lambda r: f"{r.uniform(0, 900):.2f}"),
    "amounts": (["quantity", "k38"], lambda r: str(r.randrange(5000))),
    "measurements": (["temperature", "k39"], lambda r: f"{r.uniform(-20, 90):.4f}"),
    "colours": (["color", "k40"], lambda r: f"#{r.randrange(2**24):06x}"),
    "countries": (["country", "k41"], lambda r: r.choice(REGIONS)),
    "pictures": (["image", "k42"], lambda r: f"{r.choice(WORDS)}@{r.choice('23')}x.png"),
    "packages": (["package", "k43"], lambda r: f"{r.choice(WORDS)}@{r.randrange(9)}.{r.randrange(9)}.{r.randrange(9)}"),
    "urls": (["url", "link", "k44"], lambda r: f"https://www.example.com/{r.choice(WORDS)}/{digits(r, 8)}?page={r.randrange(9)}"),
    "arns": (["arn", "k45"], lambda r: f"arn:aws:dynamodb:eu-west-1:123456789012:table/{r.choice(WORDS)}"),
    "sentences": (["note", "comment", "description", "k46"], sentence),
    "product names": (["name", "title", "product_name"], lambda r: f"{r.choice(WORDS).capitalize()} {r.choice(WORDS).capitalize()} {r.randrange(90)}"),
    "words in capitals": (["status", "type", "k47"], lambda r: r.choice(["DELIVERY", "SHIPPING", "RETURNED", "INVOICED"])),
    "plates": (["plate", "k48"], lambda r: f"{of(UPPER, 2)(r)} {of(UPPER, 2)(r)} {digits(r, 4)}"),
    "kinds of cards": (["card_type", "card_brand"], lambda r: r.choice(["visa", "mastercard", "amex"])),
    "models of telephones": (["phone_model"], lambda r: f"Galaxy S{r.randrange(5, 25)}"),
    "templates of e-mails": (["email_template", "email_subject"], lambda r: f"welcome_v{r.randrange(9)}"),
    "kinds of addresses": (["address_type"], lambda r: r.choice(["home", "work", "billing"])),
    "changes of passwords": (["password_changed_at", "password_reset_on"], day("%Y-%m-%d")),
    "counts of tokens": (["token_count", "max_tokens"], lambda r: str(r.randrange(9000))),
    "state of goods": (["condition", "item_condition"], lambda r: r.choice(["new", "used", "refurbished"])),
    "results of races": (["race", "race_result"], lambda r: r.choice(["won", "lost", "second"])),
    "kinds of keys": (["key_type", "secret_name"], lambda r: f"app/prod/{r.choice(WORDS)}"),
    "pay by": (["payment_terms", "pay_method"], lambda r: r.choice(["net30", "prepaid", "cash"])),
    "streets of maps": (["via", "street_lamp_id"], lambda r: f"L-{digits(r, 5)}"),
    "paths of files": (["path", "k49"], lambda r: f"/srv/data/{r.choice(WORDS)}/{digits(r, 10)}.csv"),
}  # fmt: skip

UNSEEN: dict[str, tuple[list[str], Make]] = {
    "booking codes": (["pnr_code", "booking"], of(UPPER + DIGITS, 6)),
    "flight numbers": (["flight"], lambda r: f"{of(UPPER, 2)(r)}{r.randrange(10, 9999)}"),
    "seats": (["seat"], lambda r: f"{r.randrange(1, 60)}{r.choice('ABCDEF')}"),
    "container numbers": (["container"], lambda r: f"{of(UPPER, 3)(r)}U{digits(r, 7)}"),
    "vehicle identification": (["vin", "chassis"], of("0123456789ABCDEFGHJKLMNPRSTUVWXYZ", 17)),
    "national stock numbers": (["nsn"], lambda r: f"{digits(r, 4)}-{digits(r, 2)}-{digits(r, 3)}-{digits(r, 4)}"),
    "CAS numbers": (["cas", "substance"], lambda r: f"{r.randrange(50, 99999)}-{digits(r, 2)}-{digits(r, 1)}"),
    "case numbers": (["case_ref"], lambda r: f"{r.randrange(2015, 2027)}/{digits(r, 6)}"),
    "shelf places": (["bin", "location_code"], lambda r: f"{r.choice(UPPER)}{r.randrange(90):02}-{r.randrange(90):02}-{r.randrange(9)}"),
    "lottery draws": (["draw"], lambda r: " ".join(str(r.randrange(1, 50)) for _ in range(6))),
    "matrix of numbers": (["embedding"], lambda r: ",".join(f"{r.uniform(-1, 1):.4f}" for _ in range(8))),
    "time spans": (["opening_hours"], lambda r: f"{r.randrange(6, 11):02}:00-{r.randrange(15, 22)}:30"),
    "snowflakes": (["tweet", "snowflake"], lambda r: str(1_500_000_000_000_000_000 + r.randrange(10**17))),
    "nine digits after zeros": (["account_ref"], lambda r: digits(r, 10).zfill(12)),
    "JSON of settings": (["settings"], lambda r: f'{{"theme":"dark","size":{r.randrange(90)},"beta":{r.choice(["true", "false"])}}}'),
    "HTML": (["markup"], lambda r: f'<div class="x{r.randrange(99)}"><b>{sentence(r)}</b></div>'),
    "stack frames": (["trace"], lambda r: f"at {r.choice(WORDS)}.run(Main.java:{r.randrange(900)})"),
    "polls": (["answers"], lambda r: "".join(r.choices("YN", k=8))),
    "telephone extensions": (["extension"], lambda r: str(r.randrange(100, 9999))),
    "names of hosts": (["node"], lambda r: f"ip-10-0-{r.randrange(256)}-{r.randrange(256)}.internal.example.com"),
    "names of companies": (["vendor"], lambda r: f"{r.choice(WORDS).title()} & {r.choice(WORDS).title()} GmbH"),
    "titles of books": (["book"], lambda r: f"The {r.choice(WORDS).title()} of {r.choice(WORDS).title()}"),
}  # fmt: skip
"""Kinds that were written when the detectors were done, and are used with held-out seeds alone."""
