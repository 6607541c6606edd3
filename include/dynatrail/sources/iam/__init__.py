"""Who may do what in an account: ask everything, keep what changed."""
