"""ORPO on the AI preferences (Hong et al. 2024, equation 6), a thin layer on TRL's experimental ``ORPOTrainer``.

python -m cai.train.orpo job.json
"""

from cai.stages.orpo import Orpo
from cai.train.shared import experimental
from cai.train.shared import job as jobs


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.from_command_line(Orpo)
    experimental.run("orpo", "ORPO", job, beta=job.want.beta)


if __name__ == "__main__":
    main()
