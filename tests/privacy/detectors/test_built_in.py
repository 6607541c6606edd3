"""Each class knows its own notations, and leaves others alone."""
# ruff: noqa: E501  rows of a table

import re

import pyarrow as pa
import pytest

from dynatrail.privacy.detectors import BUILT_IN

KNOWN = {
    "payment_card": (["4111111111111111", "5500-0000-0000-0004", "3782 822463 10005"], ["4111111111111112", "1234567890123456"]),
    "iban": (["DE89370400440532013000", "GB82 WEST 1234 5698 7654 32"], ["DE88370400440532013000", "ZZ8937040044"]),
    "bic": (["DEUTDEFF", "DEUTDEFF500"], ["DEUT1EFF"]),
    "us_ssn": (["536-90-4399"], ["000-12-3456", "666-12-3456", "536-9-04399"]),
    "gb_nino": (["AB123456C", "AB 12 34 56 C"], ["BG123456C", "AB123456E"]),
    "gb_nhs": (["401 023 2137", "4010232137"], ["4010232138"]),
    "de_steuer_id": (["36 574 261 809"], ["36574261808"]),
    "de_rvnr": (["65170839J003", "65 170839 J 003"], ["65170839J004"]),
    "fr_nir": (["295109912611193", "2 95 10 99 126 111 93"], ["295109912611199"]),
    "es_dni": (["54362315K", "54362315-K"], ["54362315Z"]),
    "es_nie": (["X2482300W"], ["X2482300A"]),
    "it_codice_fiscale": (["RCCMNL83S18D969H"], ["RCCMNL83S18D969I"]),
    "au_medicare": (["2123456701", "2123 45670 1"], ["2123456711"]),
    "in_pan": (["ACUPA7085R"], ["ACUZA7085R"]),
    "se_personnummer": (["880320-0016", "8803200016"], ["880320-0018"]),
    "fi_hetu": (["131052-308T"], ["131052-308U"]),
    "cn_resident_id": (["11010519491231002X"], ["110105194912310021"]),
    "kr_rrn": (["971013-9019902"], ["971013-9019903"]),
    "email": (["a.b@example.com", "jörg@example.co.uk"], ["logo@2x.png", "react@18.2.0", "a@b"]),
    "phone": (["+49 30 901820", "+1 (415) 555-2671", "00 44 20 7946 0018"], ["+99 12345678", "2026-11-24"]),
    "ip_address": (["192.0.2.7", "2001:db8::1", "192.0.2.7:443"], ["4.2.0.1", "300.1.1.1", "10:30:00"]),
    "mac_address": (["00:1a:2b:3c:4d:5e", "00-1A-2B-3C-4D-5E"], ["00:1a:2b:3c:4d"]),
    "geo_location": (["52.520008, 13.404954"], ["900.1234,13.404954"]),
    "aws_access_key": (["AKIA" + "A" * 16], ["AKIA" + "a" * 16]),
    "private_key": (["-----BEGIN PRIVATE KEY-----\nx"], ["-----BEGIN PUBLIC KEY-----\nx"]),
    "jwt": (["eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln"], ["eyJ4eHh4eHgiOjF9.eyJzdWIiOiIxIn0.c2ln"]),
    "api_token": (["ghp_" + "a" * 36, "sk_live_" + "1" * 24], ["ghp_short"]),
    "connection_password": (["postgres://app:hunter22@db.example.com/x", "Password=hunter22"], ["https://example.com/a"]),
    "password_hash": (["$2b$12$" + "a" * 53], ["$2b$12$short"]),
    "health_code": (["E11.9", "J45", "2A00.1"], ["E1"]),
    "date_of_birth": (["1984-02-29", "29.02.1984", "1984年2月29日"], ["1784-02-29", "1984"]),
}  # fmt: skip


def of_class(name, texts):
    array = pa.array(texts)
    found = set()
    its_own = [one for one in BUILT_IN if one.name == name]
    for detector in its_own:
        if not detector.needs_name or all(one.needs_name for one in its_own):
            places = detector.candidates(array)
            found.update(places[detector.matched(array.take(places))].tolist())
    return [texts[place] for place in sorted(found)]


@pytest.mark.parametrize("name", KNOWN)
def test_class_knows_its_values_and_no_others(name):
    its_own, others = KNOWN[name]
    assert of_class(name, its_own + others) == its_own


@pytest.mark.parametrize(
    "detector",
    [one for one in BUILT_IN if one.inside and (one.form or one.rule or one.quick or one.check)],
    ids=lambda one: f"{one.name}-{one.rarity:g}",
)
def test_patterns_that_are_cut_out_of_texts_work_in_both_engines(detector):
    re.compile(detector.shape)
    assert [places.tolist() for places in detector.found_in(pa.array(["nothing here"]))] == [[], []]


def test_values_are_found_within_sentences():
    card = next(one for one in BUILT_IN if one.name == "payment_card" and "[ ]" in one.shape)
    texts = pa.array(["paid by 4111 1111 1111 1111, thanks", "order 4111 1111 1111 1112.", "x4111 1111 1111 1111"])
    candidates, matched = card.found_in(texts)
    assert (candidates.tolist(), matched.tolist()) == ([0, 1], [0])


@pytest.mark.parametrize(
    "detector", BUILT_IN, ids=lambda one: f"{one.name}-{one.among}-{one.rarity:g}-{len(one.shape)}"
)
def test_no_text_makes_a_detector_fail(detector):
    odd = ["", " ", "\x00", "٣٤٥٦٧٨٩", "９" * 16, "a" * 5000, "-----", "é", "𝟙𝟚𝟛", "0" * 40, "::::", "@@@"]  # noqa: RUF001
    array = pa.array(odd)
    detector.matched(array.take(detector.candidates(array)))
