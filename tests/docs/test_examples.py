import pytest

from dynatrail.settings import settings
from dynatrail.warehouse import engine
from dynatrail.warehouse.store import Warehouse

LANGUAGES = {"sh", "sql", "text", "json", "yaml", "python", "console", "ini"}


@pytest.mark.usefixtures("example_settings")
def test_query_of_a_page_finds_rows(sql_block):
    with engine.connect(Warehouse.from_settings(settings())) as connection:
        assert engine.query(connection, sql_block.text).num_rows or sql_block.said == "may find nothing"


@pytest.mark.slow
def test_commands_of_a_page_work_in_its_order_and_print_what_it_says(shell_page, reader, blocks_of):
    shown = blocks_of(shell_page)
    commands = [at for at, block in enumerate(shown) if block.language == "sh"]
    printed = dict(zip(commands, reader([shown[at].text for at in commands]), strict=True))
    said = {at: block.text for at, block in enumerate(shown) if block.said == "prints"}
    assert said == {at: printed.get(at - 1) for at in said}


def test_every_block_says_its_language(page, blocks_of):
    assert {block.language for block in blocks_of(page)} <= LANGUAGES
