"""SimPO on the AI preferences (Meng et al. 2024, equation 6), a thin layer on TRL's experimental ``CPOTrainer``.

python -m cai.train.simpo job.json
"""

from cai.stages.simpo import Simpo
from cai.train.shared import experimental
from cai.train.shared import job as jobs


def main() -> None:
    """Train on the job named on the command line."""
    job = jobs.with_trl(jobs.from_command_line(Simpo), {"loss_type": "simpo"})
    want = job.want
    experimental.run("cpo", "CPO", job, beta=want.beta, simpo_gamma=want.simpo_gamma, cpo_alpha=want.cpo_alpha)


if __name__ == "__main__":
    main()
