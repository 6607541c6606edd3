"""What people did with the encrypted values of others: made them unreadable for good, or looked at them."""

import pyarrow as pa

from dynatrail.warehouse.schema.columns import INSTANT, NAMES, Table, column, hour_columns

PRIVACY_EVENT = Table(
    name="privacy_event",
    grain="one erasure of a subject, or one reveal of a subject's values in one change",
    schema=pa.schema(
        [
            column(
                "privacy_event_id",
                pa.string(),
                "SHA-256 of kind and subject; of a reveal also of all else that is said of it here",
                required=True,
            ),
            column("event_time", INSTANT, "when the key was destroyed, or the values were asked for", required=True),
            *hour_columns("event_time"),
            column(
                "account_id",
                pa.string(),
                "account of the change revealed; of an erasure `*`: it bears on what is encrypted of all accounts",
                required=True,
            ),
            column("region", pa.string(), "region of the change revealed; of an erasure `*`", required=True),
            column("kind", pa.string(), "erasure or reveal", required=True),
            column("subject", pa.string(), "token of whom the values are about", required=True),
            column("table_name", pa.string(), "table of the change revealed"),
            column("table_arn", pa.string(), "its ARN"),
            column("item_key_token", pa.string(), "item of the change revealed"),
            column("change_id", pa.string(), "row of item_change whose values were revealed"),
            column("attributes", NAMES, "paths of the policy that lead to the values that were revealed, sorted"),
            column(
                "actor",
                pa.string(),
                "who asked: the user who triggered the run, or what the command line says; NULL: Airflow does not say",
            ),
            column(
                "actor_claimed",
                pa.bool_(),
                "whether that is no more than a claim: user and host as the command line finds them, else Airflow's "
                "word for who triggered the run",
                required=True,
            ),
            column("approved_by", pa.string(), "user of Airflow who approved the erasure"),
            column("ticket", pa.string(), "ticket of the investigation, for a reveal"),
            column("reason", pa.string(), "why, as they wrote it", required=True),
        ]
    ),
    natural_key=("privacy_event_id",),
    order_by=("event_time", "privacy_event_id"),
)
