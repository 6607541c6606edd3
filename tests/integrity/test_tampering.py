"""Every way to tamper with a trail's bucket is seen, what it struck is named exactly, and nothing else is reported."""

from datetime import timedelta
from functools import cache
from itertools import combinations
from random import Random

import pytest
from tests.integrity.histories import History, steady
from tests.integrity.looking import Memory, Seen, look, remember

from dynatrail.sandbox import tampering
from dynatrail.sandbox.objects import HeldObjects
from dynatrail.sandbox.tampering import Tampered, chains, delivered, ended

SEEDS = (1, 2, 3)

RULES = {
    "edit a record": "log_file_altered",
    "delete a log": "log_file_missing",
    "append a gzip member": "log_file_altered",
    "add a forged log": "log_file_forged",
    "delete one digest": "digest_missing",
    "delete six digests": "digest_missing",
    "delete six hours": "digest_missing",
    "truncate the tail": "chain_truncated_tail",
    "truncate the head": "chain_truncated_head",
    "swap two logs": "log_file_altered",
    "edit a digest": "digest_invalid",
    "re-sign with another key": "digest_invalid",
    "re-sign, key's name kept": "digest_invalid",
    "replay an old digest": "digest_invalid",
}
OF_A_LOG = {
    "edit a record": "altered",
    "delete a log": "missing",
    "append a gzip member": "altered",
    "add a forged log": "forged",
    "swap two logs": "altered",
}
PAIRS = list(combinations(OF_A_LOG, 2))
GONE = ("delete one digest", "delete six digests", "delete six hours", "truncate the tail", "truncate the head")
SPOILED = ("edit a digest", "re-sign with another key", "re-sign, key's name kept", "replay an old digest")


class Struck:
    """A history, what was done to it, and what was seen before and after."""

    def __init__(self, seed: int, *ways: str, remembered: bool = False, apart: bool = False) -> None:
        self.history = steady(seed)
        self.memory: Memory | None = _before(seed) if remembered else None
        random = Random(f"{ways} {seed}")
        found = chains(self.history.bucket)
        self.chain = random.choice(sorted(found))
        self.done: list[Tampered] = []
        for way in ways:
            struck = tampering.WAYS[way](self.history.bucket, self.chain, random)
            if apart and self.done and _beside(struck, self.done[0]):
                pytest.skip("the log file lies beside what the other way struck")
            self.done.append(struck)
        self.seen = look(self.history, memory=self.memory)


