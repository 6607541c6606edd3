"""Incremental exports of point-in-time recovery: the net change of each item over a window.

They fill what a stream lost (`repair`) and prove what it gave (`compare`). See docs/cookbooks/repair-a-gap.md.
"""
