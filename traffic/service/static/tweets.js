/* A tweet of one's own, and the race of one write to its replicas; the newest tweets, each of which can be followed. */
import { ask } from "./api.js";
import { $, coloured, element, keyed, nodeNumber, short } from "./dom.js";
import { tweetItem } from "./lists.js";

const SOON_MS = 100, LATER_MS = 1000, SOON_FOR_MS = 5000, FOLLOW_FOR_MS = 300000, NEWEST_EVERY_MS = 2000;
let followed = null, newestKey = "";

export function buildTweets() {
  $("post").addEventListener("submit", async (event) => {
    event.preventDefault();
    say("writing …");
    try {
      const posted = await ask("POST", "/api/real/twitter/tweets", { text: $("text").value, author: $("author").value || "you" });
      follow(posted.tweet_id, `Acknowledged after ${short(posted.latency_ms)} ms, once W=${posted.w} replicas had it on disk ` +
        `(by then: ${posted.acknowledged_by.join(", ")}; written through ${posted.node}).`);
      showNewest();
    } catch (error) { say(`not posted: ${error.message}`, true); }
  });
  keepNewest();
}

function say(text, bad = false) { $("post-status").textContent = text; $("post-status").classList.toggle("bad", bad); }

export function follow(tweetId, story) {
  followed = { tweetId, story, since: Date.now() };
  $("replicas").replaceChildren();
  say(story);
  look(followed);
}

/* every tenth of a second at first, then every second, until all replicas have it or five minutes have passed */
async function look(one) {
  if (one !== followed) return;
  try {
    const seen = await ask("GET", `/api/real/twitter/tweets/${encodeURIComponent(one.tweetId)}`);
    if (one !== followed) return;
    show(one, seen);
    if (seen.arrived === seen.replicas.length) return;
  } catch (error) {
    if (one !== followed) return;
    say(`${one.story} ${error.message}`, true);
  }
  const age = Date.now() - one.since;
  if (age < FOLLOW_FOR_MS) setTimeout(() => look(one), age < SOON_FOR_MS ? SOON_MS : LATER_MS);
}

function show(one, seen) {
  const missing = seen.replicas.filter((replica) => !replica.has_it).map((replica) => replica.node);
  say(`${one.story} ${missing.length ? `${seen.arrived} of ${seen.replicas.length} replicas have it; missing at ${missing.join(" and ")}.`
    : `All ${seen.replicas.length} replicas have it.`}`);
  const latest = Math.max(1, ...seen.replicas.map((replica) => replica.arrived_ms ?? 0));
  const sorted = [...seen.replicas].sort((first, second) => nodeNumber(first.node) - nodeNumber(second.node));
  keyed($("replicas"), sorted.map((replica) => [replica.node, replica]), row, (item, replica) => {
    item.classList.toggle("waiting", !replica.has_it);
    item.querySelector("i").style.setProperty("--part", `${replica.has_it ? Math.max(2, (replica.arrived_ms ?? 0) / latest * 100) : 0}%`);
    item.querySelector(".when").textContent = !replica.has_it ? (replica.reachable ? "not there yet" : "does not answer")
      : replica.arrived_ms == null ? "has it" : replica.arrived_ms < 10000 ? `after ${short(replica.arrived_ms)} ms` : `after ${short(replica.arrived_ms / 1000)} s`;
    item.querySelector(".clock").textContent = replica.has_it ? `vector clock ${clockText(replica.vector_clock)}` : "";
  });
}

/* "node-1·3f2a: 17": enough of a disk's id to tell two disks of one node apart */
const clockText = (clock) => `{${Object.entries(clock).map(([store, count]) => {
  const [name, id = ""] = store.split(".");
  return `${name}${id ? `·${id.slice(0, 4)}` : ""}: ${count}`;
}).join(", ")}}`;

function row(replica) {
  return coloured(element("div", { kind: "replica", children: [
    element("div", { kind: "name", text: replica.node }), element("div", { kind: "track", children: [element("i")] }),
    element("div", { kind: "when" }), element("div", { kind: "clock" })] }), replica.node);
}

async function showNewest() {
  const answer = await ask("GET", "/api/real/twitter/active_tweets?limit=6").catch(() => null);
  if (!answer?.tweets.length) return;
  const key = answer.tweets.map((tweet) => [tweet.tweet_id, tweet.likes, tweet.views].join()).join(";");
  if (key === newestKey || $("list-newest").contains(document.activeElement)) return;  // a list must not move under a finger
  newestKey = key;
  $("list-newest").replaceChildren(...answer.tweets.map((tweet) => {
    const button = element("button", { type: "button", text: "Where?" });
    button.setAttribute("aria-label", `on which replicas is the tweet of ${tweet.author ?? "somebody"}: ${tweet.text}`);
    button.addEventListener("click", () => follow(tweet.tweet_id, `@${tweet.author ?? "somebody"}: “${tweet.text}”.`));
    return tweetItem(tweet, [button]);
  }));
}

async function keepNewest() {
  if (!document.hidden) await showNewest();
  setTimeout(keepNewest, NEWEST_EVERY_MS);
}
