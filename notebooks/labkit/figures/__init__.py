"""Figures: measured rows in, Plotly figure dicts out. Pure; no kernel, no widgets, no clock."""

from labkit.figures.arrival import arrival_figure
from labkit.figures.convergence import agreement_figure, hints_figure, lag_figure
from labkit.figures.large import enlarged
from labkit.figures.style import node_colour, node_dash, node_number
from labkit.figures.traffic import latency_figure, load_figure, rate_figure

__all__ = [
    "agreement_figure",
    "arrival_figure",
    "enlarged",
    "hints_figure",
    "lag_figure",
    "latency_figure",
    "load_figure",
    "node_colour",
    "node_dash",
    "node_number",
    "rate_figure",
]
