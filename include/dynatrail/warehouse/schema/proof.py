"""Whether the trail is genuine and whole: digests, log files, counts held against counts, and what follows of them."""

import pyarrow as pa

from dynatrail.warehouse.schema.columns import INSTANT, NAMES, Table, column, hour_columns

TRAIL_DIGEST = Table(
    name="trail_digest",
    grain="one digest file of CloudTrail, or the place where one must have been",
    schema=pa.schema(
        [
            column("digest_end_time", INSTANT, "digestEndTime; of a missing one, when it fell due", required=True),
            column("digest_start_time", INSTANT, "digestStartTime: what was delivered since then is in it"),
            *hour_columns("digest_end_time"),
            column("account_id", pa.string(), "account whose deliveries it lists", required=True),
            column("region", pa.string(), "region whose deliveries it lists", required=True),
            column("trail_name", pa.string(), "trail, as the object's name says it", required=True),
            column("home_region", pa.string(), "the trail's home region, as the object's name says it", required=True),
            column("chain", pa.string(), "standard or backfill: the two are chained apart", required=True),
            column("digest_uri", pa.string(), "address of the object; of a missing one, where it must lie"),
            column("sha256", pa.string(), "SHA-256 of its uncompressed content, as read"),
            column("signature", pa.string(), "signature, hex"),
            column("signature_from", pa.string(), "metadata (of the object) or next_digest"),
            column("signature_algorithm", pa.string(), "digestSignatureAlgorithm"),
            column("public_key_fingerprint", pa.string(), "digestPublicKeyFingerprint"),
            column("public_key", pa.string(), "that key, DER PKCS#1 in base64, so that the check still runs offline"),
            column("previous_uri", pa.string(), "the digest before, as this one names it; NULL: it begins a chain"),
            column("previous_sha256", pa.string(), "previousDigestHashValue"),
            column("previous_signature", pa.string(), "previousDigestSignature"),
            column("log_files", pa.int64(), "log files that it names"),
            column("oldest_event_time", INSTANT, "oldestEventTime"),
            column("newest_event_time", INSTANT, "newestEventTime"),
            column(
                "status",
                pa.string(),
                "valid, invalid (see reason_code), missing, pending (may still be redelivered) or unread",
                required=True,
            ),
            column(
                "link",
                pa.string(),
                "linked to the one before; first (a chain begins here for a known reason); truncated_head (it names "
                "one before that is not there); restarted (by configuration); broken; NULL: it is not there, not "
                "valid, or the one before was not read",
            ),
            column("reason_code", pa.string(), "short, stable: signature_invalid, moved, altered, key_unknown, …"),
            column("reason", pa.string(), "what is wrong, for a person"),
        ]
    ),
    natural_key=("account_id", "region", "trail_name", "home_region", "chain", "digest_end_time", "digest_uri"),
    order_by=("digest_end_time", "trail_name", "home_region", "chain", "digest_uri"),
    slice_by=("account_id", "region"),
)

LOG_FILE = Table(
    name="log_file",
    grain="one log file of CloudTrail that a bucket, a digest or the ledger knows",
    schema=pa.schema(
        [
            column("delivered_at", INSTANT, "time of delivery, from its name", required=True),
            *hour_columns("delivered_at"),
            column("account_id", pa.string(), "account of its folder", required=True),
            column("region", pa.string(), "region of its folder", required=True),
            column("source_uri", pa.string(), "its address", required=True),
            column("sha256", pa.string(), "SHA-256 of its uncompressed bytes, as they were parsed; NULL: unreadable"),
            column("expected_sha256", pa.string(), "hashValue in the digest that names it"),
            column("digest_uri", pa.string(), "that digest"),
            column("size", pa.int64(), "compressed bytes"),
            column("records", pa.int64(), "records in it"),
            column(
                "status",
                pa.string(),
                "attested, not_yet_attested, unattested, forged, altered or missing",
                required=True,
            ),
            column("reason_code", pa.string(), "short, stable: window_open, validation_off, digest_missing, …"),
            column("reason", pa.string(), "why it is not attested, for a person"),
        ]
    ),
    natural_key=("source_uri",),
    order_by=("delivered_at", "source_uri"),
    slice_by=("account_id", "region"),
)

