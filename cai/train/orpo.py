"""ORPO on the AI preferences (Hong et al. 2024, equation 6), a thin layer on TRL's experimental ``ORPOTrainer``.

python -m cai.train.orpo job.json
"""

from cai.train.shared import experimental


def main() -> None:
    """Train on the job named on the command line."""
    experimental.run("orpo", "ORPO")


if __name__ == "__main__":
    main()
