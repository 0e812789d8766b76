"""The course: predictions, scenes, exercises and receipts around the live cluster.

Must not live here: how a figure looks (labkit.figures), widgets that only steer the lab (labkit.panels).
"""
