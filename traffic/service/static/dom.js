/* Small words for building the page. What people wrote is only ever set as text, never as markup. */
export const $ = (id) => document.getElementById(id);
export const css = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
export const whole = (value) => value == null ? "–" : Math.round(value).toLocaleString("en");
export const short = (value) => value == null ? "–" : value < 10 ? value.toFixed(1) : Math.round(value).toLocaleString("en");
export const clock = (ms) => new Date(ms).toLocaleTimeString("en-GB");

export function setText(id, text) { const found = $(id); if (found.textContent !== text) found.textContent = text; }

export function element(tag, { text, kind, id, children = [], ...properties } = {}) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (kind) made.className = kind;
  if (id) made.id = id;
  Object.assign(made, properties);
  made.append(...children);
  return made;
}

/* the number in a node's name decides on its colour and dash, in every chart and notebook */
export const DASHES = [[], [8, 4], [2, 4], [12, 4, 2, 4], [5, 5], [16, 5], [2, 2], [9, 3, 3, 3], [4, 8]];
export const nodeNumber = (name, fallback = 0) => { const found = /(\d+)$/.exec(name); return found ? Number(found[1]) - 1 : fallback; };
export const nodeColour = (name) => `var(--node-${nodeNumber(name) % 9 + 1})`;
export const coloured = (item, name) => { item.style.setProperty("--colour", nodeColour(name)); return item; };

/* one row for each key, made once and then updated in place: focus stays where it is */
export function keyed(box, entries, make, update) {
  const known = new Map([...box.children].map((child) => [child.dataset.key, child]));
  const wanted = entries.map(([key, value]) => {
    const child = known.get(key) ?? Object.assign(make(value), {});
    child.dataset.key = key;
    update(child, value);
    return child;
  });
  if (wanted.length !== box.children.length || wanted.some((child, at) => box.children[at] !== child)) box.replaceChildren(...wanted);
}

/* a table of rows; a column is [heading, cell of a row, whether it is a figure] */
export function table(columns, rows) {
  const cell = (tag, content, figure) => {
    const made = element(tag, { kind: figure ? "figure" : "" });
    made.append(content instanceof Node ? content : String(content ?? "–"));
    return made;
  };
  const head = element("tr", { children: columns.map(([heading, , figure]) => Object.assign(cell("th", heading, figure), { scope: "col" })) });
  const body = rows.map((row) => element("tr", { children: columns.map(([, of, figure]) => cell("td", of(row), figure)) }));
  return element("table", { children: [element("thead", { children: [head] }), element("tbody", { children: body })] });
}
