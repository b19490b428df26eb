"""A peer on the very server and the very rows that ``slots.py`` and ``overhead.py`` measure us on.

    python benchmarks/peers.py distilabel --python PATH/bin/python [--prompts 1024] [--instant]

The peer is installed by hand, into an environment of its own, whose Python is named. Both sides make answer, critique and
revision of each prompt; what is printed is the share of slot-seconds that were busy, or, with ``--instant``, requests/s.
"""

import argparse
import json
import os
import subprocess
import tempfile
from pathlib import Path

from server import running
from slots import ours, stats

SCRIPTS = Path(__file__).with_name("peers")
PEERS = ("distilabel", "data_designer")


def main() -> None:
    """Print both figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("--python", required=True, help="the Python of an environment that has the peer")
    parser.add_argument("--prompts", type=int, default=1024)
    parser.add_argument("--slots", type=int, default=64)
    parser.add_argument("--instant", action="store_true", help="a server that answers at once: requests/s")
    given = parser.parse_args()
    with running(0, given.slots, mean=0.0 if given.instant else 0.5) as url, tempfile.TemporaryDirectory() as folder:
        mine = ours(url, given.prompts, Path(folder))
        line = [given.python, SCRIPTS / f"{given.peer}_rows.py", url, str(given.prompts), str(given.slots), folder]
        ran = subprocess.run(line, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if ran.returncode:
            raise SystemExit(f"{given.peer} failed:\n{ran.stdout[-2000:]}")
        theirs = stats(url)

    def figure(found: dict[str, float]) -> float:
        if given.instant:
            return round(found["answered"] / found["seconds"])
        return round(found["busy"] / (given.slots * found["seconds"]), 4)

    shown = {"prompts": given.prompts, "cores": os.cpu_count(), "unit": "requests/s" if given.instant else "slots busy"}
    requests = [mine["answered"], theirs["answered"]]
    print(json.dumps({**shown, "cai": figure(mine), given.peer: figure(theirs), "requests": requests}, indent=2))


if __name__ == "__main__":
    main()
