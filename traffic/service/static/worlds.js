/* The three worlds: built once, then only texts change. */
import { ask } from "./api.js";
import { $, element, setText, short, whole } from "./dom.js";

/* [number, what it is called, whether it should stay 0]; looked for among the counts of operations, then among those of the world */
export const WORLDS = {
  twitter: { title: "Twitter", says: "tweets, likes, comments", most: 1000, heading: "Tweets people like most now", kind: "ul",
    bug: ["rmw-likes", "likes by read, add one, write back"],
    numbers: [["tweet", "tweets"], ["like", "likes"], ["retweet", "retweets"], ["comment", "comments"], ["view", "views"], ["likes_lost", "likes lost", true]] },
  collab: { title: "Documents", says: "several people edit the same text", most: 200, heading: "Documents, and who disagrees", kind: "ul",
    bug: ["lww", "the last writer wins"],
    numbers: [["edit", "edits"], ["collisions", "collisions"], ["automatic_merges", "merged by itself"], ["resolved_by_hand", "merged by hand"],
      ["unresolved", "still in conflict"], ["edits_lost", "edits lost", true]] },
  inventory: { title: "Warehouse", says: "orders, transfers, stock-takes", most: 400, heading: "Units on the shelves", kind: "table",
    bug: ["unreserved", "stock without reservations"],
    numbers: [["orders", "orders"], ["shipped", "units shipped"], ["refused_out_of_stock", "sold out"], ["transfers", "transfers"],
      ["stock_takes", "stock-takes"], ["oversold", "units oversold", true]] },
};
const RATE_MAX = 5000;
const busyUntil = {}, timers = {};
const suffix = (name) => name === "twitter" ? "" : `-${name}`;

/* control: makes a button do something; workloads: those of the last stats; failed: shows an error */
export function buildWorlds({ control, workloads, failed }) {
  const change = (name, settings, wait) => {
    busyUntil[name] = Date.now() + 1500;
    clearTimeout(timers[name]);
    timers[name] = setTimeout(() => ask("PUT", `/api/real/traffic/${name}`, settings).catch(failed), wait);
  };
  for (const [name, world] of Object.entries(WORLDS)) {
    $("worlds").append(box(name, world));
    control(`toggle-${name}`, () => ask("POST", `/api/real/traffic/${workloads()[name]?.running ? "stop" : "start"}`, { workload: name }));
    $(`bug-${name}`).addEventListener("change", () => change(name, { bug: $(`bug-${name}`).checked ? world.bug[0] : null }, 0));
    const slider = $(`rate${suffix(name)}`), number = $(`rate-number${suffix(name)}`);
    slider.addEventListener("input", () => { number.value = slider.value; change(name, { rate: Number(slider.value) }, 150); });
    number.addEventListener("change", () => {
      const value = Math.min(RATE_MAX, Math.max(0, Number(number.value) || 0));
      number.value = value; slider.value = value; change(name, { rate: value }, 0);
    });
  }
}

function box(name, world) {
  const end = suffix(name), made = element("section", { kind: "world", id: `world-${name}` });
  made.setAttribute("aria-labelledby", `title-${name}`);
  const toggle = element("button", { type: "button", id: `toggle-${name}`, text: "Start" });
  toggle.setAttribute("aria-label", `start or stop ${world.title}`);
  const lamp = element("span", { kind: "lamp" });
  lamp.setAttribute("aria-hidden", "true");
  const number = element("input", { type: "number", id: `rate-number${end}`, min: 0, max: RATE_MAX, step: 1, value: 0 });
  number.setAttribute("aria-label", `operations a second, ${world.title}`);
  const slider = element("input", { type: "range", id: `rate${end}`, min: 0, max: world.most, step: world.most >= 1000 ? 10 : 1, value: 0 });
  slider.setAttribute("aria-label", `rate of ${world.title}, operations a second`);
  const counts = world.numbers.map(([id, label]) => element("div", { children: [
    element("div", { kind: "number", id: `count-${id}`, text: "0" }), element("div", { kind: "label", text: label })] }));
  const none = element("li", { kind: "label", text: "none yet" });
  const list = world.kind === "ul" ? element("ul", { kind: `list list-${name}`, id: `list-${name}`, children: [none] })
    : element("table", { kind: `stock list-${name}`, id: `list-${name}` });
  made.append(
    element("div", { kind: "world-head", children: [lamp,
      element("h2", { id: `title-${name}`, text: world.title, children: [element("small", { text: world.says })] }), toggle] }),
    element("div", { kind: "rate", children: [element("label", { htmlFor: `rate${end}`, text: "Rate" }), slider, number] }),
    element("div", { kind: "now", children: [element("b", { id: `achieved-${name}`, text: "–" }), " /s now ",
      element("span", { kind: "label", id: `waits-${name}` })] }),
    element("div", { kind: "big counters", children: counts }),
    element("h3", { text: world.heading }), list,
    element("label", { kind: "bug", id: `bug-label-${name}`, children: [
      element("input", { type: "checkbox", id: `bug-${name}` }), `make the known mistake: ${world.bug[1]}`] }));
  return made;
}

const loop = (one) => one.loop === "closed" ? ` · closed loop, ${one.workers} workers: ${short(one.service_latency_ms.p99)} ms from the send` : "";

export function showWorlds(workloads) {
  for (const [name, world] of Object.entries(WORLDS)) {
    const one = workloads[name], end = suffix(name);
    $(`world-${name}`).hidden = !one;
    if (!one) continue;
    $(`world-${name}`).classList.toggle("on", one.running);
    setText(`toggle-${name}`, one.running ? "Stop" : "Start");
    setText(`achieved-${name}`, whole(one.achieved_rate));
    setText(`waits-${name}`, one.latency_ms.p50 == null ? "" : `· typical ${short(one.latency_ms.p50)} ms · p99 ${short(one.latency_ms.p99)} ms${loop(one)}`);
    for (const [id, , keepZero] of world.numbers) {
      const value = one.counts[id] ?? one.world?.[id];
      $(`count-${id}`).parentElement.hidden = value === undefined && keepZero;
      setText(`count-${id}`, whole(value));
      if (keepZero) $(`count-${id}`).classList.toggle("bad", value > 0);
    }
    if (Date.now() > (busyUntil[name] ?? 0)) {
      if (document.activeElement !== $(`rate-number${end}`)) { $(`rate${end}`).value = one.target_rate; $(`rate-number${end}`).value = Math.round(one.target_rate); }
      $(`bug-${name}`).checked = Boolean(one.bug);
      $(`bug-label-${name}`).classList.toggle("on", Boolean(one.bug));
    }
  }
}
