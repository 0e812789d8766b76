/* Three charts on canvas: a live minute out of the stream, or up to an hour out of the service's history. */
import { ask } from "./api.js";
import { $, css, DASHES, element, nodeNumber } from "./dom.js";

const MINUTE_MS = 60000, GAP_STEPS = 3.5, REFRESH_MS_MIN = 2000, MARKS_APART = 70;
const TICKS = { 60: [0, 30, 60], 300: [0, 150, 300], 900: [0, 450, 900], 3600: [0, 1800, 3600] };
const AGO = { 0: "now", 30: "30 s ago", 60: "1 min ago", 150: "2½ min ago", 300: "5 min ago", 450: "7½ min ago", 900: "15 min ago", 1800: "30 min ago", 3600: "1 h ago" };
let live = [], past = [], step = 1000, names = [], marks = [], refreshed = 0;

const span = () => Number($("span").value);
const rows = () => span() === 60 ? live : past;

export function buildCharts() {
  $("span").addEventListener("change", () => { past = []; refreshed = 0; refresh(); drawAll(); });
  $("log").addEventListener("change", drawAll);
  window.addEventListener("resize", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
}

/* The last minute as the service remembers it: a page that has just been opened is not empty. */
export async function backfill() {
  const answer = await ask("GET", "/api/real/traffic/history?span_s=60").catch(() => ({ rows: [] }));
  live = answer.rows;
}

export function forgetCharts() { live = []; past = []; refreshed = 0; }

async function refresh() {
  if (span() === 60 || document.hidden || Date.now() - refreshed < Math.max(REFRESH_MS_MIN, step)) return;
  refreshed = Date.now();
  const wanted = span(), answer = await ask("GET", `/api/real/traffic/history?span_s=${wanted}`).catch(() => null);
  if (answer && wanted === span()) { past = answer.rows; step = answer.step_s * 1000; drawAll(); }
}

/* One more moment. slowest: the waits of the world in which people wait longest. */
export function remember(stats, slowest) {
  const worlds = Object.values(stats.workloads), share = stats.convergence.share, t = stats.timestamp;
  names = Object.keys(stats.nodes);
  marks = stats.faults.events.filter((event) => event.done);
  if (live.length && t < live[live.length - 1].t) live = [];  // the clock was set back
  if (!live.length || t > live[live.length - 1].t) {
    live.push({ t, p50_ms: slowest.p50, p99_ms: slowest.p99, agree: share == null ? null : share * 100,
      target: worlds.reduce((sum, world) => sum + (world.running ? world.target_rate : 0), 0),
      achieved: worlds.reduce((sum, world) => sum + world.achieved_rate, 0),
      nodes: Object.fromEntries(Object.entries(stats.nodes).map(([name, node]) => [name, node.achieved_rate])) });
    live = live.filter((row) => t - row.t <= MINUTE_MS + 2000);
  }
  document.documentElement.dataset.samples = String(live.length);
  refresh();
  drawAll();
}

export function drawAll() {
  if (!rows().length) return;
  draw("rate", [{ name: "all together", colour: css("--ink"), dash: [], of: (row) => row.achieved },
    ...names.map((name, index) => ({ name, colour: css(`--node-${nodeNumber(name, index) % 9 + 1}`), dash: DASHES[nodeNumber(name, index) % 9],
      of: (row) => row.nodes[name] }))], linear("/s", 10));
  const waits = [{ name: "typical (p50)", colour: css("--good"), dash: [], of: (row) => row.p50_ms },
    { name: "1 in 100 is slower (p99)", colour: css("--bad"), dash: [7, 4], of: (row) => row.p99_ms }];
  draw("latency", waits, $("log").checked ? logarithmic("ms") : linear("ms", 10));
  draw("agree", [{ name: "keys on which all copies agree", colour: css("--accent"), dash: [], of: (row) => row.agree }], linear("%", 100, 100));
}

function niceTop(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 4, 5, 10].map((part) => part * power).find((top) => top >= value);
}

/* An axis: from the values that are there, [ticks, share of the height for a value, unit]. */
const linear = (unit, least, most) => (values) => {
  const top = most ?? niceTop(Math.max(least, ...values) * 1.05);
  return { ticks: [0, .25, .5, .75, 1].map((part) => [top * part, part * 4 % 2 ? "" : (top * part).toLocaleString("en")]), at: (value) => value / top, unit };
};
const logarithmic = (unit) => (values) => {
  const positive = values.filter((value) => value > 0);
  const low = Math.floor(Math.log10(Math.min(1, ...positive))), high = Math.max(low + 2, Math.ceil(Math.log10(Math.max(10, ...positive))));
  const ticks = Array.from({ length: high - low + 1 }, (_, index) => 10 ** (low + index)).map((value) => [value, value.toLocaleString("en")]);
  return { ticks, at: (value) => (Math.log10(Math.max(value, 10 ** low)) - low) / (high - low), unit };
};

