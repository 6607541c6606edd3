"""Which permission decided a call: what AWS says of denied ones, for allowed ones the statements that were in force.

What calls need (requests, asking), what was in force (facts, history, policies, sources), whether it fits (patterns,
conditions, context), and what follows (deciding, explaining); `calls` does it for many calls at once.
"""

from dynatrail.trail.permissions.calls import CHOSEN, DECIDED, decided, explain_event, load, sentence

__all__ = ["CHOSEN", "DECIDED", "decided", "explain_event", "load", "sentence"]
