"""Trainers: each file is runnable, a process of its own, under ``accelerate`` where there is more than one device.

python -m cai.train.sft job.json
"""
