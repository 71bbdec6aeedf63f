"""``python -m suite`` is ``hallmark``."""

from suite.cli import entry

entry()
