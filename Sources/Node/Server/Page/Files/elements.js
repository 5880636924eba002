// Building what is shown. Everything that comes from outside is text: nothing is ever read as HTML.

/** An element with properties (`text`, `data`, listeners as `onclick`, attributes) and children. */
export function element(name, properties = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (key === "text") made.textContent = value;
    else if (key === "data") Object.assign(made.dataset, value);
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children);
  return made;
}

export const byID = (id) => document.getElementById(id);

/** Sets a text only where it differs, so that nothing selected is lost and nothing is drawn twice. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Sets a text that may be too long for its place; whole, it is the place's title. */
export function setCut(node, text) {
  setText(node, text);
  node.classList.add("cut");
  if (node.title !== text) node.title = text;
}

/** The beginning of a node's id, which is enough to tell nodes apart by eye. */
export const shortID = (id) => `${id.slice(0, 8)}\u2026`;

/** Says something to those who do not see the page. */
export function announce(text) {
  const place = byID("announcement");
  // The same words twice would not be heard the second time.
  place.textContent = place.textContent === text ? text + "\u00a0" : text;
}

/** A button that copies what `text` gives, if it gives something, and says that it did. */
export function copyButton(text, label) {
  const button = element("button", { type: "button", class: "quiet small", "aria-label": label, text: "Copy" });
  button.addEventListener("click", async () => {
    const copied = await text();
    const done = copied !== null && await copy(copied);
    button.textContent = done ? "Copied" : "Not copied";
    announce(done ? "Copied." : "The browser did not allow copying.");
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Browsers have that only on pages that came over TLS or from this machine.
    const field = element("textarea", { class: "unseen", readonly: true, "aria-hidden": "true" });
    field.value = text;
    const before = document.activeElement;
    (document.querySelector("dialog[open]") ?? document.body).append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    before?.focus();
    return done;
  }
}

const units = ["B", "KiB", "MiB", "GiB", "TiB"];

/** `1.5 GiB` */
export function bytes(count) {
  let unit = 0;
  while (count >= 1024 && unit < units.length - 1) {
    count /= 1024;
    unit += 1;
  }
  return `${number(count)} ${units[unit]}`;
}

/** Three digits that count. */
export function number(value) {
  if (value >= 100 || Number.isInteger(value)) return String(Math.round(value));
  return value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** `1 token`, `2 tokens` */
export const counted = (count, word) => `${count} ${word}${count === 1 ? "" : "s"}`;

/** A list kept in step with values: elements whose key stays are kept and shown anew. */
export function keep(list, values, key, make, show) {
  const known = new Map([...list.children].map((child) => [child.dataset.key, child]));
  let before = null;
  for (const value of values) {
    const name = key(value);
    let child = known.get(name);
    known.delete(name);
    if (!child) {
      child = make(value);
      child.dataset.key = name;
    }
    show(child, value);
    const next = before ? before.nextSibling : list.firstChild;
    if (next !== child) list.insertBefore(child, next);
    before = child;
  }
  for (const child of known.values()) child.remove();
}