@pytest.fixture(params=[False, True], ids=["fresh", "remembered"])
def remembered(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


def test_every_way_has_its_rule():
    assert sorted(RULES) == sorted(tampering.WAYS)
    assert sorted([*OF_A_LOG, *GONE, *SPOILED]) == sorted(RULES)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("way", OF_A_LOG)
def test_exactly_the_log_files_that_were_struck_are_named(way: str, seed: int, remembered: bool):
    struck = Struck(seed, way, remembered=remembered)
    (done,), seen = struck.done, struck.seen
    assert set(seen.files("altered", "missing", "forged", "unattested")) == set(done.log_files)
    assert set(seen.files(OF_A_LOG[way])) == set(done.log_files)
    assert seen.digests("invalid", "missing", "pending", "unread") == {}
    assert set(seen.rules()) == {RULES[way]}
    assert sum(one.how_many or 0 for one in seen.findings) == len(done.log_files)
    assert _log_files(seen) == set(done.log_files)
    assert all(one.account_id == struck.chain.account_id for one in seen.findings)
    assert all(one.region == struck.chain.region for one in seen.findings)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("way", GONE)
def test_every_lost_hour_and_every_log_of_it_is_named_and_counted(way: str, seed: int, remembered: bool):
    struck = Struck(seed, way, remembered=remembered)
    (done,), seen = struck.done, struck.seen
    assert list(seen.digests("missing")) == list(done.digests)
    assert seen.digests("invalid", "pending", "unread") == {}
    assert set(seen.files("unattested")) == set(done.listed)
    assert set(seen.files("missing")) == (set(done.log_files) if remembered else set())
    assert seen.files("altered", "forged") == {}
    assert seen.rules() == [RULES[way]]
    assert seen.findings[0].how_many == len(done.digests)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("way", SPOILED)
def test_exactly_the_digest_that_was_spoiled_is_named_with_what_it_listed(way: str, seed: int, remembered: bool):
    struck = Struck(seed, way, remembered=remembered)
    (done,), seen = struck.done, struck.seen
    assert set(seen.digests("invalid")) == set(done.digests)
    assert seen.digests("missing", "pending", "unread") == {}
    assert set(seen.files("unattested")) == set(done.listed)
    assert seen.files("altered", "forged", "missing") == {}
    assert seen.rules() == ["digest_invalid"]
    assert _uri(struck.history, done.digests[0]) in seen.findings[0].evidence_ids


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize(("one", "other"), PAIRS, ids=[" and ".join(pair) for pair in PAIRS])
def test_of_two_ways_upon_log_files_both_are_named(one: str, other: str, seed: int):
    struck = Struck(seed, one, other)
    first, second = (set(done.log_files) for done in struck.done)
    if first & second:
        pytest.skip("both struck the same file")
    seen = struck.seen
    assert set(seen.files("altered", "missing", "forged", "unattested")) == first | second
    assert sorted(set(seen.rules())) == sorted({RULES[one], RULES[other]})
    assert first | second == _log_files(seen)


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("of_a_log", ["edit a record", "add a forged log", "delete a log"])
@pytest.mark.parametrize("of_a_chain", ["truncate the tail", "truncate the head", "edit a digest", "delete one digest"])
def test_of_two_ways_upon_chain_and_log_file_both_are_named(of_a_chain: str, of_a_log: str, seed: int):
    """The chain is struck first, so that the log file is one that a digest still vouches for."""
    struck = Struck(seed, of_a_chain, of_a_log, apart=True)
    chain, log = struck.done
    seen = struck.seen
    assert set(seen.files("altered", "missing", "forged")) == set(log.log_files)
    assert set(seen.digests("missing", "invalid")) == set(chain.digests)
    assert seen.rules() == sorted([RULES[of_a_chain], RULES[of_a_log]])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_forged_file_of_lost_hours_is_attested_by_nothing(seed: int):
    """Once its digest is gone a file added there cannot be told from genuine ones: none of them counts as genuine."""
    struck = Struck(seed, "delete one digest")
    (done,) = struck.done
    at = done.ends[0] - timedelta(minutes=30)
    key = tampering.forge_log(struck.history.bucket, struck.chain.log_folder, at, random=Random(seed))
    seen = look(struck.history)
    assert key in seen.files("unattested")
    assert seen.rules() == ["digest_missing"]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_digest_missing_for_less_than_a_day_is_waited_for(seed: int):
    history = steady(seed)
    keys = next(iter(chains(history.bucket).values()))
    history.bucket.delete(keys[-8])
    seen = look(history)
    assert set(seen.digests("pending")) == {keys[-8]}
    assert seen.findings == []
    later = look(history, until=ended(keys[-8]) + timedelta(hours=25))
    assert keys[-8] in later.digests("missing")


@pytest.mark.parametrize("seed", SEEDS)
def test_a_digest_that_was_there_and_is_gone_is_not_waited_for(seed: int):
    history = steady(seed)
    memory = remember(look(history), history)
    keys = next(iter(chains(history.bucket).values()))
    history.bucket.delete(keys[-8])
    seen = look(history, memory=memory)
    assert set(seen.digests("missing")) == {keys[-8]}
    assert seen.rules() == ["digest_missing"]


@pytest.mark.parametrize("prefix", ["moved", ""], ids=["another prefix", "another bucket"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_folder_that_was_moved_is_named_as_a_whole(seed: int, prefix: str):
    history = steady(seed)
    target = history.bucket if prefix else HeldObjects("copied-trail")
    moved = tampering.move_folder(history.bucket, prefix, target)
    history.bucket = target
    seen = look(history)
    digests = {key for key in moved.values() if "/CloudTrail-Digest/" in key}
    assert seen.digests("invalid", "missing", "pending", "unread") == dict.fromkeys(digests, "moved")
    assert set(seen.rules()) == {"digest_invalid"}
    assert sum(one.how_many or 0 for one in seen.findings) == len(digests)
    assert set(seen.files("unattested", "not_yet_attested")) == set(moved.values()) - digests
    assert seen.files("attested", "forged", "altered", "missing") == {}


@cache
def _before(seed: int) -> Memory:
    history = steady(seed)
    seen = look(history)
    assert seen.findings == []
    return remember(seen, history)


def _beside(log: Tampered, chain: Tampered) -> bool:
    """Whether a log file's time lies so near to struck digests that nothing can be said of it alone."""
    near = [(end - timedelta(hours=2), end + timedelta(hours=3)) for end in chain.ends]
    return any(start <= delivered(key) <= end for key in log.log_files for start, end in near)


def _log_files(seen: Seen) -> set[str]:
    """Keys of the log files that findings show as evidence."""
    shown = {id_ for one in seen.findings for id_ in one.evidence_ids}
    return {id_.split("/", 3)[3] for id_ in shown if "/CloudTrail/" in id_}


def _uri(history: History, key: str) -> str:
    return f"s3://{history.bucket.name}/{key}"
