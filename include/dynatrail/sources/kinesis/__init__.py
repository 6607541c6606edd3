"""Kinesis data streams that DynamoDB writes the changes of tables into.

The calls (client), reading shards side by side (reader), what is missing (gaps), what comes twice (once), what can be
said of an hour (statements), one reading of a stream (run), taking it all (extract).
"""
