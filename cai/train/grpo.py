"""Group-relative policy optimisation (Shao et al. 2024, section 4), a thin layer on TRL's ``GRPOTrainer``.

    python -m cai.train.grpo job.json

See ``cai.train.shared.groups`` for how answers are scored. TRL's loss is not quite the paper's: unless ``trl: {loss_type: grpo}``
says so, it is DAPO's, a mean over all tokens of a batch rather than over those of each answer.
"""

from trl import GRPOConfig, GRPOTrainer  # pyright: ignore[reportPrivateImportUsage]

from cai.stages.grpo import Grpo
from cai.train.shared import groups
from cai.train.shared import job as jobs


def main() -> None:
    """Train on the job named on the command line."""
    groups.main(GRPOTrainer, GRPOConfig, jobs.from_command_line(Grpo))


if __name__ == "__main__":
    main()
