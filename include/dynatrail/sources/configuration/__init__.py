"""How tables and trails are configured: ask everything, keep what changed."""
