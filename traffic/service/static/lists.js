/* What is in the database now: tweets, documents, products. Asked for every two seconds while somebody looks. */
import { ask } from "./api.js";
import { $, coloured, element } from "./dom.js";

const EVERY_MS = 2000;
const pieces = (texts) => texts.flatMap((text) => [element("span", { text }), " "]);

/* more: what stands beside the text, such as a button */
export function tweetItem(tweet, more = []) {
  const parts = [`@${tweet.author ?? "somebody"}`, `♥ ${tweet.likes} likes`, `↻ ${tweet.retweets} retweets`,
    `${tweet.comments} comments`, `${tweet.views} views`, `written through ${tweet.node}`];
  const head = element("div", { kind: "tweet", children: [element("div", { text: tweet.text }), ...more] });
  return coloured(element("li", { children: [head, element("div", { kind: "meta", children: pieces(parts) })] }), tweet.node);
}

/* where two versions part company, with a few words before it */
function parting(texts) {
  let at = 0;
  while (at < texts[0].length && texts.every((text) => text[at] === texts[0][at])) at++;
  const from = at < 40 ? 0 : at - 24;
  return texts.map((text) => (from ? "… " : "") + (text.slice(from, from + 160).trim() || "(ends here)"));
}

function documentItem(found, index) {
  const paragraph = found.paragraphs.find((one) => one.conflict);
  const sign = found.conflicts ? element("span", { kind: "warn", text: `▲ ${found.conflicts} in conflict` }) : element("span", { kind: "good", text: "● no conflict" });
  const item = element("li", { children: [element("div", { kind: "title", children: [element("span", { text: found.title ?? found.document_id }), sign] })] });
  if (index > 1) return item;
  if (paragraph) {
    item.style.setProperty("--colour", "var(--warn)");
    item.append(element("div", { kind: "meta", text: `${paragraph.siblings.length} versions of one paragraph, written without knowledge of each other:` }),
      element("div", { kind: "versions", children: parting(paragraph.siblings.slice(0, 2)).map((text) => element("div", { text })) }));
  } else if (found.paragraphs.length) {
    item.append(element("div", { kind: "meta", text: `${found.paragraphs.length} paragraphs: “${found.paragraphs[0].text.slice(0, 70)}…”` }));
  }
  return item;
}

function placeHead(place) {
  const name = place[0].toUpperCase() + place.slice(1);
  return element("th", { text: name.length > 7 ? `${name.slice(0, 4)}.` : name, title: name, scope: "col" });
}

function stockRows(products) {
  const places = [...new Set(products.flatMap((product) => Object.keys(product.stock)))];
  const most = Math.max(1, ...products.flatMap((product) => Object.values(product.stock)));
  const head = element("tr", { children: [element("th", { text: "product", scope: "col" }), ...places.map(placeHead), element("th", { text: "sold", scope: "col" })] });
  const rows = products.map((product) => element("tr", { children: [element("td", { text: product.name, title: product.name }), ...places.map((place) => {
    const units = product.stock[place], cell = element("td", { text: units ?? "–", kind: units < 0 ? "bad" : "" });
    cell.style.setProperty("--full", `${Math.max(0, units ?? 0) / most * 100}%`);
    return cell;
  }), element("td", { text: product.sold.toLocaleString("en") })] }));
  return [head, ...rows];
}

async function showList(id, path, field, fill) {
  const answer = await ask("GET", path).catch(() => null);
  if (answer?.[field].length) $(id).replaceChildren(...fill(answer[field]));
}

/* workloads: those of the last stats */
export async function keepLists(workloads) {
  if (!document.hidden && workloads()) {
    const mine = (products) => products.filter((product) => product.kept_as === (workloads().inventory?.bug ? "values" : "counters") || products.length <= 12);
    await Promise.all([
      showList("list-twitter", "/api/real/twitter/active_tweets?order=popular&limit=5", "tweets", (tweets) => tweets.map((tweet) => tweetItem(tweet))),
      workloads().collab && showList("list-collab", "/api/real/collab/active_documents?limit=12", "documents", (documents) =>
        documents.sort((one, other) => other.conflicts - one.conflicts).slice(0, 5).map(documentItem)),
      workloads().inventory && showList("list-inventory", "/api/real/inventory/active_products?limit=36", "products", (products) =>
        stockRows(mine(products).sort((one, other) => other.sold - one.sold).slice(0, 10))),
    ]);
  }
  setTimeout(() => keepLists(workloads), EVERY_MS);
}
