"""Runnable trainers, each a process: ``python -m cai.train.sft job.json``, with the job file that a run wrote.

``shared/`` is what several use, ``rl/`` what PPO is made of, ``launch/`` what a run knows of them, without torch. To add one:
a file whose ``main`` reads a job and trains, its block in ``cai/stages/``, and a line in ``cai.stages.STAGES``.

imports: train.launch, stages, judge, flow
"""
