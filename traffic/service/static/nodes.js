/* The nodes as they are, and what may be done to them: one card a node, what is broken, what happened. */
import { fault, faults, forgetToken, hasToken } from "./api.js";
import { $, clock, coloured, element, keyed, short, whole } from "./dom.js";

const FIGURES = ["operations each second", "19 of 20 answer within", "keys stored here", "notes kept for absent nodes"];
const NO_TOKEN = "To break and mend nodes from here, open the link that the start command printed, or that “python -m traffic page” prints " +
  "in a terminal of the user who started the service.";
const OLD_TOKEN = "The service was started anew since this page got its token: to break and mend nodes, open the new link (“python -m traffic page” prints it).";
let allowed = false, busy = false, now = { nodes: {}, broken: [], known: false, events: [] };

/* what a node's state means, in words: [word, class, symbol] */
function word(node) {
  if (node.healthy && node.state === "alive") return ["alive", "good", "●"];
  if (node.healthy && node.state === "suspect") return ["suspected by the others", "warn", "▲"];
  if (node.healthy) return ["cut off from the others", "bad", "▲"];
  if (node.state === "suspect") return ["no answer, suspected", "warn", "▲"];
  if (node.state === "dead") return ["dead", "bad", "✕"];
  return ["no answer", "bad", "✕"];
}

export function buildNodes() {
  $("partition").addEventListener("click", () => {
    const there = [...$("sides").querySelectorAll("input:checked")].map((box) => box.value), all = Object.keys(now.nodes);
    const here = all.filter((name) => !there.includes(name));
    if (!there.length || !here.length) return tell("choose at least one node for each side", true);
    act("partition", { groups: [here, there] }, { title: "Cut the network in two?", does: "Cut", text:
      `${here.join(", ")} on one side, ${there.join(", ")} on the other: no message passes between them until the network is healed. Clients still reach both sides.` });
  });
  $("delay-all").addEventListener("click", () => act("delay", { delay_ms: Number($("delay").value) }, { title: "Slow the network down?", does: "Delay",
    text: `Every message between nodes takes ${$("delay").value} ms longer, each way.` }));
  $("spread").addEventListener("click", () => act("topology", { name: $("regions").value }, { title: "Put the nodes far apart?", does: "Spread out",
    text: "Every link gets the delay between two regions of the world, as published: messages take 40 to 160 ms and more." }));
  $("heal").addEventListener("click", () => act("heal"));
  $("reset").addEventListener("click", () => act("reset", {}, { title: "Reset everything?", does: "Reset",
    text: "All nodes run again, and all that is wrong with network, clocks and disks is undone. Data stays." }));
  $("network").addEventListener("submit", (event) => event.preventDefault());
  $("confirm-no").addEventListener("click", () => $("confirm").close(""));
  $("confirm-yes").addEventListener("click", () => $("confirm").close("yes"));
}

/* whether this page may break things; called at the start and when the service was started anew */
export async function learnControl() {
  const told = hasToken();
  try {
    allowed = (await faults()).allowed;
    if (told && !allowed) forgetToken();
  } catch { return; }  // the stream will tell that nobody answers
  $("no-control").textContent = told ? OLD_TOKEN : NO_TOKEN;
  showControl();
}

function showControl() {
  $("network").hidden = !(allowed && now.known);
  $("no-control").hidden = allowed && now.known;
  if (allowed && !now.known) $("no-control").textContent = "Nodes cannot be broken from here: they belong to no local cluster whose supervisor is known.";
  for (const acts of document.querySelectorAll(".node .acts")) acts.hidden = !(allowed && now.known);
}

const ask = (title, text, does) => new Promise((resolve) => {
  $("confirm-title").textContent = title; $("confirm-text").textContent = text; $("confirm-yes").textContent = does;
  $("confirm").returnValue = "";
  $("confirm").addEventListener("close", () => resolve($("confirm").returnValue === "yes"), { once: true });
  $("confirm").showModal();
  $("confirm-no").focus();
});

function tell(text, bad = false) { $("failure-status").textContent = text; $("failure-status").classList.toggle("bad", bad); }

/* Breaking asks first; mending does not. The button keeps its focus: the dialog gives it back. */
async function act(action, more = {}, question = null) {
  if (busy || (question && !await ask(question.title, question.text, question.does))) return;
  busy = true;
  tell(`${action} …`);
  try {
    now = { ...now, ...await fault(action, more) };
    tell(`done: ${action} ${more.node ?? ""}`);
    showBroken(); showActs();
  } catch (error) {
    tell(`that did not work: ${error.message}`, true);
    if (error.status === 401) learnControl();
  }
  busy = false;
}

const QUESTIONS = {
  kill: (node) => ({ title: `Kill ${node}?`, does: "Kill it", text: "SIGKILL, as when somebody pulls the plug: what it had not yet written is gone, its disk stays. It is dead until it is restarted." }),
  pause: (node) => ({ title: `Pause ${node}?`, does: "Pause it", text: "SIGSTOP: the process is there and silent, as in a very long pause of a garbage collector. It goes on when it is resumed." }),
  isolate: (node) => ({ title: `Cut ${node} off?`, does: "Cut it off", text: "No message passes between it and the other nodes. Clients still reach it." }),
};