function draw(id, lines, axis) {
  const canvas = $(`chart-${id}`), ratio = window.devicePixelRatio || 1, width = canvas.clientWidth, height = canvas.clientHeight;
  if (!width) return;
  if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
    canvas.width = Math.round(width * ratio); canvas.height = Math.round(height * ratio);
  }
  const pen = canvas.getContext("2d"), shown = rows(), end = shown[shown.length - 1].t, begin = end - span() * 1000;
  pen.setTransform(ratio, 0, 0, ratio, 0, 0); pen.clearRect(0, 0, width, height);
  const letter = Math.round(parseFloat(getComputedStyle(document.documentElement).fontSize) * .9);
  pen.font = `${letter}px system-ui, sans-serif`;
  const inside = shown.filter((row) => row.t >= begin - step), values = lines.flatMap((line) => inside.map(line.of)).filter((value) => value != null);
  const { ticks, at, unit } = axis(values);
  /* as wide as the widest label: none is ever clipped */
  const left = Math.ceil(Math.max(...ticks.map(([, text]) => pen.measureText(text).width))) + 12, right = width - 8, top = letter * 1.9, bottom = height - letter * 1.9;
  const place = { x: (t) => right - (end - t) / (span() * 1000) * (right - left), y: (value) => bottom - at(value) * (bottom - top), left, right, top, bottom, letter, width, height };
  grid(pen, place, ticks, unit);
  faultMarks(pen, place, begin);
  pen.save(); pen.beginPath(); pen.rect(left, 0, right - left + 4, height); pen.clip();
  const gap = Math.max(span() === 60 ? 1000 : step, 1000) * GAP_STEPS;
  for (const line of lines) stroke(pen, place, line, inside, gap);
  pen.restore();
  legend(id, lines);
  const last = lines.map((line) => `${line.name} ${(line.of(shown[shown.length - 1]) ?? NaN).toFixed(1).replace("NaN", "nothing")}`).join(", ");
  canvas.setAttribute("aria-label", `${canvas.dataset.what ??= canvas.getAttribute("aria-label")}; now in ${unit}: ${last}`);
}

function grid(pen, { x, y, left, right, top, letter, height }, ticks, unit) {
  pen.fillStyle = css("--soft"); pen.strokeStyle = css("--grid"); pen.lineWidth = 1; pen.textBaseline = "middle"; pen.textAlign = "right";
  for (const [value, text] of ticks) {
    const at = Math.round(y(value)) + .5;
    pen.beginPath(); pen.moveTo(left, at); pen.lineTo(right, at); pen.stroke();
    pen.fillText(text, left - 7, at);
  }
  pen.textBaseline = "alphabetic"; pen.textAlign = "left";
  pen.fillText(unit, 2, top - letter * .9);
  const [latest, middle, first] = TICKS[span()];
  const span0 = right - left;
  for (const [ago, align, at] of [[latest, "right", right], [middle, "center", right - span0 / 2], [first, "left", left]]) {
    pen.textAlign = align;
    pen.fillText(AGO[ago], at, height - 5);
  }
}

/* What was done to the nodes: a line, and words where there is room; several at one place are counted. */
function faultMarks(pen, { x, left, right, top, bottom, letter }, begin) {
  pen.save(); pen.strokeStyle = css("--soft"); pen.setLineDash([3, 3]); pen.fillStyle = css("--ink"); pen.lineWidth = 1.5; pen.font = `${letter - 2}px system-ui, sans-serif`;
  const seen = marks.filter((mark) => mark.at >= begin).sort((one, other) => one.at - other.at), groups = [];
  for (const mark of seen) {
    const at = Math.min(x(mark.at), right), near = groups[groups.length - 1];
    pen.beginPath(); pen.moveTo(at, top); pen.lineTo(at, bottom); pen.stroke();
    if (near && at - near.at < MARKS_APART) near.all.push(mark); else groups.push({ at, all: [mark] });
  }
  for (const { at, all } of groups) {
    const text = all.length === 1 ? all[0].says : `${all.length} events`, wide = pen.measureText(text).width;
    if (wide > right - left) continue;
    pen.textAlign = "left";
    pen.fillText(text, Math.max(left + 34, Math.min(at - 2, right - wide)), top - 6);
  }
  pen.restore();
}

function stroke(pen, { x, y }, line, shown, gap) {
  pen.strokeStyle = line.colour; pen.lineWidth = 3; pen.setLineDash(line.dash); pen.lineJoin = "round"; pen.beginPath();
  let before = null;
  for (const row of shown) {
    const value = line.of(row);
    if (value == null) { before = null; continue; }
    if (before !== null && row.t - before <= gap) pen.lineTo(x(row.t), y(value)); else pen.moveTo(x(row.t), y(value));
    before = row.t;
  }
  pen.stroke();
}

const SVG = "http://www.w3.org/2000/svg";
function legend(id, lines) {
  const box = $(`legend-${id}`), key = lines.map((line) => line.name + line.colour).join();
  if (box.dataset.key === key) return;
  box.dataset.key = key;
  box.replaceChildren(...lines.map((line) => {
    const svg = document.createElementNS(SVG, "svg"), stroke = document.createElementNS(SVG, "line");
    svg.setAttribute("viewBox", "0 0 34 12"); svg.setAttribute("aria-hidden", "true");
    for (const [name, value] of Object.entries({ x1: 0, y1: 6, x2: 34, y2: 6, stroke: line.colour, "stroke-width": 4, "stroke-dasharray": line.dash.join(" ") })) stroke.setAttribute(name, value);
    svg.append(stroke);
    return element("span", { children: [svg, element("b", { text: line.name })] });
  }));
}
