"""REINFORCE with a leave-one-out baseline (Ahmadian et al. 2024), a thin layer on TRL's ``RLOOTrainer``.

    python -m cai.train.rloo job.json

See ``cai.train.shared.groups`` for how answers are scored. The KL is part of the reward of an answer.
"""

from trl import RLOOConfig, RLOOTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.stages.rloo import Rloo
from cai.train.shared import groups
from cai.train.shared import job as jobs


def main() -> None:
    """Train on the job named on the command line."""
    groups.main(RLOOTrainer, RLOOConfig, jobs.from_command_line(Rloo))


if __name__ == "__main__":
    main()
