"""Live data in the kernel: one ticker thread, and the chart that shows what it brought."""

from labkit.live.chart import LiveChart
from labkit.live.ticker import Ticker

__all__ = ["LiveChart", "Ticker"]
