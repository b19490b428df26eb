"""The flow over many machines (Ray): workers are hired, parts handed out, their rows given their place.

imports: flow
"""
