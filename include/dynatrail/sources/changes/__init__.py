"""Item changes, from wherever they come.

Attribute values and their masks (values), rows of `item_change` (rows), change records (records, parse), what is kept
out (rejected), and merging into the warehouse (merge, write).
"""
