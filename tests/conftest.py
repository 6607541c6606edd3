import os
import sys

import pytest
from hypothesis import settings

# A loaded machine is slow now and then; that is no fault of what is tested. Where CI is set, the examples are the same
# in every run of a commit, so that a red build can be repeated; elsewhere each run looks for new ones.
settings.register_profile("dynatrail", deadline=None, derandomize="CI" in os.environ, database=None)
settings.load_profile("dynatrail")


@pytest.fixture(autouse=True)
def aws_access_of_its_own():
    """A test's connection is not the next one's, though both may bear one name."""
    yield
    if aws := sys.modules.get("dynatrail.sources.aws"):
        aws.forget()
