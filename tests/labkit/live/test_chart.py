"""What a chart sends: the script once, data at each show, the rest only when it changed."""

from __future__ import annotations

import gzip
import re
import struct

import numpy

from labkit.live.chart import LiveChart, plotly_script, plotly_script_gzipped, split_arrays


def figure(values: list[float], title: str = "Is it so?") -> dict[str, object]:
    """A small figure with one array and one moving number."""
    return {
        "data": [{"type": "scatter", "y": numpy.array(values)}],
        "layout": {"title": {"text": title}, "shapes": [{"x0": numpy.float64(values[0])}]},
    }


def test_arrays_and_numpy_numbers_travel_as_float32_and_the_rest_as_it_is() -> None:
    arrays: list[memoryview] = []
    skeleton = split_arrays(figure([1.5, 2.5]), arrays)
    assert skeleton == {
        "data": [{"type": "scatter", "y": {"__array__": 0}}],
        "layout": {"title": {"text": "Is it so?"}, "shapes": [{"x0": {"__number__": 1}}]},
    }
    assert struct.unpack("<2f", arrays[0]) == (1.5, 2.5)
    assert struct.unpack("<f", arrays[1]) == (1.5,)


def test_the_skeleton_is_sent_again_only_when_it_changed() -> None:
    chart = LiveChart(figure([1.0, 2.0]))
    changes: list[str] = []
    chart.observe(lambda change: changes.append(change["name"]), names=["skeleton", "arrays"])
    chart.show(figure([3.0, 4.0]))
    assert changes == ["arrays"]
    chart.show(figure([3.0, 4.0, 5.0], title="And now?"))
    assert set(changes) == {"arrays", "skeleton"}


def test_a_sentence_that_changes_does_not_send_the_skeleton_again() -> None:
    chart = LiveChart({**figure([1.0, 2.0]), "summary": "Now 2."})
    changes: list[str] = []
    chart.observe(lambda change: changes.append(change["name"]), names=["skeleton", "summary"])
    chart.show({**figure([1.0, 3.0]), "summary": "Now 3."})
    assert (changes, chart.summary) == (["summary"], "Now 3.")


def test_all_charts_share_one_script_and_it_is_plotlys() -> None:
    assert LiveChart().script is LiveChart().script is plotly_script()
    source = gzip.decompress(plotly_script_gzipped())
    assert b"plotly.js v" in source[:200]
    assert len(plotly_script_gzipped()) < 2_000_000


def test_nothing_in_the_charts_code_asks_the_network() -> None:
    code = str(LiveChart._esm)
    assert "http:" not in code
    assert "https:" not in code


def test_a_chart_never_rests_for_more_than_a_second() -> None:
    """1. A chart rests eight times as long as it drew. 2. The computer sleeps for 20 s in the middle of a drawing.
    3. The drawing "took" 20 s, and the chart stood still for 160 s more."""
    code = str(LiveChart._esm)
    assert re.search(r"REST_MS_MAX = 1000\b", code)
    assert re.search(r"restUntil = performance\.now\(\) \+ Math\.min\(.*, REST_MS_MAX\)", code)


def test_the_script_is_unpacked_when_it_comes_and_not_only_when_a_chart_is_shown() -> None:
    code = str(plotly_script()._esm)
    assert "export default { initialize, render }" in code
    assert code == str(LiveChart._esm)  # one way to unpack it, whoever is first
