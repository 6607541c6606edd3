import json

from dynatrail.sources.iam import credential_report

HEADER = "user,arn,user_creation_time,password_last_used,access_key_1_active,access_key_1_last_used_date"
ROW = "jane,arn:aws:iam::123456789012:user/jane,2026-01-01T00:00:00Z,{used},true,{key}"


def report(used="no_information", key="N/A", header=HEADER, more=""):
    return f"{header}\n{ROW.format(used=used, key=key)}{more}\n".encode()


def documents(content):
    return {piece.aspect: json.loads(piece.document) for piece in credential_report.taken(content).pieces}


def test_user_has_one_document_for_what_stays_and_one_for_what_moves():
    taken = documents(report(used="2026-11-01T00:00:00Z"))
    assert taken["GetCredentialReport"]["access_key_1_active"] == "true"
    assert "password_last_used" not in taken["GetCredentialReport"]
    assert taken["GetCredentialReport.last_used"] == {
        "password_last_used": "2026-11-01T00:00:00Z",
        "access_key_1_last_used_date": "N/A",
    }


def test_use_changes_only_the_document_of_uses():
    before, after = documents(report()), documents(report(key="2026-11-02T00:00:00Z"))
    assert before["GetCredentialReport"] == after["GetCredentialReport"]
    assert before["GetCredentialReport.last_used"] != after["GetCredentialReport.last_used"]


def test_column_that_aws_adds_is_taken_as_it_comes():
    taken = documents(report(header=f"{HEADER},additional_credentials_info", more=",3 keys"))
    assert taken["GetCredentialReport"]["additional_credentials_info"] == "3 keys"


def test_report_that_is_being_made_is_waited_for(stubbed):
    asker, stub = stubbed
    iam, slept = stub("iam"), []
    iam.add_response("generate_credential_report", {"State": "STARTED"})
    iam.add_client_error("get_credential_report", "ReportInProgress")
    iam.add_response("get_credential_report", {"Content": report()})
    assert len(credential_report.look(asker, slept.append).pieces) == 2
    assert len(slept) == 1


def test_report_that_is_never_ready_is_missed_not_gone(stubbed):
    asker, stub = stubbed
    iam = stub("iam")
    iam.add_response("generate_credential_report", {"State": "STARTED"})
    for _ in range(60):
        iam.add_client_error("get_credential_report", "ReportNotPresent")
    asker._limiters[("iam", "GetCredentialReport")] = type("Fast", (), {"wait": lambda _: None})()
    capture = credential_report.look(asker, lambda _: None)
    assert (capture.pieces, capture.complete) == ([], set())
    assert list(capture.missed.values()) == ["GetCredentialReport: the report was not ready after 120 s"]
