"""``python -m cai.cli`` is ``cai``."""

from cai.cli.app import main

main()
