"""SimPO on the AI preferences (Meng et al. 2024, equation 6), a thin layer on TRL's experimental ``CPOTrainer``.

python -m cai.train.simpo job.json
"""

from cai.train.shared import experimental


def main() -> None:
    """Train on the job named on the command line."""
    experimental.run("cpo", "CPO", loss_type="simpo")


if __name__ == "__main__":
    main()
