/* The page as a whole: the stream of the stats, what is said at the top, starting and stopping, the check. */
import { ask } from "./api.js";
import { backfill, buildCharts, forgetCharts, remember } from "./charts.js";
import { $, clock, element, setText, short, whole } from "./dom.js";
import { keepLists } from "./lists.js";
import { buildNodes, learnControl, showNodes } from "./nodes.js";
import { buildTables } from "./tables.js";
import { buildTweets } from "./tweets.js";
import { buildWorlds, showWorlds, WORLDS } from "./worlds.js";

const SILENCE_MS = 2500;
let last = null, stream = null, heard = 0, classes = 0;

function showState(text, explain, on) {
  setText("state", text); setText("explain", explain);
  $("light").classList.toggle("on", on);
}

function slowest(stats) {
  const worlds = Object.values(stats.workloads), busy = worlds.filter((world) => world.running && world.latency_ms.p99 != null);
  return (busy.length ? busy : worlds).reduce((one, other) => (other.latency_ms.p99 ?? 0) > (one.latency_ms.p99 ?? 0) ? other : one).latency_ms;
}
const together = (stats, field) => Object.values(stats.workloads).reduce((sum, world) => sum + (world.running || field === "achieved_rate" ? world[field] : 0), 0);

function explain(stats) {
  const on = Object.entries(stats.workloads).filter(([, world]) => world.running).map(([name]) => WORLDS[name]?.title ?? name);
  const alive = Object.values(stats.nodes).filter((node) => node.healthy).length, all = Object.keys(stats.nodes).length;
  const parts = [stats.running ? `${on.join(", ")}: real writes and reads, right now` : "press Start to send real writes and reads",
    alive === all ? `${all} of ${all} nodes answer` : `only ${alive} of ${all} nodes answer`];
  if (stats.faults.broken.length) parts.push(stats.faults.broken.length === 1 ? stats.faults.broken[0].says : `${stats.faults.broken.length} things are broken`);
  const died = stats.processes?.died;
  if (stats.processes?.events.length) parts.push(`${died} generator process${died > 1 ? "es" : ""} died and replaced`);
  return parts.join(" · ");
}

function show(stats) {
  noticeRestart(stats);
  last = stats;
  const wait = slowest(stats), worlds = Object.values(stats.workloads).filter((world) => world.running || world.operations_total);
  const gap = Math.max(...worlds.map((world) => world.longest_gap_s), 0);
  showState(stats.running ? "Traffic is running" : "Traffic is stopped", explain(stats), stats.running);
  $("start").disabled = stats.running; $("stop").disabled = !stats.running;
  setText("achieved", whole(together(stats, "achieved_rate")));
  setText("target", whole(stats.running ? together(stats, "target_rate") : stats.workloads.twitter.target_rate));
  setText("p50", short(wait.p50)); setText("p99", short(wait.p99));
  setText("gap", gap.toFixed(gap < 10 ? 2 : 1));
  setText("errors", whole(stats.errors_total)); setText("total", whole(stats.operations_total + stats.errors_total));
  $("errors").classList.toggle("bad", stats.errors_total > 0);
  if (stats.clock) setText("clock", `${stats.clock.weekday[0].toUpperCase()}${stats.clock.weekday.slice(1)} ${stats.clock.time}` +
    (stats.clock.speed === 1 ? "" : `, ${Math.round(stats.clock.speed).toLocaleString("en")} × life`));
  for (const button of $("presets").children) button.setAttribute("aria-pressed", String(button.dataset.name === stats.preset));
  setText("inherited", inherited(stats));
  showWorlds(stats.workloads); showNodes(stats); remember(stats, wait);
}

function inherited(stats) {
  const heir = stats.inherited;
  if (heir?.processes) return `${heir.processes} earlier generator process${heir.processes > 1 ? "es were" : " was"} killed; ` +
    `${heir.counters.toLocaleString("en")} counters and ${heir.puts.toLocaleString("en")} writes of its journal were read back: ${heir.status}`;
  return stats.journal?.kept === false ? `No journal is kept (${stats.journal.why_not}): after a kill -9 nobody can tell what was acknowledged.` : "";
}

