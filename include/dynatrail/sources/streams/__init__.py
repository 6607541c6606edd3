"""DynamoDB Streams.

The four calls (client), which shards there are and in which order they may be read (lineage), reading them side by
side (reader), what is missing (gaps), what can be said of an hour (statements), taking it all (extract).
"""
