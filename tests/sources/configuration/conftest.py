from tests.sources.snapshots.conftest import home, stubbed

__all__ = ["home", "stubbed"]