/* A service that was started anew counts from 0: what this page remembers of the old one would be a lie. */
function noticeRestart(stats) {
  if (!last) return;
  if (last.counting_since !== stats.counting_since) { forgetCharts(); forgetVerdict(); }  // a reset: a class sees figures of its own
  if (last.service.instance === stats.service.instance) return;
  $("notice").textContent = `The traffic service was started anew at ${clock(stats.service.started_at)}: all counts begin again.`;
  $("notice").hidden = false;
  forgetCharts(); forgetVerdict(); showPresets(); learnControl();
}

/* A verdict is about the writes of one class; one that is asked for meanwhile belongs to the class before. */
function forgetVerdict() {
  classes += 1;
  $("verdict").textContent = ""; $("verdict").className = ""; $("verdicts").replaceChildren();
}

async function showPresets() {
  const answer = await ask("GET", "/api/real/traffic/presets").catch(() => null);
  if (!answer) return;
  $("presets").replaceChildren(...answer.presets.map((preset) => {
    const button = element("button", { type: "button", id: `preset-${preset.name}`, title: preset.says, text: preset.name.replaceAll("-", " ") });
    button.dataset.name = preset.name; button.setAttribute("aria-pressed", "false");
    return button;
  }));
  for (const button of $("presets").children)
    control(button.id, () => ask("POST", `/api/real/traffic/presets/${button.dataset.name}`));
}

/* A press while the last one is under way is ignored; the button stays enabled, so that it keeps its focus. */
function control(id, work) {
  let busy = false;
  $(id).addEventListener("click", async () => {
    if (busy) return;
    busy = true;
    $(id).setAttribute("aria-busy", "true");
    try { await work(); } catch (error) { setText("explain", `that did not work: ${error.message}`); }
    busy = false;
    $(id).removeAttribute("aria-busy");
    if (last) show(await ask("GET", "/api/real/traffic/stats").catch(() => last));
  });
}

const KIND = { ok: "good", violated: "bad" }, SYMBOL = { ok: "✓", violated: "✕" };
async function check() {
  const verdict = $("verdict"), asked = classes;
  verdict.className = ""; verdict.textContent = "reading every acknowledged write back …";
  try {
    const answer = await ask("POST", "/api/real/traffic/check");
    if (asked !== classes) return;
    verdict.className = KIND[answer.status] ?? "warn";
    $("verdicts").replaceChildren(...answer.verdicts.slice(1).map((one) => element("li", { kind: KIND[one.status] ?? "warn",
      text: `${SYMBOL[one.status] ?? "▲"} ${one.claim}: ${one.status}${one.evidence.length ? ` (${one.evidence[0]})` : ""}` })));
    verdict.textContent = `${SYMBOL[answer.status] ?? "▲"} ${answer.status}: ${answer.acknowledged.toLocaleString("en")} writes acknowledged, ${answer.lost} lost; ` +
      `${answer.counters_checked.toLocaleString("en")} counters read, ${answer.counters_wrong} wrong.` +
      (answer.evidence.length ? ` ${answer.evidence[0]}` : "");
  } catch (error) { verdict.className = "bad"; verdict.textContent = `the check could not be made: ${error.message}`; }
}

/* --- the live stream, with reconnect --- */
function listen() {
  stream?.close();
  stream = new EventSource("/api/real/stream");
  stream.addEventListener("stats", (event) => { heard = Date.now(); show(JSON.parse(event.data)); });
  heard = Date.now();
}
setInterval(() => {
  if (Date.now() - heard < SILENCE_MS) return;
  showState("No connection to the traffic service", "trying again …", false);
  listen();
}, 1000);

control("start", () => ask("POST", "/api/real/traffic/start"));
control("stop", () => ask("POST", "/api/real/traffic/stop"));
control("check", check);
buildWorlds({ control, workloads: () => last?.workloads, failed: (error) => setText("explain", error.message) });
buildNodes(); buildCharts(); buildTweets(); buildTables(); showPresets();
learnControl();
backfill().then(listen);
keepLists(() => last?.workloads);
