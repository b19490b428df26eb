"""Constitutions: principles in YAML, drawn, asked and read. No network, no asyncio, no torch.

``load`` reads the file, ``draw`` chooses a principle for a row, ``ask`` turns row and principle into messages, ``read``
turns the reply into a critique, a revision or a verdict, ``check`` finds what is wrong before it costs GPU hours.
"""
