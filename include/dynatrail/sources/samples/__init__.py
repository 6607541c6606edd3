"""Items of a table as samples, in memory alone: the newest changes of its stream, or a slow Scan where that is allowed.

Nothing of what is read here is stored, logged or told in an error, and no checkpoint moves.
"""
