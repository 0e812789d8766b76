// Draws the figure that the kernel sent. Plotly comes from the kernel too, once a page (see chart.py), and is unpacked as
// soon as it has come, while the kernel still starts a cluster: the first chart does not wait for it.
const REST = 8; // a chart rests eight times as long as it drew: a slow or busy computer stays responsive
const REST_MS_MAX = 1000; // ... and no longer: a computer that slept while it drew has "drawn" for as long as it slept
/* The chart without its title, and without the room for it. */
function leaveTitle(layout) {
  const room = Math.round(layout.title.font.size * 1.7);
  layout.height -= room;
  layout.margin = { ...layout.margin, t: layout.margin.t - room };
  delete layout.title;
}
const MOVING = new Set(["x", "y", "customdata"]);
const AT_ONCE = { mode: "immediate", transition: { duration: 0 }, frame: { duration: 0, redraw: false } };

/* Where the numbers of a part are that the kernel sends apart from it, as Plotly writes it: "shapes[0].x0". */
function movingIn(part, path = "") {
  if (part === null || typeof part !== "object") return [];
  if ("__number__" in part || "__array__" in part) return [path];
  const step = (key) => (Array.isArray(part) ? `${path}[${key}]` : path ? `${path}.${key}` : key);
  return Object.entries(part).flatMap(([key, value]) => movingIn(value, step(key)));
}
/* Whether nothing but points and marks can differ from one drawing to the next. */
function movesOnly({ data, layout }) {
  return data.every((trace) => trace.type === "scatter" && movingIn(trace).every((path) => MOVING.has(path)))
    && movingIn(layout).every((path) => /^(shapes|annotations)\[/.test(path));
}
/* What can move of a layout: its marks, each with its place in time. */
function marksOf({ layout }, build) {
  return movingIn(layout).map((path) => {
    const [kind, number, key] = path.split(/[[\].]+/);
    return { selector: `.${kind === "shapes" ? "shapelayer path" : "annotation"}[data-index="${number}"]`, x: build(layout[kind][number][key]) };
  });
}
/* Moves points and marks of a chart that is there. Axes, legend and title, which cost most of a drawing, stay. */
async function move(Plotly, place, data, marks, marksDrawn) {
  const traces = data.map((trace) => Object.fromEntries([...MOVING].filter((key) => key in trace).map((key) => [key, trace[key]])));
  await Plotly.animate(place, { data: traces, traces: traces.map((_, number) => number) }, AT_ONCE);
  const { xaxis } = place._fullLayout;
  marks.forEach(({ selector, x }, number) => {
    const pixels = xaxis.l2p(x) - xaxis.l2p(marksDrawn[number].x); // by hand: Plotly draws all anew for a shape that moves
    place.querySelectorAll(selector).forEach((mark) => { mark.style.transform = `translate(${pixels}px)`; });
  });
  place.emit("plotly_afterplot"); // as after a whole drawing
}
const isDark = () => document.body.dataset.jpThemeLight === "false";

async function unpack(script) {
  const packed = new Blob([script.get("gzipped")]).stream();
  const source = await new Response(packed.pipeThrough(new DecompressionStream("gzip"))).text();
  // As a module of our own: whatever loader the page has (AMD, none) is not asked.
  const wrapped = `const module={exports:{}};let exports=module.exports,define;\n${source}\nexport default module.exports;`;
  const url = URL.createObjectURL(new Blob([wrapped], { type: "text/javascript" }));
  try { return (await import(/* webpackIgnore: true */ url)).default; } finally { URL.revokeObjectURL(url); }
}

const plotlyOf = (script) => (globalThis.quorumLabPlotly ??= unpack(script));

/* For the script's own model; a chart has nothing to do before it is shown. */
function initialize({ model }) {
  if (model.get("gzipped")) plotlyOf(model).catch(() => {}); // what is wrong, the first chart says
}

async function render({ model, el }) {
  const script = await model.widget_manager.get_model(model.get("script").slice("IPY_MODEL_".length));
  const Plotly = await plotlyOf(script);
  const darkForLight = script.get("dark_for_light");
  const place = el.appendChild(document.createElement("div"));
  let seen = false, behind = true, queued = 0, restUntil = 0, gone = false, busy = false, late = false;

  const build = (part) => {
    if (typeof part === "string") return isDark() ? darkForLight[part] ?? part : part;
    if (Array.isArray(part)) return part.map(build);
    if (part === null || typeof part !== "object") return part;
    if ("__number__" in part) return model.get("arrays")[part.__number__].getFloat32(0, true);
    if ("__array__" in part) {
      const view = model.get("arrays")[part.__array__];
      return new Float32Array(view.buffer.slice(view.byteOffset, view.byteOffset + view.byteLength));
    }
    return Object.fromEntries(Object.entries(part).map(([key, value]) => [key, build(value)]));
  };
  let drawn = null; // the skeleton, width and theme of the last whole drawing: while they hold, only points and marks move
  const draw = async () => {
    queued = 0;
    const began = performance.now();
    behind = !seen || place.clientWidth === 0;      // out of sight: drawn when it is scrolled into view
    if (gone || behind || busy) return;
    const skeleton = model.get("skeleton"), { data, layout } = build(skeleton);
    if (!data) return;
    busy = true;
    const now = { skeleton, width: place.clientWidth, dark: isDark() };
    const canMove = movesOnly(skeleton), marks = canMove ? marksOf(skeleton, build) : [];
    try {
      place.setAttribute("role", "img");
      place.setAttribute("aria-label", `Chart: ${layout.title.text} ${model.get("summary")}`.trimEnd());
      if (drawn && canMove && Object.keys(now).every((key) => now[key] === drawn[key])) {
        await move(Plotly, place, data, marks, drawn.marks);
      } else {
        drawn = null;
        if (el.closest(".lab-slot")) leaveTitle(layout); // a menu above says which chart it is
        place.querySelectorAll(".shapelayer path, .annotation").forEach((mark) => { mark.style.transform = ""; });
        await Plotly.react(place, data, { ...layout, width: now.width }, { displayModeBar: false });
        drawn = { ...now, marks };
      }
    } finally {
      busy = false;
      restUntil = performance.now() + Math.min(REST * (performance.now() - began), REST_MS_MAX);
      if (late) { late = false; soon(); }
    }
  };
  const soon = () => {
    if (busy) late = true;
    else queued ||= setTimeout(() => requestAnimationFrame(draw), Math.max(0, restUntil - performance.now()));
  };

  const sight = new IntersectionObserver((entries) => { seen = entries.at(-1).isIntersecting; if (seen && behind) soon(); });
  const size = new ResizeObserver(soon);
  const theme = new MutationObserver(soon);
  sight.observe(el);
  size.observe(el);
  theme.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-light"] });
  model.on("change:arrays", soon);
  model.on("change:skeleton", soon);
  return () => {
    model.off("change:arrays", soon);
    model.off("change:skeleton", soon);
    [sight, size, theme].forEach((observer) => observer.disconnect());
    clearTimeout(queued);
    gone = true;
    Plotly.purge(place);
  };
}
export default { initialize, render };
