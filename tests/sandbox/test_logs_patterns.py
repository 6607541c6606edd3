"""Filter patterns of CloudWatch Logs."""

import pytest

from dynatrail.sandbox.logs_patterns import PatternError, compile_pattern

JSON = '{"level": "ERROR", "code": 7, "ok": false, "none": null, "who": {"name": "a.b"}, "list": [{"n": 1}, "x"]}'


@pytest.mark.parametrize(
    ("pattern", "message", "found"),
    [
        ("", "anything", True),
        ("ERROR", "[ERROR] it failed", True),
        ("ERROR", "[error] it failed", False),
        ("ERROR failed", "ERROR: it failed", True),
        ("ERROR failed", "ERROR: it broke", False),
        ('"it failed"', "ERROR: it failed", True),
        ('"it failed"', "it has failed", False),
        ("?ERROR ?WARN", "WARN: slow", True),
        ("?ERROR ?WARN", "INFO: fine", False),
        ("ERROR ?WARN", "ERROR: it failed", True),
        ("ERROR -timeout", "ERROR: timeout", False),
        ("ERROR -timeout", "ERROR: it failed", True),
        ("%[0-9]{3}-[0-9]{4}%", "call 555-0100", True),
    ],
)
def test_terms(pattern: str, message: str, found: bool):
    assert compile_pattern(pattern)(message) is found


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ('{ $.level = "ERROR" }', True),
        ("{ $.level = ERR* }", True),
        ('{ $.level != "ERROR" }', False),
        ('{ $.missing != "ERROR" }', False),
        ("{ $.code = 7 }", True),
        ("{ $.code >= 7.5 }", False),
        ("{ $.code > 6 && $.code < 8 }", True),
        ('{ $.code = 8 || $.level = "ERROR" }', True),
        ('{ ($.code = 8 || $.code = 7) && $.level = "WARN" }', False),
        ('{ $.who.name = "a.b" }', True),
        ("{ $.list[0].n = 1 }", True),
        ('{ $.list[1] = "x" }', True),
        ("{ $.ok IS FALSE }", True),
        ("{ $.none IS NULL }", True),
        ("{ $.none NOT EXISTS }", False),
        ("{ $.missing NOT EXISTS }", True),
        ("{ $.level = %^ERR% }", True),
    ],
)
def test_fields_of_a_json_message(pattern: str, found: bool):
    assert compile_pattern(pattern)(JSON) is found


def test_a_pattern_of_fields_matches_no_plain_text():
    assert compile_pattern("{ $.level NOT EXISTS }")("ERROR: it failed") is False


@pytest.mark.parametrize("pattern", ["{ $.a = 1", "{ $.a }", "{ a = 1 }", "{ $.a > b }", "[ip, user]", "{ ($.a = 1 }"])
def test_what_is_no_pattern_is_refused(pattern: str):
    with pytest.raises(PatternError):
        compile_pattern(pattern)
