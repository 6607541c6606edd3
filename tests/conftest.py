import sys

import pytest
from hypothesis import settings

# A loaded machine is slow now and then; that is no fault of what is tested.
settings.register_profile("dynatrail", deadline=None)
settings.load_profile("dynatrail")


@pytest.fixture(autouse=True)
def aws_access_of_its_own():
    """A test's connection is not the next one's, though both may bear one name."""
    yield
    if aws := sys.modules.get("dynatrail.sources.aws"):
        aws.forget()
