"""Dynatrail: the audit trail that Amazon DynamoDB lacks."""

__version__ = "0.1.0"
