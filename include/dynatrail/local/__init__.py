"""Airflow on one machine: the environment it runs in, and `make ui`."""
