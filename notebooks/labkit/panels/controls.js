// Buttons, sliders, choices and menus made of the browser's own elements (see controls.py).
// A control that makes no sense now is `aria-disabled`, not `disabled`: the focus stays where it was after a press.
// Each widget has a copy of this module: a counter would begin anew. (randomUUID is missing on plain HTTP from elsewhere.)
const freshId = () => `lab-${crypto.getRandomValues(new Uint32Array(4)).join("-")}`;

function add(parent, tag, attributes = {}) {
  const element = parent.appendChild(document.createElement(tag));
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  // Enter, Space and arrows are for the control that has the focus, not for JupyterLab's own shortcuts. On each element:
  // a shortcut's selector may match just the one that has the focus.
  if (["button", "input", "select"].includes(tag)) element.setAttribute("data-lm-suppress-shortcuts", "true");
  return element;
}
function say(element, attributes) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === "" || value === null) element.removeAttribute(name);
    else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value);
  }
}
/* Calls `show` now and whenever one of these traits changes; gives back what ends that. */
function follow(model, names, show) {
  const events = names.map((name) => `change:${name}`);
  events.forEach((event) => model.on(event, show));
  show();
  return () => events.forEach((event) => model.off(event, show));
}
function send(model, value) {
  model.set("value", value);
  model.save_changes();
}

function button(model, el) {
  const press = add(el, "button", { type: "button", class: "lab-button" });
  const icon = add(press, "i", { "aria-hidden": "true" });
  const words = add(press, "span");
  press.addEventListener("click", () => { if (!model.get("disabled")) model.send({ event: "click" }); });
  return follow(model, ["description", "subject", "hint", "icon", "disabled"], () => {
    const { description, subject } = { description: model.get("description"), subject: model.get("subject") };
    icon.className = model.get("icon") ? `fa fa-${model.get("icon")}` : "";
    words.textContent = description;
    say(press, { "aria-label": subject && `${description} ${subject}`, "aria-disabled": model.get("disabled"), title: model.get("hint") });
  });
}

function slider(model, el) {
  const id = freshId();
  add(el, "label", { for: id, class: "lab-label" }).textContent = model.get("label");
  const range = add(el, "input", { type: "range", id, class: "lab-range" });
  const exact = add(el, "input", { type: "number", class: "lab-exact", "aria-label": `${model.get("label")}, exact` });
  let isDragged = false, isTyped = false;
  const settle = (text) => {
    const value = Math.round(Number(text));
    isTyped = false;
    if (text === "" || !Number.isFinite(value)) { show(); return; }
    send(model, Math.min(Math.max(value, model.get("min")), model.get("max")));
    show();
  };
  // Pressed and released without a move, a slider tells of no change; it must follow others again all the same. What
  // has changed is told before the timer.
  const letGo = () => setTimeout(() => { if (isDragged) { isDragged = false; show(); } });
  range.addEventListener("pointerdown", () => { isDragged = true; });
  range.addEventListener("pointerup", letGo);
  range.addEventListener("pointercancel", letGo);
  range.addEventListener("input", () => { exact.value = range.value; });
  range.addEventListener("change", () => { isDragged = false; settle(range.value); });
  // What is being typed stays until it is sent (Enter, or the box left) or taken back (Escape): what the kernel says
  // meanwhile is shown afterwards.
  exact.addEventListener("input", () => { isTyped = true; });
  const enter = () => { if (isTyped) settle(exact.value); };
  exact.addEventListener("change", enter);
  exact.addEventListener("blur", enter);
  exact.addEventListener("keydown", (event) => {
    if (event.key === "Enter") enter();
    if (event.key === "Escape") { isTyped = false; show(); }
  });
  const show = () => {
    const limits = { min: model.get("min"), max: model.get("max") };
    say(range, { ...limits, step: model.get("step"), title: model.get("hint") });
    say(exact, { ...limits, step: model.get("step"), title: model.get("hint") });
    if (isDragged) return;
    range.step = "1";                       // a value that was typed may lie between two steps
    range.value = model.get("value");
    if (!isTyped && exact.value !== range.value) {
      exact.value = range.value;
      if (document.activeElement === exact) exact.select();   // digits typed next replace it, and do not join it
    }
    range.step = model.get("value") % model.get("step") ? "1" : model.get("step");
    exact.step = "any";
    say(el, { "data-told": model.get("told") });
  };
  return follow(model, ["value", "min", "max", "step", "hint", "told"], show);
}

function choice(model, el) {
  const name = freshId();
  const group = add(el, "div", { role: "radiogroup", class: "lab-choice", "aria-label": model.get("label") });
  add(group, "span", { class: "lab-label", "aria-hidden": "true" }).textContent = model.get("label");
  return follow(model, ["value", "options", "hint"], () => {
    say(group, { title: model.get("hint") });
    const options = model.get("options");
    const drawn = [...group.querySelectorAll("input")];
    if (drawn.map((radio) => radio.dataset.option).join() !== options.join()) {
      drawn.forEach((radio) => radio.parentElement.remove());
      options.forEach((option) => {
        const label = add(group, "label", { class: "lab-option" });
        const radio = add(label, "input", { type: "radio", name, "data-option": option });
        add(label, "span").textContent = option;
        radio.addEventListener("change", () => send(model, option));
      });
    }
    group.querySelectorAll("input").forEach((radio, place) => { radio.checked = options[place] === model.get("value"); });
  });
}

function menu(model, el) {
  const select = add(el, "select", { class: "lab-menu", "aria-label": model.get("label") });
  select.addEventListener("change", () => send(model, select.value));
  return follow(model, ["value", "options", "words"], () => {
    const options = model.get("options"), words = model.get("words");
    const shown = [...select.options].map((option) => `${option.value} ${option.text}`).join("\n");
    if (shown !== options.map((option, place) => `${option} ${words[place]}`).join("\n")) {
      select.replaceChildren(...options.map((option, place) => new Option(words[place], option)));
    }
    select.value = model.get("value");
  });
}

const KINDS = { button, slider, choice, menu };

function render({ model, el }) {
  el.classList.add("lab-control");
  return KINDS[model.get("kind")](model, el);
}
export default { render };