RECONCILIATION = Table(
    name="reconciliation",
    grain="one count of the trail held against an independent one, for a table, operation and span of time",
    schema=pa.schema(
        [
            column("bin_start", INSTANT, "start of the span", required=True),
            column(
                "bin_s", pa.int32(), "its length, seconds: 300, or 3600 where CloudWatch kept no finer", required=True
            ),
            *hour_columns("bin_start"),
            column("account_id", pa.string(), "account that owns the table", required=True),
            column("region", pa.string(), "region of the table", required=True),
            column("table_name", pa.string(), "table; NULL: the account as a whole"),
            column("operation", pa.string(), "dimension Operation; NULL: the table as a whole"),
            column(
                "measure",
                pa.string(),
                "what is compared: requests, throttled, condition_failed, conflicts, system_errors, changes, expiries, "
                "second_witness",
                required=True,
            ),
            column("trail_count", pa.int64(), "what the trail holds; NULL: it cannot hold it"),
            column("witness_count", pa.float64(), "what the other witness counted; NULL: it said nothing"),
            column("ratio", pa.float64(), "trail_count over witness_count"),
            column("expected_ratio", pa.float64(), "median of this table and operation before this day, at least 1"),
            column(
                "spread",
                pa.float64(),
                "median of how far such spans lay above it, in square roots of the expected count; NULL: no history",
            ),
            column("samples", pa.int64(), "spans that these were taken from"),
            column(
                "verdict",
                pa.string(),
                "agrees, missing (the witness counted more), extra (the trail holds more) or not_comparable",
                required=True,
            ),
            column(
                "difference",
                pa.float64(),
                "expected less trail_count, where that is more than is tolerated; below 0: extra; 0: agrees",
            ),
            column("reason_code", pa.string(), "known cause, or why it is not comparable"),
        ]
    ),
    natural_key=("account_id", "region", "table_name", "operation", "measure", "bin_start"),
    order_by=("bin_start", "table_name", "operation", "measure"),
    slice_by=("account_id", "region"),
)

SEQUENCE_PROOF = Table(
    name="sequence_proof",
    grain="what shard lineage, checkpoints and sequence numbers prove of one hour of a table's stream",
    schema=pa.schema(
        [
            *hour_columns("the proof"),
            column("account_id", pa.string(), "account of the table", required=True),
            column("region", pa.string(), "region of the table", required=True),
            column("table_name", pa.string(), "table", required=True),
            column("table_arn", pa.string(), "its ARN", required=True),
            column("source", pa.string(), "streams or kinesis", required=True),
            column("stream_arn", pa.string(), "stream", required=True),
            column("shards", pa.int64(), "shards that may have been alive in the hour"),
            column("changes", pa.int64(), "rows of item_change that it gave for the hour"),
            column("first_sequence_number", pa.string(), "least sequence number of them"),
            column("last_sequence_number", pa.string(), "greatest one"),
            column("status", pa.string(), "proven, broken or not_assessable", required=True),
            column("reasons", NAMES, "why it is not proven, sorted"),
            column("export_arn", pa.string(), "export of a window with this hour that was compared"),
            column("net_equal", pa.bool_(), "whether the folded changes equal that export; NULL: none was compared"),
        ]
    ),
    natural_key=("account_id", "region", "table_name", "stream_arn", "event_hour"),
    order_by=("event_hour", "table_name", "stream_arn"),
    slice_by=("account_id", "region"),
)