/* One button for breaking and its mending: it changes its word and keeps its place, and so its focus. */
function buttonsOf(name) {
  const state = now.nodes[name]?.state ?? "running", down = state === "dead" || state === "failed";
  const cut = now.broken.some((one) => one.what === "cut off" && one.nodes.includes(name));
  return [
    down ? ["Restart", "restart", false] : ["Kill", "kill", false],
    state === "paused" ? ["Resume", "resume", false] : ["Pause", "pause", down],
    cut ? ["Heal network", "heal", false] : ["Cut off", "isolate", false],
  ];
}

function card(name) {
  const acts = element("div", { kind: "acts", hidden: true, children: [0, 1, 2].map((at) => {
    const button = element("button", { type: "button" });
    button.addEventListener("click", () => {
      const [, action, off] = buttonsOf(name)[at];
      if (!off) act(action, action === "heal" ? {} : { node: name }, QUESTIONS[action]?.(name) ?? null);
    });
    return button;
  }) });
  const figures = FIGURES.flatMap((label) => [element("dt", { text: label }), element("dd")]);
  return coloured(element("div", { kind: "node", children: [
    element("div", { kind: "name", children: [element("span", { text: name }), element("span", { kind: "word" })] }),
    element("div", { kind: "label region" }), element("dl", { children: figures }), acts] }), name);
}

export function showNodes(stats) {
  const nodes = stats.nodes, names = Object.keys(nodes);
  now = { ...now, ...stats.faults };
  keyed($("lights"), names.map((name) => [name, name]), (name) => coloured(element("i", { text: name }), name), (light, name) => {
    const kind = word(nodes[name])[1];
    light.className = kind === "good" ? "" : kind;
  });
  keyed($("nodes"), names.map((name) => [name, name]), card, (box, name) => {
    const node = nodes[name], [text, kind, symbol] = word(node), sign = box.querySelector(".word");
    if (sign.textContent !== `${symbol} ${text}`) { sign.textContent = `${symbol} ${text}`; sign.className = `word ${kind}`; }
    box.querySelector(".region").textContent = node.region ? `in ${node.region}` : "";
    const values = [whole(node.achieved_rate), node.latency_ms.p95 == null ? "–" : `${short(node.latency_ms.p95)} ms`,
      whole(node.healthy ? node.keys : null), whole(node.healthy ? node.hints_pending : null)];
    box.querySelectorAll("dd").forEach((cell, at) => { if (cell.textContent !== values[at]) cell.textContent = values[at]; });
  });
  showActs();
  keyed($("sides"), Object.keys(now.nodes).map((name) => [name, name]), (name) =>
    element("label", { children: [element("input", { type: "checkbox", value: name }), name] }), () => {});
  showBroken();
  showEvents(stats.faults.events);
  showControl();
}

function showActs() {
  for (const box of $("nodes").children) {
    const name = box.dataset.key, buttons = box.querySelectorAll(".acts button");
    buttonsOf(name).forEach(([label, action, off], at) => {
      buttons[at].textContent = label;
      buttons[at].setAttribute("aria-label", `${label} ${action === "heal" ? "" : name}`.trim());
      buttons[at].setAttribute("aria-disabled", String(off));
      buttons[at].className = ["restart", "resume", "heal"].includes(action) ? "mend" : "danger";
    });
  }
}

function showBroken() {
  const entries = now.broken.map((one) => [`${one.what} ${one.nodes.join()}`, one]);
  if (!entries.length) entries.push(["nothing", null]);
  keyed($("broken"), entries, (one) => {
    const item = element("li", { kind: one ? "" : "well", children: [element("span", { kind: "says" })] });
    if (one) {
      const button = element("button", { type: "button", kind: "mend" });
      button.addEventListener("click", () => act(one.mend, ["restart", "resume"].includes(one.mend) ? { node: one.nodes[0] } : {}));
      item.append(button);
    }
    return item;
  }, (item, one) => {
    const since = one?.since_ms ? `, for ${Math.max(0, Math.round((Date.now() - one.since_ms) / 1000))} s` : "";
    const text = one ? `${one.says}${since}` : now.known ? "nothing" : "not known here: the nodes were given by their addresses";
    if (item.firstChild.textContent !== text) item.firstChild.textContent = text;
    const button = item.querySelector("button");
    if (!button) return;
    button.hidden = !(allowed && now.known);
    const label = { restart: "Restart", resume: "Resume", heal: "Heal the network", reset: "Reset everything" }[one.mend];
    if (button.textContent !== label) button.textContent = label;
  });
}

function showEvents(events) {
  const entries = events.slice(0, 8).map((event) => [`${event.at} ${event.says}`, event]);
  keyed($("events"), entries, (event) => element("li", { kind: event.done ? "done" : "", children: [
    element("time", { text: clock(event.at), dateTime: new Date(event.at).toISOString() }), event.says] }), () => {});
  if (!entries.length && !$("events").children.length) $("events").replaceChildren(element("li", { kind: "label", text: "nothing yet" }));
}
