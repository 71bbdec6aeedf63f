"""Server: Streamlit's own, in a process that reads the board while the server starts.

    python -m leaderboard.server [Streamlit's options]

``hallmark board`` runs it. The folder of records is in $HALLMARK_RESULTS.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from leaderboard import ahead

RESULTS_VARIABLE = "HALLMARK_RESULTS"


def main(options: list[str]) -> None:
    """Serve until interrupted; ends the process with Streamlit's exit code."""
    ahead.begin(Path(os.environ.get(RESULTS_VARIABLE) or "results"))
    from streamlit.web import cli  # beside the reading: both take long

    cli.main(["run", str(Path(__file__).with_name("app.py")), *options], prog_name="streamlit")


if __name__ == "__main__":
    main(sys.argv[1:])
