"""Files that are refused say where to read on: on the page of their own kind."""

import pytest

from dynatrail import config
from dynatrail.errors import SettingsError
from dynatrail.privacy import policy
from dynatrail.privacy.detectors import own
from dynatrail.settings import Settings

READERS = {
    "configuration": (lambda folder: config.load(Settings(config=str(folder / "a.yaml"))), "config/example.yaml"),
    "masking": (lambda folder: policy.load(Settings(masking=str(folder))), "docs/reference/masking.md"),
    "discovery": (
        lambda folder: own.load(Settings(detection=str(folder)).detection_folder),
        "docs/reference/discovery.md",
    ),
}


@pytest.mark.parametrize("kind", READERS)
def test_a_wrong_field_leads_to_the_page_of_the_file(kind, tmp_path):
    (tmp_path / "a.yaml").write_text("version: 1\nwrong: 1\n")
    with pytest.raises(SettingsError, match=rf"docs/reference/{kind}\.md says what each field takes\.$"):
        READERS[kind][0](tmp_path)


@pytest.mark.parametrize("content", ["- a\n", "a: [\n"], ids=["list", "cut"])
@pytest.mark.parametrize("kind", READERS)
def test_what_is_no_mapping_leads_to_the_form_of_the_file(kind, content, tmp_path):
    read, form = READERS[kind]
    (tmp_path / "a.yaml").write_text(content)
    with pytest.raises(SettingsError) as raised:
        read(tmp_path)
    assert str(raised.value).endswith(f"{form} shows the form.")
