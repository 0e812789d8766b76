"""A chart whose points move looks just as one that is drawn anew; what is cheaper must not be wrong.

No cluster, no Jupyter: the chart's own code with a model that the test holds."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from labkit.figures.style import DARK_FOR_LIGHT
from labkit.live.chart import LiveChart, plotly_script_gzipped
from labkit.panels.charts import FIGURES
from labkit.samples import KINDS, Mark, NodeSample, Sample

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
MARKS = [Mark(60.0, "node-2 killed"), Mark(71.0, "node-2 restarted")]
WHOLE_MS, SETTLE_MS = 30_000, 10_000
HARNESS = """async ([code, gzipped, dark]) => {
    const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
    const module = await import(URL.createObjectURL(new Blob([code], { type: "text/javascript" })));
    const script = { get: (name) => ({ gzipped: bytes(gzipped), dark_for_light: dark })[name] };
    module.default.initialize({ model: script });
    window.show = {};
    window.add = async (name, state) => {
        let traits = {}; const heard = {};
        const take = ({ skeleton, summary, arrays }) => {
            const changed = JSON.stringify(skeleton) !== JSON.stringify(traits.skeleton);
            traits = { script: "IPY_MODEL_1", summary, arrays: arrays.map((one) => new DataView(bytes(one).buffer)),
                       skeleton: changed ? skeleton : traits.skeleton };
            for (const trait of changed ? ["arrays", "skeleton"] : ["arrays"]) heard[`change:${trait}`]?.();
        };
        take(state);
        const el = document.body.appendChild(Object.assign(document.createElement("div"), { id: name }));
        el.style.width = "420px";
        const model = { get: (trait) => traits[trait], on: (event, hear) => { heard[event] = hear; }, off: () => {},
                        widget_manager: { get_model: async () => script } };
        await module.default.render({ model, el });
        window.show[name] = take;
    };
}"""
LOOK = """(name) => {
    const gd = document.querySelector(`#${name} .js-plotly-plot`), left = gd.getBoundingClientRect().x;
    const marks = [...gd.querySelectorAll('.shapelayer path, .annotation')], of = (one, what) => one.getAttribute(what);
    return { label: gd.getAttribute('aria-label'), last: gd.data.map((trace) => trace.y[trace.y.length - 1] ?? null),
             lines: [...gd.querySelectorAll('.plot path')].map((one) => `${of(one, 'd')} ${of(one, 'style')}`),
             words: marks.map((one) => one.textContent), at: marks.map((one) => one.getBoundingClientRect().x - left) };
}"""


@pytest.fixture(scope="module")
def page(browser: Browser) -> Iterator[Page]:
    """A page with the chart's code and Plotly, and no chart yet."""
    context = browser.new_context(viewport={"width": 900, "height": 2400})
    opened = context.new_page()
    problems: list[str] = []
    opened.on("pageerror", lambda error: problems.append(str(error)))
    gzipped = base64.b64encode(plotly_script_gzipped()).decode()
    opened.evaluate(HARNESS, [str(LiveChart._esm), gzipped, DARK_FOR_LIGHT])
    yield opened
    context.close()
    assert problems == []


def sample(number: int) -> Sample:
    """One of a minute and a half, four a second; node-2 dies and comes back, and its lag is not measured meanwhile."""
    wave, is_dead = 1 + 0.05 * math.sin(number / 4), 240 < number < 284
    nodes = {
        f"node-{one}": NodeSample(
            rate=0.0 if is_dead and one == 2 else 17.0 * wave + one,
            state="dead" if is_dead and one == 2 else "alive",
            lag_p95_ms=math.nan if is_dead and one == 2 else 2.0 * wave * one,
            hints_pending=0.0,
        )
        for one in (1, 2, 3)
    }
    return Sample(
        at_s=number / 4,
        running=True,
        target_rate=50.0,
        achieved_rate=50.0 * wave,
        operations_total=12.5 * number,
        errors_total=0.0,
        counts={kind: 2.0 * number * (place + 1) for place, kind in enumerate(KINDS)},
        latency_ms={"p50": 2.1 * wave, "p95": 5.5 * wave, "p99": 9.0 * wave},
        nodes=nodes,
        agreeing_share=0.6 if is_dead else 1.0,
        hints_pending_total=float(number - 240) if is_dead else 0.0,
        longest_gap_s=0.1,
    )


SAMPLES = [sample(number) for number in range(1, 361)]


def state_of(figure: Any) -> dict[str, Any]:
    """What travels to the page for this figure."""
    chart = LiveChart(figure)
    arrays = [base64.b64encode(bytes(one)).decode() for one in chart.arrays]
    return {"skeleton": chart.skeleton, "summary": chart.summary, "arrays": arrays}


def show_and_wait(page: Page, name: str, state: dict[str, Any]) -> None:
    """Show it and wait until it was drawn once more."""
    page.evaluate(
        """([name, state]) => new Promise((drawn) => {
            document.querySelector(`#${name} .js-plotly-plot`).once('plotly_afterplot', () => setTimeout(drawn, 50));
            window.show[name](state); })""",
        [name, state],
    )


@pytest.mark.parametrize("name", FIGURES)
def test_points_and_marks_that_moved_stand_where_a_new_drawing_puts_them(page: Page, name: str) -> None:
    states = [state_of(FIGURES[name](SAMPLES[:n], MARKS)) for n in (300, 320, 322, 324, 326)]
    page.evaluate("() => document.body.replaceChildren()")
    page.evaluate("([name, state]) => window.add(name, state)", [f"{name}-moved", states[0]])
    page.wait_for_selector(f"#{name}-moved .main-svg", timeout=WHOLE_MS)
    show_and_wait(page, f"{name}-moved", states[1])
    page.evaluate(
        """(name) => { const gd = document.querySelector(`#${name} .js-plotly-plot`);
            gd.querySelector('.xtick text').dataset.kept = 'yes'; }""",
        f"{name}-moved",
    )
    for state in states[2:]:
        show_and_wait(page, f"{name}-moved", state)
    page.evaluate("([name, state]) => window.add(name, state)", [f"{name}-anew", states[-1]])
    page.wait_for_selector(f"#{name}-anew .main-svg", timeout=WHOLE_MS)
    page.wait_for_timeout(100)
    kept = page.locator(f"#{name}-moved [data-kept=yes]").count()
    assert kept == 1, "every drawing was a whole one: nothing was moved"
    moved, anew = page.evaluate(LOOK, f"{name}-moved"), page.evaluate(LOOK, f"{name}-anew")
    assert moved.pop("at") == pytest.approx(anew.pop("at"), abs=0.6)  # pixels
    assert moved == anew
    assert "node-2 restarted" in moved["label"]
