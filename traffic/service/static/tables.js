/* What was done, by whom, and what failed with which message. */
import { ask } from "./api.js";
import { $, clock, element, short, table, whole } from "./dom.js";
import { WORLDS } from "./worlds.js";

const EVERY_MS = 2000, MESSAGES = 12;
let last = null, peopleOf = "";

export function buildTables() {
  $("table-world").replaceChildren(...Object.entries(WORLDS).map(([name, world]) => element("option", { value: name, text: world.title })));
  $("table-world").addEventListener("change", show);
  keep();
}

async function keep() {
  if (!document.hidden) {
    last = await ask("GET", "/api/real/traffic/operations").catch(() => last);
    if (last) show();
  }
  setTimeout(keep, EVERY_MS);
}

const waits = [["typical ms", (row) => short(row.latency_ms.p50), true], ["p95 ms", (row) => short(row.latency_ms.p95), true],
  ["p99 ms", (row) => short(row.latency_ms.p99), true], ["longest ms", (row) => short(row.latency_ms.max), true]];
const counts = [["done", (row) => whole(row.ok), true], ["failed for certain", (row) => whole(row.definite), true],
  ["perhaps failed", (row) => whole(row.indefinite), true]];

function show() {
  const world = last?.workloads[$("table-world").value];
  if (!world) return;
  const named = (parts) => Object.entries(parts).map(([name, part]) => ({ name, ...part }));
  const none = (text) => element("p", { kind: "label", text });
  const kinds = named(world.kinds);
  $("operations").replaceChildren(kinds.length ? table([["operation", (row) => row.name], ...counts, ...waits], kinds) : none("nothing yet"));
  const failures = world.failures.slice(0, MESSAGES), more = world.failures.length - failures.length;
  $("messages").replaceChildren(failures.length ? table([["what was said", (row) => row.message || "(nothing)"], ["operation", (row) => row.kind],
    ["through", (row) => row.node], ["times", (row) => whole(row.count), true], ["last", (row) => clock(row.last_at), true]], failures) : none("none"));
  if (more > 0) $("messages").append(none(`and ${more} more: see traffic/operations below`));
  const typing = document.activeElement?.closest("#people") && peopleOf === $("table-world").value;
  peopleOf = $("table-world").value;
  if (!typing) $("people").replaceChildren(world.people.length ? table([["kind", (row) => row.kind], ["people", (row) => whole(row.people), true],
    ["times as busy as usual", busy, true], ["actions", (row) => whole(row.actions), true]], world.people) : none("nobody in particular"));
  const nodes = (region) => Object.entries(last.node_regions).filter(([, there]) => there === region).map(([name]) => name).join(", ");
  const regions = [...new Set([...Object.keys(world.homes), ...Object.keys(world.regions)])].sort()
    .map((name) => ({ name, ok: 0, latency_ms: {}, ...world.regions[name] }));
  $("homes").replaceChildren(regions.length ? table([["region", (row) => row.name || "nowhere"], ["people", (row) => whole(world.homes[row.name]), true],
    ["nodes there", (row) => nodes(row.name) || "none"], ["done", (row) => whole(row.ok), true], waits[0], waits[2]], regions) : none("nowhere in particular"));
}

function busy(person) {
  const input = element("input", { type: "number", min: 0, max: 1000, step: 0.5, value: person.busy });
  input.setAttribute("aria-label", `how busy ${person.kind} people are, times what is usual`);
  input.addEventListener("change", () => {
    input.setCustomValidity("");
    ask("PUT", `/api/real/traffic/${$("table-world").value}`, { personas: { [person.kind]: Number(input.value) } })
      .catch((error) => { input.setCustomValidity(error.message); input.reportValidity(); });
  });
  return input;
}
