"""What several trainers share: job files, models in and out, the fit itself, monitors.

imports: stages, judge, flow
"""
