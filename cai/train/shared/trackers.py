"""Where the figures of a training go besides ``metrics.jsonl``: TensorBoard's files, W&B, MLflow or trackio.

All trainings of a recipe are runs of one project (an experiment, as MLflow has it) of the recipe's name, unless the
environment names another by ``WANDB_PROJECT`` or ``MLFLOW_EXPERIMENT_NAME``.
"""

import importlib
import os

from accelerate import Accelerator

from cai.stages.train import Train
from cai.train.shared.job import Job

TENSORBOARD = "tensorboard"


def settings(job: Job[Train]) -> dict[str, str]:
    """What transformers' trainers have to be told, which take some of it from the environment alone."""
    project = job.run.partition("/")[0]
    os.environ["TENSORBOARD_LOGGING_DIR"] = str(job.out / TENSORBOARD)
    os.environ.setdefault("WANDB_PROJECT", project)
    os.environ.setdefault("WANDB_DIR", str(job.out))
    os.environ.setdefault("MLFLOW_EXPERIMENT_NAME", project)
    return {"report_to": job.logs, "run_name": job.run, "project": project}


def hold(job: Job[Train]) -> None:
    """Begin the run of one of transformers' trainers where that would end it too early; MLflow ends it with the process.

    Their MLflow callback ends its run after the last step, and the held-out figures would be another run, without a name.
    """
    if job.logs == "mlflow":
        mlflow = importlib.import_module("mlflow")
        mlflow.set_experiment(os.environ["MLFLOW_EXPERIMENT_NAME"])
        mlflow.start_run(run_name=job.run)


def begin(accelerator: Accelerator, job: Job[Train]) -> None:
    """Begin the run of a training that is none of transformers'; ``accelerator.log`` and ``end_training`` do the rest."""
    project = settings(job)["project"]
    names = {"tensorboard": TENSORBOARD, "wandb": os.environ["WANDB_PROJECT"], "mlflow": project, "trackio": project}
    accelerator.init_trackers(
        names.get(job.logs, ""),
        # TensorBoard takes no lists, and shows settings apart from the curves.
        None if job.logs == "tensorboard" else {"base": job.base, "seed": job.seed, **job.settings},
        {"wandb": {"name": job.run}, "mlflow": {"run_name": job.run}, "trackio": {"name": job.run, "resume": "allow"}},
    )
