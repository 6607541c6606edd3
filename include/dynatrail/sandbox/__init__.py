"""The local AWS account: ministack behind a recorder, with workload scenarios and their ground truth.

See docs/reference/sandbox.md for what it simulates, what it leaves out and where everything lies.
"""

from dynatrail.sandbox.clock import SandboxClock
from dynatrail.sandbox.delivery import Delivery, Outage
from dynatrail.sandbox.sandbox import Sandbox
from dynatrail.sandbox.state import Credentials, Played

__all__ = ["Credentials", "Delivery", "Outage", "Played", "Sandbox", "SandboxClock"]