COVERAGE = Table(
    name="coverage",
    grain="what can be said of one hour of one operation of one table; operation `*`: of the table as a whole",
    schema=pa.schema(
        [
            *hour_columns("what is stated"),
            column("account_id", pa.string(), "account that owns the table", required=True),
            column("region", pa.string(), "region of the table", required=True),
            column("table_name", pa.string(), "table", required=True),
            column("table_arn", pa.string(), "its ARN"),
            column("operation", pa.string(), "API operation; `*`: all of them, idle ones too", required=True),
            column("events", pa.int64(), "successful events in the trail"),
            column("failed_events", pa.int64(), "events with an error"),
            column("metric_count", pa.float64(), "requests that CloudWatch counted"),
            column("ratio", pa.float64(), "events over metric_count"),
            column("expected_ratio", pa.float64(), "what it was before, see reconciliation"),
            column("returned_items", pa.float64(), "ReturnedItemCount: the only size of a read that AWS tells"),
            column("selection", pa.string(), "FULL, PARTIAL, NONE or UNKNOWN: what the trails select", required=True),
            column("excluded", NAMES, "what they leave out, for a person, sorted"),
            column("digests_valid", pa.bool_(), "whether every digest over the hour's deliveries is there and valid"),
            column("log_files", pa.int64(), "log files that hold the account's and region's events of the hour"),
            column("log_files_attested", pa.int64(), "those that a valid digest vouches for"),
            column("changes", pa.int64(), "item changes; only with operation `*`"),
            column("stream_status", pa.string(), "source_statement of the table's stream; only with operation `*`"),
            column("stream_gaps", pa.int64(), "open gaps that touch the hour; only with operation `*`"),
            column("quarantined", pa.int64(), "rejected pieces of the account and region in the hour"),
            column("late", pa.int64(), "events that arrived more than an hour after they happened"),
            column(
                "statement",
                pa.string(),
                "complete, complete_provisional, incomplete or not_assessable",
                required=True,
            ),
            column("reasons", NAMES, "why it is not complete, sorted; `count_shortfall: 12`"),
            column("earlier_statements", NAMES, "what was stated before, oldest first, with reasons; NULL: nothing"),
        ]
    ),
    natural_key=("account_id", "region", "table_name", "operation", "event_hour"),
    order_by=("event_hour", "table_name", "operation"),
    slice_by=("account_id", "region"),
)

FINDING = Table(
    name="finding",
    grain="one thing that somebody must look at",
    schema=pa.schema(
        [
            column("finding_id", pa.string(), "SHA-256 of rule, place and subject; stable over re-runs", required=True),
            column("event_time", INSTANT, "when what it is about began", required=True),
            column("ends_at", INSTANT, "when it ended; NULL: a moment, or it goes on"),
            *hour_columns("event_time"),
            column("account_id", pa.string(), "account", required=True),
            column("region", pa.string(), "region; `global` where there is none", required=True),
            column("producer", pa.string(), "digests, selectors, sequences, reconcile, liveness, …", required=True),
            column("kind", pa.string(), "integrity, completeness, rule, anomaly or drift", required=True),
            column("rule_id", pa.string(), "such as integrity.log_file_forged", required=True),
            column("severity", pa.string(), "OCSF: Informational, Low, Medium, High or Critical", required=True),
            column("table_name", pa.string(), "table"),
            column("table_arn", pa.string(), "its ARN"),
            column("actor", pa.string(), "who did it, as far as is proven"),
            column("title", pa.string(), "one line for a person", required=True),
            column("explanation", pa.string(), "what, where, how it is known, and what to do next", required=True),
            column("how_many", pa.int64(), "things that it is about: files, hours, calls, changes"),
            column("evidence_ids", NAMES, "event ids, addresses or other keys of the rows that show it, sorted"),
            column("controls", NAMES, "framework controls that it bears on"),
            column("attack_techniques", NAMES, "MITRE ATT&CK techniques"),
        ]
    ),
    natural_key=("finding_id",),
    order_by=("event_time", "finding_id"),
    slice_by=("producer", "account_id", "region"),
)
