"""What all DAGs have in common; light enough to be imported at every parse."""

from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import ExceptionRetryPolicy, Param, RetryAction, RetryRule

START = datetime(2025, 1, 1, tzinfo=UTC)
"""Backfills may begin here; `catchup` is off, so nothing runs for the past by itself."""

DEFAULT_ARGS: dict[str, Any] = {
    "owner": "dynatrail",
    "retries": 3,
    "retry_delay": timedelta(minutes=1),
    "retry_exponential_backoff": True,
    "max_retry_delay": timedelta(minutes=15),
    # Trying again helps against a network, never against a wrong setting or bad data.
    "retry_policy": ExceptionRetryPolicy(
        [
            RetryRule(
                exception=[
                    "dynatrail.errors.PrivacyError",
                    "dynatrail.errors.QualityError",
                    "dynatrail.errors.SettingsError",
                ],
                action=RetryAction.FAIL,
                reason="the same input would fail again",
            )
        ]
    ),
}


def window_params(what: str) -> dict[str, Param]:
    """The two ends of a window as form fields; empty means the run's own data interval."""
    return {
        "from": Param(
            None,
            type=["null", "string"],
            title="From",
            description=f"Start of the window of {what}, UTC, inclusive: 2026-11-01 or 2026-11-01T03:00:00Z. "
            "Empty: the run's data interval.",
        ),
        "to": Param(
            None,
            type=["null", "string"],
            title="To",
            description="End of the window, UTC, exclusive. Empty: the run's data interval.",
        ),
    }


def export_params(what: str) -> dict[str, Param]:
    """A table, a window and an export as form fields; all empty in a run by schedule."""

    def text(title: str, description: str) -> Param:
        return Param(None, type=["null", "string"], title=title, description=description)

    return {
        "table": text("Table", "ARN of the table, or its name."),
        "account": text("Account", "Its account; not needed with an ARN, or where only one account is configured."),
        "region": text("Region", "Its region; not needed with an ARN, or where only one region is configured."),
        "from": text("From", f"Start of the window of {what}, UTC, inclusive: 2026-11-01T03:00:00Z."),
        "to": text("To", "End of the window, UTC, exclusive; at most 24 hours after its start."),
        "export": text(
            "Export",
            "ARN of an incremental export that is there already, to be used instead of asking for one; without From "
            "and To, all of its window.",
        ),
    }
