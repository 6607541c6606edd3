import pytest

from dynatrail.privacy.tokens import Tokenizer

KEY = bytes(range(32))


@pytest.fixture
def key():
    return KEY


@pytest.fixture
def tokens(key):
    return Tokenizer(key)
