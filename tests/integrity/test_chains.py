"""What links digests, what is missing between them, and why."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.integrity.conftest import (
    ACCOUNT,
    BUCKET,
    HOUR,
    LATER,
    REGION,
    START,
    Build,
    Built,
    digest_key,
    row_of,
    statuses,
    trail,
)

from dynatrail.integrity.chains import Chain, ChainState, Cover
from dynatrail.integrity.digests import DigestFile, Verified, verify
from dynatrail.integrity.trail_facts import Change, LoggingSpan, TrailFacts
from dynatrail.sandbox.digests import Chain as Signing
from dynatrail.sandbox.digests import Signer

MINUTE = timedelta(minutes=1)
STOPPER = "arn:aws:iam::123456789012:user/mallory"


def without(built: Built, *numbers: int) -> list[DigestFile]:
    return [file for n, file in enumerate(built.files) if n not in numbers]


def only(verified: Verified) -> Chain:
    (chain,) = verified.chains
    return chain


def span(start: datetime | None, end: datetime | None, ended: str = "StopLogging", **more: Any) -> LoggingSpan:
    return LoggingSpan(
        **{
            "trail_name": "audit",
            "home_region": REGION,
            "start": start,
            "end": end,
            "began": start and Change(at=start, event_name="StartLogging", event_id="began", actor=STOPPER),
            "ended": end and Change(at=end, event_name=ended, event_id="ended", actor=STOPPER),
            **more,
        }
    )


def facts(**what: Any) -> list[TrailFacts]:
    return [TrailFacts(trail_name="audit", home_region=REGION, **what)]


def test_an_untouched_chain_is_valid_and_covers_its_time(build: Build):
    chain = only(build(5).verify())
    assert chain.states == (ChainState.VALID,)
    assert [(one.cover, one.start, one.end) for one in chain.stretches[1:]] == [
        (Cover.VALID, START, START + 5 * HOUR),
        (Cover.OPEN, START + 5 * HOUR, None),
    ]
    assert chain.stretches[0].reason_code == "before_validation"


class TestMissing:
    def test_one_in_the_middle_is_named_where_it_must_lie(self, build: Build):
        built = build(40)
        verified = built.verify(without(built, 2))
        row = row_of(verified, built.uri(2))
        assert (row["status"], row["reason_code"], row["link"]) == ("missing", "previous_missing", None)
        assert (row["digest_start_time"], row["digest_end_time"]) == (START + 2 * HOUR, START + 3 * HOUR)
        assert row_of(verified, built.uri(3))["link"] == "broken"
        assert only(verified).states == (ChainState.BROKEN,)

    def test_every_one_of_a_run_is_named(self, build: Build):
        built = build(40)
        verified = built.verify(without(built, *range(3, 9)))
        (lost,) = only(verified).lost
        assert (lost.hours, lost.uris) == (6, tuple(built.uri(n) for n in range(3, 9)))
        assert (lost.start, lost.end, lost.where) == (START + 3 * HOUR, START + 9 * HOUR, "middle")

    def test_across_midnight_the_folder_is_the_next_days(self, build: Build):
        built = build(48, start=START.replace(minute=17))
        lost = only(built.verify(without(built, *range(12, 16)))).lost[0]
        assert lost.uris == tuple(built.uri(n) for n in range(12, 16))

    def test_younger_than_a_day_it_may_still_come(self, build: Build):
        built = build(6)
        verified = built.verify(without(built, 2))
        assert row_of(verified, built.uri(2))["status"] == "pending"
        assert only(verified).states == (ChainState.PENDING_REDELIVERY,)
        assert only(verified).lost == ()

    def test_once_it_came_out_of_order_the_chain_is_whole(self, build: Build):
        built = build(6)
        late = [*without(built, 2), built.files[2]]
        assert only(built.verify(late)).states == (ChainState.VALID,)

    def test_one_that_was_there_once_is_gone_at_once(self, build: Build):
        built = build(6)
        was = built.verify().rows
        verified = built.verify(without(built, 3), gone=was.slice(3, 1))
        row = row_of(verified, built.uri(3))
        assert (row["status"], row["reason_code"]) == ("missing", "removed")
        assert row["sha256"] == was["sha256"][3].as_py()

    def test_an_invalid_one_takes_its_place_and_is_not_missing(self, build: Build):
        built = build(40)
        files = [built.file(d, body=d.body + b" ") if n == 3 else built.file(d) for n, d in enumerate(built.digests)]
        verified = built.verify(files)
        assert "missing" not in statuses(verified)
        assert row_of(verified, built.uri(4))["reason_code"] == "previous_invalid"
        assert only(verified).states == (ChainState.BROKEN, ChainState.INVALID)

    def test_the_same_content_hash_but_another_signature_of_the_one_before_is_refused(
        self, build: Build, signer: Signer
    ):
        built = build(2)
        first, other = built.verify(built.files[:1]).rows.to_pylist()[0], "00" * 256
        row = {**first, "signature": other}
        earlier = built.verify().rows.slice(0, 0).from_pylist([row], schema=built.verify().rows.schema)
        verified = built.verify(built.files[1:], earlier=earlier)
        assert row_of(verified, built.uri(1))["reason_code"] == "previous_differs"


class TestHead:
    def test_the_digest_before_was_asked_for_and_is_not_there(self, build: Build):
        built = build(40)
        verified = built.verify(built.files[4:], spans=[span(START, None)])
        chain = only(verified)
        assert chain.states == (ChainState.TRUNCATED_HEAD,)
        assert (chain.lost[0].where, chain.lost[0].uris) == ("head", tuple(built.uri(n) for n in range(4)))
        assert row_of(verified, built.uri(4))["link"] == "truncated_head"

    def test_deliveries_tell_how_far_it_reached_where_configuration_does_not(self, build: Build):
        built = build(40)
        chain = only(built.verify(built.files[4:], known_since={(ACCOUNT, REGION): START + HOUR + 5 * MINUTE}))
        assert chain.lost[0].uris == tuple(built.uri(n) for n in range(1, 4))

    def test_without_either_only_the_one_that_is_named_is_certain(self, build: Build):
        built = build(40)
        assert only(built.verify(built.files[4:])).lost[0].uris == (built.uri(3),)

    def test_what_lies_before_the_window_is_not_missed(self, build: Build):
        built = build(40)
        verified = built.verify(built.files[4:], since=built.digests[4].end)
        assert only(verified).states == (ChainState.VALID,)
        row = row_of(verified, built.uri(4))
        assert (row["link"], row["reason_code"]) == (None, "previous_not_read")

    def test_at_the_edge_the_warehouse_still_knows_the_link(self, build: Build):
        built = build(6)
        earlier = built.verify().rows.slice(4, 1)
        assert (
            row_of(built.verify(built.files[5:], earlier=earlier, since=built.digests[4].end), built.uri(4))["link"]
            == "linked"
        )

    def test_a_signed_beginning_is_one(self, build: Build):
        built = build(5)
        assert only(built.verify(spans=[span(START - 9 * HOUR, None)])).states == (ChainState.VALID,)


class TestTail:
    def test_offline_what_is_overdue_at_the_end_is_gone(self, build: Build):
        built = build(6)
        chain = only(built.verify(without(built, 4, 5), until=built.end + 30 * MINUTE))
        assert chain.states == (ChainState.TRUNCATED_TAIL,)
        assert chain.lost[0].uris == (built.uri(4), built.uri(5))

    def test_what_is_not_overdue_yet_is_not_missed(self, build: Build):
        built = build(6)
        assert only(built.verify(until=built.end + 2 * HOUR)).states == (ChainState.VALID,)

    def test_what_aws_says_that_it_delivered_is_gone(self, build: Build):
        built = build(6)
        said = facts(is_logging=True, latest_digest_delivery_time=built.end)
        verified = built.verify(without(built, 4, 5), until=built.end + HOUR, facts=said)
        assert statuses(verified)[4:] == ["missing", "missing"]

    def test_what_aws_did_not_deliver_yet_may_come_for_a_day(self, build: Build):
        built = build(6)
        said = facts(is_logging=True, latest_digest_delivery_time=built.digests[3].end + MINUTE)
        verified = built.verify(without(built, 4, 5), until=built.end + HOUR, facts=said)
        assert set(statuses(verified)[4:]) == {"pending"}
        later = built.verify(without(built, 4, 5), until=built.end + 25 * HOUR, facts=said)
        assert statuses(later)[4:6] == ["missing", "missing"]

    def test_a_trail_that_stopped_has_no_tail_to_lose(self, build: Build):
        built = build(6)
        chain = only(built.verify(until=LATER, spans=[span(START, built.end)]))
        assert chain.states == (ChainState.GAP_BY_CONFIGURATION,)
        (off,) = chain.off
        assert (off.start, off.end, off.code, off.began and off.began.actor) == (
            built.end,
            None,
            "logging_stopped",
            STOPPER,
        )

    def test_a_trail_that_stopped_left_a_last_digest(self, build: Build):
        built = build(6)
        chain = only(built.verify(until=LATER, spans=[span(START, built.end + 40 * MINUTE)]))
        assert [(lost.where, lost.hours, lost.uris) for lost in chain.lost] == [("tail", 1, ())]

    def test_a_stop_that_getting_the_status_contradicts_explains_nothing(self, build: Build):
        built = build(40)
        said = facts(is_logging=True, latest_digest_delivery_time=built.end + MINUTE)
        stop = [span(START, built.digests[35].end)]
        chain = only(built.verify(built.files[:36], until=built.end, spans=stop, facts=said))
        assert [lost.uris for lost in chain.lost] == [tuple(built.uri(n) for n in range(36, 40))]
        assert chain.off == ()
        long_since = facts(is_logging=True, latest_digest_delivery_time=LATER)
        chain = only(built.verify(built.files[:36], until=built.end, spans=stop, facts=long_since))
        assert chain.lost == ()

    def test_digests_before_the_stop_are_lost_nevertheless(self, build: Build):
        built = build(6)
        chain = only(built.verify(without(built, 3, 4, 5), until=LATER, spans=[span(START, built.end)]))
        assert [lost.uris for lost in chain.lost] == [tuple(built.uri(n) for n in (3, 4, 5))]

    def test_getting_the_status_tells_that_it_stopped(self, build: Build):
        built = build(6)
        chain = only(built.verify(until=LATER, facts=facts(is_logging=False)))
        assert chain.states == (ChainState.GAP_BY_CONFIGURATION,)

    def test_nobody_can_stretch_a_chain_by_a_name(self, build: Build):
        built = build(6)
        bogus = DigestFile(root=built.root, key=digest_key(trail(), LATER), body=b"{}", signature="00")
        verified = built.verify([*built.files, bogus])
        assert "missing" not in statuses(verified)
        assert [one.cover for one in only(verified).stretches][:3] == [Cover.OFF, Cover.VALID, Cover.OPEN]


class TestRestart:
    def again(self, build: Build, hours: int = 5) -> Built:
        """Six hours, a pause of `hours`, six hours of a new chain."""
        built = build(6)
        return build(30, into=built, chain=Signing(built.end + hours * HOUR, built.end + (hours + 1) * HOUR))

    def test_a_stop_and_a_start_explain_it(self, build: Build):
        built = self.again(build)
        stopped, begun = built.digests[5].end, built.digests[5].end + 5 * HOUR
        verified = built.verify(spans=[span(START, stopped), span(begun, None)])
        assert row_of(verified, built.uri(6))["link"] == "restarted"
        chain = only(verified)
        assert chain.states == (ChainState.GAP_BY_CONFIGURATION,)
        assert [(off.start, off.end) for off in chain.off] == [(stopped, begun)]
        assert "StopLogging at 2026-11-09T16:00:00Z by arn:aws:iam::123456789012:user/mallory" in chain.off[0].reason

    def test_switching_validation_off_and_on_explains_it(self, build: Build):
        built = self.again(build)
        end, begun = built.digests[5].end - 20 * MINUTE, built.digests[5].end + 5 * HOUR
        chain = only(built.verify(spans=[span(START, end, "UpdateTrail"), span(begun, None)]))
        assert (chain.lost, chain.off[0].code) == ((), "validation_off")

    def test_without_a_change_it_is_broken_and_the_hours_between_are_lost(self, build: Build):
        built = self.again(build)
        verified = built.verify()
        assert row_of(verified, built.uri(6))["link"] == "broken"
        (lost,) = only(verified).lost
        assert (lost.where, lost.hours, only(verified).states) == ("restart", 5, (ChainState.BROKEN,))

    def test_what_was_lost_before_the_stop_is_told_beside_the_gap(self, build: Build):
        built = self.again(build)
        stopped, begun = built.digests[5].end, built.digests[5].end + 5 * HOUR
        chain = only(built.verify(without(built, 3, 4, 5), spans=[span(START, stopped), span(begun, None)]))
        assert [lost.uris for lost in chain.lost] == [tuple(built.uri(n) for n in (3, 4, 5))]
        assert [(off.start, off.end) for off in chain.off] == [(stopped, begun)]

    def test_what_was_lost_after_the_start_is_told_too(self, build: Build):
        built = self.again(build)
        stopped, begun = built.digests[5].end, built.digests[5].end + 2 * HOUR
        (lost,) = only(built.verify(spans=[span(START, stopped), span(begun, None)])).lost
        assert lost.hours == 3

    def test_a_stop_of_an_hour_ago_does_not_explain_a_gap_of_a_week_ago(self, build: Build):
        built = self.again(build)
        assert only(built.verify(spans=[span(START - 9 * HOUR, None)])).lost[0].where == "restart"


class TestSeveral:
    def test_backfill_is_a_chain_of_its_own_without_a_schedule(self, build: Build):
        built = build(6)
        build(2, into=built, suffix="_backfill", per_hour=0)
        standard, backfill = sorted(built.verify().chains, key=lambda chain: chain.id.kind, reverse=True)
        assert (standard.id.kind, backfill.id.kind) == ("standard", "backfill")
        assert {standard.states, backfill.states} == {(ChainState.VALID,)}

    def test_two_trails_to_one_bucket_are_two_chains(self, build: Build):
        built = build(6)
        build(6, into=built, of=trail("second"))
        verified = built.verify()
        assert [chain.id.trail_name for chain in verified.chains] == ["audit", "second"]
        assert set(statuses(verified)) == {"valid"}

    @pytest.mark.parametrize("name", ["a_b_eu-west-1", "a.b-c", "CloudTrail-Digest_x"])
    def test_a_trails_name_may_look_like_anything(self, build: Build, name: str):
        built = build(2, of=trail(name))
        assert only(built.verify()).id.trail_name == name

    def test_a_chain_that_goes_on_in_another_folder_has_lost_no_tail(self, build: Build, signer: Signer):
        built = build(4)
        signing = Signing(built.end, built.end + HOUR)
        first = built.verify().rows.to_pylist()[-1]
        from dynatrail.sandbox.digests import Previous

        signing.previous = Previous(BUCKET, built.digests[-1].key, first["sha256"], first["signature"])
        build(30, into=built, of=trail(prefix="new"), chain=signing)
        verified = built.verify()
        assert set(statuses(verified)) == {"valid"}
        assert all(chain.lost == () for chain in verified.chains)


class TestUnsigned:
    def test_a_digest_that_nobody_may_read_shows_no_chain(self, build: Build):
        built = build(6)
        name = built.files[1].key.replace("_audit_", "_phantom_")
        verified = built.verify([*built.files, DigestFile(root=built.root, key=name, body=None, error="unread")])
        phantom = next(chain for chain in verified.chains if chain.id.trail_name == "phantom")
        assert (dict(phantom.digests), phantom.lost) == ({"unread": 1}, ())

    def test_a_name_of_later_does_not_make_digests_fall_due(self, build: Build):
        built = build(6)
        name = digest_key(trail(), built.end + 26 * HOUR)
        files = [*built.files, DigestFile(root=built.root, key=name, body=b"no digest", signature="00")]
        reach = built.end + 27 * HOUR
        verified = verify(files, keys=built.keys, since=START, until=built.end, reach=reach)
        assert statuses(verified) == ["valid"] * 6 + ["invalid"]

    def test_a_signed_digest_shows_that_time_went_on(self, build: Build):
        built = build(40)
        kept = without(built, 3)
        verified = verify(kept, keys=built.keys, since=START, until=START + 5 * HOUR, reach=built.end)
        assert row_of(verified, built.uri(3))["status"] == "missing"
