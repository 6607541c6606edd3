"""docs/reference/discovery.md says what the code does."""

import contextlib
import io
import re

import pyarrow as pa
import pytest
import yaml

from dynatrail.privacy import discovery
from dynatrail.privacy.detectors import BUILT_IN, own
from dynatrail.settings import PROJECT

PAGE = (PROJECT / "docs" / "reference" / "discovery.md").read_text(encoding="utf-8")


def block(language):
    return re.search(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)[1]


@pytest.mark.parametrize(
    "subject", sorted({one.name for one in BUILT_IN} | {one.family for one in BUILT_IN} - {"harmless"})
)
def test_class_or_family_is_told(subject):
    assert re.search(rf"\b{subject}\b", PAGE)


def test_the_example_prints_what_the_page_says():
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(block("python"), "discovery.md", "exec"), {})
    assert printed.getvalue() == block("text")


def test_the_example_of_an_own_class_works(tmp_path):
    (tmp_path / "a.yaml").write_text(block("yaml"), encoding="utf-8")
    (one,) = discovery.inspect({"k": pa.array(["seen P-000007 today"])}, own.load(tmp_path))
    assert (one.detected_class, one.matched) == ("patient_number", 1)


def test_the_shipped_dictionary_speaks_for_every_class_that_names_decide():
    decided = {one.name for one in BUILT_IN if one.needs_name}
    names = yaml.safe_load((own.FOLDER / "names.yaml").read_text(encoding="utf-8"))["names"]
    assert decided <= names.keys()
