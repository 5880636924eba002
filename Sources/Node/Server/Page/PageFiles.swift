// swift-format-ignore-file
// Made by scripts/make-page from the files in Sources/Node/Server/Page/Files; what is written here by hand is lost.

extension PageFile {
    static let all = [
PageFile(path: "/page/api.js", type: "text/javascript; charset=utf-8", digest: "5c05f5da7fef0543", text: #"""
// Asking the server: the key, errors as sentences, streams of events.
import { byID } from "./elements.js";

/** What went wrong, in a sentence for people. */
export class Refusal extends Error {
  constructor(message, status = 0, code = null) {
    super(message);
    this.status = status;
    this.code = code;
  }
}

const keyNames = { api: "swiftlet-api-key", admin: "swiftlet-admin-key" };

/** Kept in this tab only. A browser that keeps nothing asks again after a reload. */
const keys = {
  held: {},
  get(kind) {
    try { return this.held[kind] ?? sessionStorage.getItem(keyNames[kind]); } catch { return this.held[kind] ?? null; }
  },
  set(kind, key) {
    this.held[kind] = key;
    try { sessionStorage.setItem(keyNames[kind], key); } catch { /* not kept then */ }
  },
};

/** Asks once; what the API does not like becomes a `Refusal`. */
async function ask(path, { body, signal, kind = "api" } = {}) {
  const key = (kind === "admin" && keys.get("admin")) || keys.get("api");
  const headers = {};
  if (key) headers["Authorization"] = `Bearer ${key}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(new URL(path, document.baseURI), {
      method: body === undefined ? "GET" : "POST", headers, signal, cache: "no-store", credentials: "omit", redirect: "error",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Refusal("The server cannot be reached.");
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function refusal(answer) {
  let error = {};
  try { error = (await answer.json()).error ?? {}; } catch { /* no JSON: the status says it */ }
  const message = error.message ?? `The server answered with status ${answer.status}.`;
  return new Refusal(sentence(message), answer.status, error.code);
}

function sentence(text) {
  return /[.!?]$/.test(text) ? text : text + ".";
}

// MARK: Keys

let asking = null;

/** Resolves when the user has given a key, and to false when they would rather not. */
function askForKey(kind, reason) {
  if (asking) return asking;
  const [dialog, form, field] = [byID("key-dialog"), byID("key-form"), byID("key")];
  byID("key-title").textContent = kind === "admin" ? "Admin key" : "API key";
  byID("key-reason").textContent = reason;
  field.value = "";
  asking = new Promise((resolve) => {
    let given = false;
    const submit = (event) => {
      event.preventDefault();
      if (!field.value) return;
      keys.set(kind, field.value);
      field.value = "";
      given = true;
      declined = false;
      dialog.close();
    };
    form.addEventListener("submit", submit);
    dialog.addEventListener("close", () => {
      form.removeEventListener("submit", submit);
      asking = null;
      resolve(given);
      if (given && kind === "api") for (const listener of keyListeners) listener();
    }, { once: true });
  });
  dialog.showModal();
  return asking;
}

const keyListeners = [];
export const onKey = (listener) => keyListeners.push(listener);

/** Once declined, the form comes again only when something is done that needs a key. */
let declined = false;

export function prepareKeys() {
  byID("key-cancel").addEventListener("click", () => byID("key-dialog").close());
  byID("key-button").addEventListener("click", () => askForKey("api", "Another key for this server."));
}

/**
 * Asks, for a key too where one is wanted.
 * `quietly`: for what the page does by itself, which opens no form that was closed.
 */
export async function request(path, options = {}) {
  for (;;) {
    if (options.quietly && declined) throw new Refusal("This server wants an API key.", 401);
    const before = [keys.get("api"), keys.get("admin")];
    try {
      return await ask(path, options);
    } catch (error) {
      if (!(error instanceof Refusal) || error.status !== 401) throw error;
      // Another request may have asked for a key meanwhile.
      if (before[0] !== keys.get("api") || before[1] !== keys.get("admin")) continue;
      const wants = error.code?.endsWith("admin_key") ? "admin" : "api";
      if (wants === "api") byID("key-button").hidden = false;
      const reason = wants === "admin" ? "This needs the server's admin key." : "This server wants an API key.";
      const given = await askForKey(wants, keys.get(wants) ? `${reason} The one given is not right.` : reason);
      // Who keeps the admin key to themselves still sees the rest.
      if (wants === "api") declined = !given;
      if (!given) throw error;
    }
  }
}

export const json = async (path, options) => (await request(path, options)).json();
export const text = async (path, options) => (await request(path, options)).text();

/** The `data:` payloads of an answer's stream, one by one, each with whether more of them are here already. */
export async function* events(answer) {
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      const parts = (rest + value).split("\n\n");
      rest = parts.pop();
      for (const part of parts) {
        if (part.startsWith("data: ")) yield part.slice(6);
      }
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

"""#),
PageFile(path: "/page/app.js", type: "text/javascript; charset=utf-8", digest: "3a9fd8f9e68000dc", text: #"""
// What the page begins with: its parts, and asking the server how things are.
import { json, onKey, prepareKeys, Refusal } from "./api.js";
import { prepareChat, showModels } from "./chat.js";
import { byID, setText } from "./elements.js";
import { followEvents, showMachines, showNoMachines } from "./machines.js";
import { showNetwork, showNetworkIfAny } from "./network.js";

const pollTime = 2000;
let next = 0;
let isLooking = false;

/** Looks at everything, and again after a while; at once when something happens. */
async function look() {
  clearTimeout(next);
  if (isLooking) {
    isWanted = true;
    return;
  }
  isLooking = true;
  isWanted = false;
  try {
    const health = await healthNow();
    if (health.isLoading) {
      showNoMachines("They are listed when the model is there.");
      await showNetworkIfAny();
    } else {
      const { nodes, hasNetwork } = await showMachines(health.problem);
      await showModels();
      await showNetwork(hasNetwork);
      showHealth(health, nodes);
    }
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    const word = error.status === 401 ? "No key" : error.status === 0 ? "Not reachable" : "Not available";
    showState(word, "bad", error.message, error.status === 401 ? "" : error.message);
  } finally {
    isLooking = false;
    next = setTimeout(look, isWanted ? 200 : pollTime);
  }
}

let isWanted = false;

/** What the server says of itself. One that has no room for its model still tells of its machines. */
async function healthNow() {
  try {
    return await json("health");
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 503) throw error;
    const isLoading = error.message.startsWith("Loading model");
    if (isLoading) showState("Loading the model", "warn", "", "The model is being loaded. What you ask meanwhile is refused.");
    return { isLoading, problem: error.message };
  }
}

function showHealth({ state, queued, problem }, nodes) {
  const workers = nodes.filter((node) => node.address !== "local");
  const there = workers.filter((node) => node.state !== "absent" && node.state !== "failed").length;
  const rest = workers.length ? `, ${there} of ${workers.length} workers` : "";
  const advice = workers.length ? "" : " A machine that lends its memory would help: under Network it says how to add one.";
  if (problem) showState(`Not available${rest}`, "bad", problem, problem + advice);
  else if (state === "recovering") showState(`Recovering${rest}`, "warn");
  else showState(`Ready${rest}${queued ? `, ${queued} waiting` : ""}`, state === "degraded" ? "warn" : "good");
}

/** How things are, in a word at the head of the page, and `notice`, what is in the way of a chat, above it. */
function showState(text, tone, reason = "", notice = "") {
  byID("health").dataset.tone = tone;
  byID("health").title = reason;
  setText(byID("health-text"), text);
  const place = byID("notice");
  place.hidden = !notice;
  place.dataset.tone = tone;
  setText(place, notice);
}

/** Follows what happens, for as long as the page is open. */
async function follow() {
  for (;;) {
    try {
      await followEvents(() => look());
    } catch { /* it is said where the rest is asked for */ }
    await new Promise((resolve) => setTimeout(resolve, pollTime));
  }
}

/** On a narrow page one part is seen at a time. */
function prepareViews() {
  const buttons = [...document.querySelectorAll("nav [data-shows]")];
  for (const button of buttons) {
    button.addEventListener("click", () => {
      document.body.dataset.view = button.dataset.shows;
      for (const other of buttons) {
        if (other === button) other.setAttribute("aria-current", "true"); else other.removeAttribute("aria-current");
      }
    });
  }
}

prepareKeys();
prepareViews();
prepareChat();
onKey(() => look());
look();
follow();

"""#),
PageFile(path: "/page/chat.js", type: "text/javascript; charset=utf-8", digest: "5aafb81d5921b880", text: #"""
// The conversation with the model.
import { events, json, request, Refusal } from "./api.js";
import { announce, byID, counted, element, number } from "./elements.js";
import { showMarkdown } from "./markdown.js";

const log = byID("log");
const messages = byID("messages");
const question = byID("question");
const send = byID("send");
const model = byID("model");

/** What was asked and answered: `{ question, answer }`. Questions without an answer are not told to the model again. */
let exchanges = [];
/** What breaks off the answer under way; null where there is none. */
let underWay = null;

export function prepareChat() {
  byID("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    if (underWay) stop(); else ask();
  });
  question.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    if (!underWay) ask();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && underWay && !document.querySelector("dialog[open]")) stop();
  });
  byID("new-chat").addEventListener("click", () => {
    stop();
    exchanges = [];
    messages.replaceChildren();
    byID("welcome").hidden = false;
    announce("A new chat.");
    question.focus();
  });
  if (!CSS.supports("field-sizing", "content")) question.addEventListener("input", grow);
  // On a phone the keyboard would cover half of the page at once.
  if (!matchMedia("(pointer: coarse)").matches) question.focus();
}

/** For browsers that do not fit a field to its text. */
function grow() {
  question.style.height = "auto";
  question.style.height = `${question.scrollHeight + 2}px`;
}

// MARK: Models

/** Reads which models there are; the choice stays where it still can be made. */
export async function showModels() {
  const { data } = await json("v1/models", { quietly: true });
  const usable = data.filter((entry) => !entry.meta?.makes_vectors);
  const options = usable.map((entry) => {
    const state = entry.state === "loaded" ? "" : ` (${entry.state})`;
    return element("option", { value: entry.id, text: entry.id + state, disabled: entry.state === "failed" });
  });
  const same = options.length === model.options.length && options.every((option, index) => option.isEqualNode(model.options[index]));
  if (same || !options.length) return;
  const chosen = model.value;
  model.replaceChildren(...options);
  if (usable.some((entry) => entry.id === chosen)) model.value = chosen;
}

// MARK: Asking

function ask() {
  const text = question.value.trim();
  if (!text) return;
  question.value = "";
  if (question.style.height) grow();
  byID("welcome").hidden = true;
  messages.append(element("article", { class: "message mine", "aria-label": "You" }, element("div", { class: "text", text })));
  const exchange = { question: text, answer: "" };
  exchanges.push(exchange);
  log.scrollTop = log.scrollHeight;
  answer(exchange);
}

function stop() {
  underWay?.abort();
}

/** What the model is told: the exchanges that have an answer, and the question. */
function conversation(exchange) {
  const before = exchanges.slice(0, exchanges.indexOf(exchange)).filter((other) => other.answer);
  const turns = before.flatMap((other) => [{ role: "user", content: other.question }, { role: "assistant", content: other.answer }]);
  return [...turns, { role: "user", content: exchange.question }];
}

async function answer(exchange) {
  const text = element("div", { class: "text markdown" }, element("p", { class: "waiting" }, element("span", { class: "unseen", text: "Waiting for the answer" })));
  const foot = element("p", { class: "foot" });
  const article = element("article", { class: "message", "aria-label": "Answer", "aria-busy": "true" }, text, foot);
  messages.append(article);
  log.scrollTop = log.scrollHeight;

  const controller = new AbortController();
  underWay = controller;
  showSending(true);
  announce("The model is answering.");
  const ending = {};
  const drawing = drawer(() => {
    if (!exchange.answer) return;
    const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
    showMarkdown(text, exchange.answer);
    if (follows) log.scrollTop = log.scrollHeight;
  });
  try {
    const body = {
      model: model.value || undefined, messages: conversation(exchange), stream: true, stream_options: { include_usage: true },
    };
    const stream = await request("v1/chat/completions", { body, signal: controller.signal });
    for await (const data of events(stream)) {
      if (data === "[DONE]") {
        ending.isWhole = true;
        break;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Refusal(chunk.error.message, 0, chunk.error.code);
      const choice = chunk.choices?.[0];
      exchange.answer += choice?.delta?.content ?? "";
      ending.reason = choice?.finish_reason ?? ending.reason;
      ending.usage = chunk.usage ?? ending.usage;
      ending.timings = chunk.timings ?? ending.timings;
      drawing.soon();
    }
    if (!ending.isWhole) throw new Refusal("The connection ended before the answer did.");
  } catch (error) {
    if (controller.signal.aborted) ending.isStopped = true;
    else ending.error = error instanceof Refusal ? error.message : "The connection was lost before the answer was there.";
  }
  drawing.now();
  if (!exchange.answer) text.replaceChildren();
  article.removeAttribute("aria-busy");
  const follows = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
  foot.textContent = account(ending);
  if (ending.error) {
    foot.hidden = !foot.textContent;
    article.append(failure(ending.error, article, exchange));
  }
  if (follows) log.scrollTop = log.scrollHeight;
  if (underWay === controller) {
    underWay = null;
    showSending(false);
  }
  if (article.isConnected) announce(ending.error ?? (ending.isStopped ? "Stopped." : `Answer: ${text.innerText}`));
}

/** `41 tokens · 52.3 tokens/s` */
function account({ usage, timings, reason, isStopped }) {
  const parts = [];
  if (usage) parts.push(counted(usage.completion_tokens, "token"));
  if (timings?.predicted_per_second) parts.push(`${number(timings.predicted_per_second)} tokens/s`);
  if (reason === "length") parts.push("cut off where there was no more room");
  if (isStopped) parts.push("Stopped");
  return parts.join(" · ");
}

function failure(message, article, exchange) {
  const again = element("button", { type: "button", class: "small", text: "Try again" });
  again.addEventListener("click", () => {
    if (underWay) return;
    article.remove();
    exchange.answer = "";
    answer(exchange);
    question.focus();
  });
  return element("div", { class: "error" }, element("span", { text: message }), again);
}

function showSending(isSending) {
  send.textContent = isSending ? "Stop" : "Send";
  send.classList.toggle("strong", !isSending);
}

/** Draws once for each picture that the browser shows, however many pieces come. */
function drawer(draw) {
  let next = 0;
  return {
    soon() { next ||= requestAnimationFrame(() => { next = 0; draw(); }); },
    now() { cancelAnimationFrame(next); next = 0; draw(); },
  };
}

"""#),
PageFile(path: "/page/elements.js", type: "text/javascript; charset=utf-8", digest: "b6f0265b8b36e4c2", text: #"""
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

"""#),
PageFile(path: "/page/icon.svg", type: "image/svg+xml", digest: "ef9e746330a1e32e", text: #"""
<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">
  <rect width="32" height="32" rx="7" fill="#0b5c86"/>
  <g fill="#fff">
    <rect x="7" y="8" width="18" height="4" rx="2"/>
    <rect x="7" y="14" width="12" height="4" rx="2"/>
    <rect x="7" y="20" width="15" height="4" rx="2"/>
  </g>
</svg>

"""#),
PageFile(path: "/index.html", type: "text/html; charset=utf-8", digest: "eaaa79fbd78d6295", text: #"""
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Swiftlet</title>
  <link rel="icon" href="page/icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="page/style.css">
  <script type="module" src="page/app.js"></script>
</head>
<body data-view="chat">
  <a class="skip" href="#question">Skip to the question</a>

  <header>
    <h1><img src="page/icon.svg" alt="" width="24" height="24">Swiftlet</h1>
    <p id="health" class="state" data-tone="quiet"><span class="dot" aria-hidden="true"></span><span id="health-text">Connecting</span></p>
    <button type="button" id="key-button" class="quiet" hidden>API key</button>
  </header>

  <nav aria-label="Views">
    <button type="button" data-shows="chat" aria-current="true">Chat</button>
    <button type="button" data-shows="machines">Machines</button>
    <button type="button" data-shows="network">Network</button>
  </nav>

  <main aria-labelledby="chat-title" id="chat" data-part="chat">
    <div class="bar">
      <h2 id="chat-title" class="unseen">Chat</h2>
      <label for="model" class="unseen">Model</label>
      <select id="model"><option value="">No model yet</option></select>
      <button type="button" id="new-chat" class="quiet">New chat</button>
    </div>
    <p id="notice" role="status" hidden></p>
    <div id="log" class="scroller" tabindex="0" role="region" aria-label="Conversation">
      <div id="welcome">
        <p class="large">Ask the model something.</p>
        <p>It runs on the machines listed here. Nothing you write leaves them.</p>
      </div>
      <div id="messages"></div>
    </div>
    <form id="composer">
      <label for="question" class="unseen">Your message</label>
      <textarea id="question" rows="1" placeholder="Your message" aria-describedby="keys" autocomplete="off"></textarea>
      <button type="submit" id="send" class="strong">Send</button>
    </form>
    <p id="keys" class="hint"><kbd>Enter</kbd> sends, <kbd>Shift</kbd> <kbd>Enter</kbd> begins a new line, <kbd>Esc</kbd> stops an answer.</p>
  </main>

  <aside class="scroller" aria-label="Machines and network" tabindex="0">
    <section data-part="machines" aria-labelledby="machines-title">
      <h2 id="machines-title">Machines</h2>
      <p id="machines-note" class="hint">Asking for the machines.</p>
      <ul id="machines" class="cards"></ul>
      <h3 id="events-title">Latest events</h3>
      <p id="events-note" class="hint">Nothing has happened yet.</p>
      <ol id="events" aria-labelledby="events-title"></ol>
    </section>
    <section data-part="network" aria-labelledby="network-title">
      <h2 id="network-title">Network</h2>
      <div id="network"></div>
    </section>
  </aside>

  <dialog id="key-dialog" aria-labelledby="key-title">
    <form id="key-form">
      <h2 id="key-title">API key</h2>
      <p id="key-reason"></p>
      <label for="key">Key</label>
      <input id="key" type="password" autocomplete="off" spellcheck="false" required>
      <p class="hint">Kept in this tab until it is closed, and sent to this server only.</p>
      <div class="row">
        <button type="submit" class="strong">Use the key</button>
        <button type="button" id="key-cancel" class="quiet">Cancel</button>
      </div>
    </form>
  </dialog>

  <p id="announcement" class="unseen" role="status" aria-live="polite"></p>
  <noscript><p class="hint">This page needs JavaScript. The API is at <code>/v1</code>.</p></noscript>
</body>
</html>

"""#),
PageFile(path: "/page/machines.js", type: "text/javascript; charset=utf-8", digest: "c8f5ecf46f2eaa37", text: #"""
// The machines that models run on, and what happens to them.
import { events as eventsOf, request, json } from "./api.js";
import { announce, byID, bytes, element, keep, number, setCut, setText, shortID } from "./elements.js";

const states = {
  ready: ["Ready", "good"], unused: ["Idle", "quiet"], failed: ["Failed", "bad"], absent: ["Absent", "bad"], lost: ["Lost", "bad"],
  leaving: ["Leaving", "warn"], drained: ["Emptied", "warn"],
};

/** Those that were there and are gone, as the events say. */
const lost = new Set();

// MARK: Machines

export async function showMachines(problem) {
  const { data, has_network: hasNetwork } = await json("v1/nodes", { quietly: true });
  const now = performance.now();
  keep(byID("machines"), data, (node) => node.address, makeMachine, (card, node) => showMachine(card, node, now));
  const workers = data.filter((node) => node.address !== "local");
  const note = byID("machines-note");
  note.hidden = workers.length > 0;
  const place = data.length ? "The model is on this machine alone." : problem ? "There are none." : "There are none yet.";
  setText(note, `${place} ${hasNetwork ? "Workers that join the network appear here." : "Under Network it says how to add one."}`);
  return { nodes: data, hasNetwork };
}

/** What is said while nothing is known of the machines. */
export function showNoMachines(text) {
  const note = byID("machines-note");
  note.hidden = false;
  setText(note, text);
}

function makeMachine(node) {
  const figure = (name, label) => [element("dt", { text: label }), element("dd", { data: { figure: name }, text: "–" })];
  const isWorker = node.address !== "local";
  return element(
    "li", { class: "card" },
    element(
      "div", { class: "top" }, element("span", { class: "name" }),
      element("span", { class: "state" }, element("span", { class: "dot", "aria-hidden": "true" }), element("span", { class: "word" }))),
    element("p", { class: "place" }),
    element("p", { class: "reason" }),
    element("div", { class: "devices" }),
    element(
      "dl", { class: "figures" },
      ...(isWorker ? [...figure("trip", "Round trip"), ...figure("sent", "Sent"), ...figure("received", "Received")] : []),
      ...figure("rate", "Steps/s")));
}

function showMachine(card, node, now) {
  const [word, tone] = states[node.state === "absent" && lost.has(node.address) ? "lost" : node.state] ?? [node.state, "quiet"];
  card.querySelector(".state").dataset.tone = tone;
  setText(card.querySelector(".state .word"), word);
  setCut(card.querySelector(".name"), node.address === "local" ? "This machine" : node.name ?? node.address);
  // One that has a name proves who it is: its address is an id, and where it is found may change.
  const place = card.querySelector(".place");
  place.hidden = !node.name;
  setText(place, node.name ? [node.route, shortID(node.address)].filter(Boolean).join(" \u00b7 ") : "");
  if (node.name) place.title = `Node ${node.address}`;
  const reason = card.querySelector(".reason");
  setText(reason, sentence(node));
  reason.hidden = !node.reason;
  keep(card.querySelector(".devices"), node.devices, (device) => device.name, makeDevice, showDevice);
  const show = (name, text) => {
    const place = card.querySelector(`[data-figure="${name}"]`);
    if (place) setText(place, text);
  };
  const perSecond = rate(card, Math.max(0, ...node.devices.map((device) => device.steps)), now);
  // Of what is gone there are no figures.
  const isThere = node.state !== "absent" && node.state !== "failed";
  show("trip", isThere && node.round_trip_ms !== null ? `${number(node.round_trip_ms)} ms` : "–");
  show("sent", isThere ? bytes(node.bytes_sent) : "–");
  show("received", isThere ? bytes(node.bytes_received) : "–");
  show("rate", isThere ? perSecond : "–");
}

/** A reason by itself, without the name or address that stands above it. */
function sentence({ reason, address, name, route }) {
  const said = reason ?? "";
  const beginning = [`${name} (${address.slice(0, 8)})`, name, address, route].filter(Boolean)
    .flatMap((subject) => [`${subject}: `, `${subject} `]).find((subject) => said.startsWith(subject)) ?? "";
  const rest = said.slice(beginning.length);
  return rest.slice(0, 1).toUpperCase() + rest.slice(1);
}

/** Steps in a second since it was looked at before, a second ago at least. */
function rate(card, steps, now) {
  const before = rates.get(card);
  if (before && now - before.time < 1000) return before.text;
  const perSecond = before && steps >= before.steps ? (steps - before.steps) * 1000 / (now - before.time) : 0;
  const text = perSecond > 0 ? number(perSecond) : "0";
  rates.set(card, { steps, time: now, text });
  return text;
}

const rates = new WeakMap();

function makeDevice(device) {
  return element(
    "div", { class: "device" },
    element("div", { class: "top" }, element("span", { text: device.name }), element("span", { class: "what layers" })),
    element("div", { class: "meter", role: "img" }, element("span", { class: "used" }), element("span", { class: "model" })),
    element("p", { class: "what memory" }));
}

function showDevice(place, device) {
  setText(place.querySelector(".layers"), layers(device));
  const taken = device.bytes.weights + device.bytes.cache + device.bytes.compute;
  const { memory_total: total, memory_free_before: free } = device;
  const isKnown = total > 0 && free !== null;
  const parts = [`${taken > 0 ? bytes(taken) : "nothing"} of the model`];
  if (isKnown) parts.push(`${bytes(Math.max(0, free - taken))} free of ${bytes(total)}`);
  const text = parts.join(" · ");
  setText(place.querySelector(".memory"), text);
  const meter = place.querySelector(".meter");
  meter.hidden = !isKnown;
  meter.setAttribute("aria-label", `Memory: ${text}`);
  if (!isKnown) return;
  const share = (count) => `${Math.min(100, Math.max(0, count / total * 100)).toFixed(2)}%`;
  meter.querySelector(".used").style.width = share(total - free);
  // What is there can be seen, however little it is.
  meter.querySelector(".model").style.width = taken > 0 ? `max(3px, ${share(taken)})` : "0";
}

/** `layers 0–14 and output` */
function layers(device) {
  const [first, count] = [device.first_layer, device.layer_count];
  const range = !count ? "" : count === 1 ? `layer ${first}` : `layers ${first}–${first + count - 1}`;
  return [range, device.has_output ? "output" : ""].filter(Boolean).join(" and ") || "no layers";
}

// MARK: Events

const kinds = {
  joined: ["Joined", "good"], lost: ["Lost", "bad"], leaving: ["Leaving", "warn"], draining: ["Being emptied", "warn"],
  resumed: ["Resumed", "good"], recovering: ["Recovering", "warn"], placed: ["In place", "good"], unavailable: ["No room", "bad"],
  loaded: ["Loaded", "good"], unloaded: ["Unloaded", "quiet"], warned: ["Note", "warn"],
};

const shownCount = 12;
/** The latest first. */
let latest = [];

/** Follows events until the stream ends; `onEvent` is called with each that is new. */
export async function followEvents(onEvent) {
  const stream = await request("v1/events", { quietly: true });
  const start = performance.now();
  for await (const data of eventsOf(stream)) {
    const event = JSON.parse(data);
    const key = [event.time, event.kind, event.node, event.model, event.message].join(" ");
    // After a break the server tells the last ones again.
    if (latest.some((other) => other.key === key)) continue;
    if (event.kind === "lost") lost.add(event.node);
    if (event.kind === "joined") lost.delete(event.node);
    latest = [{ ...event, key }, ...latest].slice(0, shownCount);
    keep(byID("events"), latest, (other) => other.key, makeEvent, () => {});
    byID("events-note").hidden = true;
    // What comes at once happened before.
    const isNews = performance.now() - start > 500;
    if (isNews && event.kind !== "warned") announce(`${kinds[event.kind]?.[0] ?? event.kind}: ${about(event)}`);
    onEvent(event);
  }
}

/** The message with what it is about, which is not said twice. */
function about({ node, name, model, message }) {
  const subject = name ?? node ?? model;
  return !subject || message.startsWith(subject) ? message : `${subject}: ${message}`;
}

function makeEvent(event) {
  const time = new Date(event.time);
  const [word, tone] = kinds[event.kind] ?? [event.kind, "quiet"];
  return element(
    "li", { data: { tone }, title: event.name ? `Node ${event.node}` : null }, element("time", { datetime: event.time, text: time.toLocaleTimeString([], { hour12: false }) }),
    element("p", {}, element("span", { class: "kind", text: word }), ` ${about(event)}`));
}

"""#),
PageFile(path: "/page/markdown.js", type: "text/javascript; charset=utf-8", digest: "f044e5a98812f708", text: #"""
// The part of Markdown that models write, made into elements. The text itself is never read as HTML.
import { copyButton, element } from "./elements.js";

const FENCE = /^ {0,3}(`{3,}|~{3,})\s*([\w+#.-]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})\s+(.*?)\s*#*\s*$/;
const RULE = /^ {0,3}([-*_])(?:\s*\1){2,}\s*$/;
const QUOTE = /^ {0,3}> ?/;
const ITEM = /^(\s*)([-*+]|\d{1,9}[.)])(\s+|$)/;
const deepest = 6;

const isBlank = (line) => line.trim() === "";
const begins = (line) => FENCE.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || ITEM.test(line);

/** The blocks of a text, each with the source that it was made from. */
function blocks(lines, depth = 0) {
  const found = [];
  let at = 0;
  const take = (count, block) => {
    found.push({ ...block, source: lines.slice(at, at + count).join("\n") });
    at += count;
  };
  while (at < lines.length) {
    const line = lines[at];
    if (isBlank(line)) {
      at += 1;
      continue;
    }
    const fence = FENCE.exec(line);
    if (fence) {
      const isEnd = (other) => other.trim().startsWith(fence[1]) && other.trim().replaceAll(fence[1][0], "") === "";
      let end = at + 1;
      while (end < lines.length && !isEnd(lines[end])) end += 1;
      take(end - at + 1, { kind: "code", language: fence[2], text: lines.slice(at + 1, end).join("\n") });
      continue;
    }
    const heading = HEADING.exec(line);
    if (heading) take(1, { kind: "heading", level: heading[1].length, text: heading[2] });
    else if (RULE.test(line)) take(1, { kind: "rule" });
    else if (QUOTE.test(line) && depth < deepest) {
      const count = lengthWhile(lines, at, (other) => QUOTE.test(other));
      const inner = lines.slice(at, at + count).map((other) => other.replace(QUOTE, ""));
      take(count, { kind: "quote", blocks: blocks(inner, depth + 1) });
    } else if (ITEM.test(line) && depth < deepest) {
      const { count, list } = listAt(lines, at, depth);
      take(count, list);
    } else {
      const count = 1 + lengthWhile(lines, at + 1, (other) => !isBlank(other) && !begins(other));
      take(count, { kind: "paragraph", text: lines.slice(at, at + count).map((other) => other.trim()).join("\n") });
    }
  }
  return found;
}

function lengthWhile(lines, start, holds) {
  let end = start;
  while (end < lines.length && holds(lines[end])) end += 1;
  return end - start;
}

/** The list that begins at a line: its items' contents are blocks again. */
function listAt(lines, start, depth) {
  const [, indent, mark] = ITEM.exec(lines[start]);
  const isOrdered = /\d/.test(mark);
  const items = [];
  let end = start;
  let margin = 0;
  while (end < lines.length) {
    const line = lines[end];
    const item = ITEM.exec(line);
    const width = /^\s*/.exec(line)[0].length;
    if (item && item[1].length <= indent.length + 1) {
      if (/\d/.test(item[2]) !== isOrdered || RULE.test(line)) break;
      margin = item[0].length;
      items.push([line.slice(margin)]);
    } else if (isBlank(line)) {
      // What follows belongs to the list if it is an item or set in.
      const next = lines.slice(end + 1).find((other) => !isBlank(other));
      if (next === undefined || !(ITEM.test(next) || /^\s{2,}/.test(next))) break;
      items.at(-1).push("");
    } else if (width > indent.length || (!begins(line) && !isBlank(lines[end - 1]))) {
      items.at(-1).push(line.slice(Math.min(width, margin)));
    } else break;
    end += 1;
  }
  const list = { kind: "list", isOrdered, start: parseInt(mark, 10), items: items.map((item) => blocks(item, depth + 1)) };
  return { count: end - start, list };
}

// MARK: Inside of a line

// What is enclosed is at most so long that a text full of marks stays cheap.
const INLINE = new RegExp(
  [
    String.raw`\\([\\\`*_{}[\]()#+.!>~|-])`,
    String.raw`(\`+)([\s\S]{1,1000}?)(?<!\`)\2(?!\`)`,
    String.raw`\*\*(?=\S)([\s\S]{0,1000}?\S)\*\*(?!\*)`,
    String.raw`(?<!\w)__(?=\S)([\s\S]{0,1000}?\S)__(?!\w)`,
    String.raw`\*(?=[^\s*])([\s\S]{0,1000}?[^\s*])\*(?!\*)`,
    String.raw`(?<!\w)_(?=[^\s_])([\s\S]{0,1000}?[^\s_])_(?!\w)`,
  ].join("|"), "g");

function inline(text, depth = 0) {
  const parts = [];
  let at = 0;
  for (const match of depth < deepest ? text.matchAll(INLINE) : []) {
    if (match.index > at) parts.push(text.slice(at, match.index));
    at = match.index + match[0].length;
    const [, escaped, , code, star, line, slanted, under] = match;
    if (escaped) parts.push(escaped);
    else if (code) parts.push(element("code", { text: code.replace(/^ (.*\S.*) $/s, "$1") }));
    else if (star ?? line) parts.push(element("strong", {}, ...inline(star ?? line, depth + 1)));
    else parts.push(element("em", {}, ...inline(slanted ?? under, depth + 1)));
  }
  if (at < text.length) parts.push(text.slice(at));
  return parts;
}

// MARK: Elements

function codeBlock(block) {
  const code = element("code", { text: block.text });
  const head = element("div", { class: "head" }, element("span", { text: block.language || "code" }), copyButton(() => code.textContent, "Copy the code"));
  return element("div", { class: "code" }, head, element("pre", { tabindex: "0", role: "region", "aria-label": "Code" }, code));
}

function build(block) {
  switch (block.kind) {
    case "code": return codeBlock(block);
    // The page has headings of its own above.
    case "heading": return element(`h${Math.min(6, block.level + 2)}`, {}, ...inline(block.text));
    case "rule": return element("hr");
    case "quote": return element("blockquote", {}, ...block.blocks.map(build));
    case "list": {
      const start = block.isOrdered && block.start !== 1 ? { start: block.start } : {};
      return element(block.isOrdered ? "ol" : "ul", start, ...block.items.map(listItem));
    }
    default: return element("p", {}, ...inline(block.text));
  }
}

/** An item of one line is no paragraph of its own. */
function listItem(parts) {
  return element("li", {}, ...parts.flatMap((part, index) => (index === 0 && part.kind === "paragraph" ? inline(part.text) : [build(part)])));
}

const sources = new WeakMap();

/** Shows a text that grows: what stays the same is left as it is. */
export function showMarkdown(container, text) {
  const wanted = blocks(text.split("\n"));
  wanted.forEach((block, index) => {
    const there = container.children[index];
    const source = `${block.kind} ${block.source}`;
    if (there && sources.get(there) === source) return;
    const pre = block.kind === "code" && there?.classList.contains("code") ? there.querySelector("pre code") : null;
    if (pre) {
      pre.textContent = block.text;
      there.querySelector(".head span").textContent = block.language || "code";
      sources.set(there, source);
      return;
    }
    const made = build(block);
    sources.set(made, source);
    if (there) there.replaceWith(made); else container.append(made);
  });
  while (container.children.length > wanted.length) container.lastElementChild.remove();
}

"""#),
PageFile(path: "/page/network.js", type: "text/javascript; charset=utf-8", digest: "f350f1a0dc33db95", text: #"""
// The peers' network, and how a machine is added, with one or without.
import { json, Refusal, text } from "./api.js";
import { byID, copyButton, element, keep, setCut, setText, shortID } from "./elements.js";

const place = byID("network");
const hidden = "\u2022".repeat(12);

let shown = null;
/** The network's token, once it was asked for. */
let token = null;

/** Shows the network where there is one, else how workers are added by address. */
export async function showNetwork(hasNetwork) {
  if (!hasNetwork) {
    if (shown !== "none") place.replaceChildren(...byAddress());
    shown = "none";
    return;
  }
  const { network } = await json("api/p2p", { quietly: true });
  if (shown !== "network") {
    place.replaceChildren(
      element("dl", { class: "facts" }), element("p", { class: "hint", id: "peers-note" }), element("ul", { class: "cards", id: "peers", "aria-label": "Nodes of the network" }),
      element("h3", { text: "Add a machine" }), ...command(network.worker_command));
    shown = "network";
  }
  showFacts(network);
  keep(byID("peers"), network.nodes, (node) => node.id, makePeer, showPeer);
  const note = byID("peers-note");
  note.hidden = network.nodes.length > 0;
  setText(note, "No other machine is there yet. Run the command below on one: it is listed here seconds later.");
}

let isKnownToBeNone = false;

/** Shows the network, if there is one, while the server does not say whether there is: a model may take minutes to load. */
export async function showNetworkIfAny() {
  if (isKnownToBeNone) return;
  try {
    await showNetwork(true);
  } catch (error) {
    if (!(error instanceof Refusal) || error.status !== 404) throw error;
    isKnownToBeNone = true;
  }
}

function showFacts(network) {
  const online = network.nodes.filter((node) => node.is_online).length;
  const facts = [
    ["Network", network.id ?? "without a name"], ["This node", shortID(network.node_id)], ["Since", new Date(network.start_time).toLocaleString()],
    ["Others", `${online} of ${network.nodes.length} online`],
  ];
  const list = place.querySelector(".facts");
  if (!list.children.length) {
    for (const [name] of facts) list.append(element("dt", { text: name }), element("dd", { class: name === "This node" ? "id" : "" }));
  }
  facts.forEach(([, value], index) => setText(list.children[index * 2 + 1], value));
  list.children[3].title = network.node_id;
}

function makePeer(node) {
  return element(
    "li", { class: "card" },
    element(
      "div", { class: "top" }, element("span", { class: "name" }),
      element("span", { class: "state" }, element("span", { class: "dot", "aria-hidden": "true" }), element("span", { class: "word" }))),
    element("p", { class: "reason" }),
    element("dl", { class: "facts" }, ...["Role", "Version", "Devices", "Addresses", "Id", "Last seen"].flatMap((name) => [
      element("dt", { text: name }), element("dd", { class: name === "Id" ? "id" : "" }),
    ])));
}

function showPeer(card, node) {
  setCut(card.querySelector(".name"), node.name);
  const [word, tone] = !node.is_online ? ["Offline", "bad"] : node.reason ? ["Not used", "warn"] : ["Online", "good"];
  card.querySelector(".state").dataset.tone = tone;
  setText(card.querySelector(".word"), word);
  const reason = card.querySelector(".reason");
  setText(reason, node.reason ?? "");
  reason.hidden = !node.reason;
  const values = [
    { head: "Head", worker: "Worker", tunnel: "Tunnel" }[node.role] ?? node.role, node.version, node.devices, node.addresses.join(", "),
    shortID(node.id), new Date(node.last_seen).toLocaleTimeString([], { hour12: false }),
  ];
  card.querySelectorAll("dd").forEach((cell, index) => {
    setText(cell, values[index]);
    // What a node did not say takes no room.
    cell.hidden = cell.previousElementSibling.hidden = !values[index];
    if (cell.className === "id") cell.title = node.id;
  });
}

// MARK: Adding a machine

function commandBox(title, code, copy) {
  return element("div", { class: "code command" }, element("div", { class: "head" }, element("span", { text: title }), copy), element("pre", {}, code));
}

/** A line for a terminal, which is broken between words only, unless one is longer than any place for it. */
function showLine(code, line) {
  const words = line.split(" ").flatMap((word) => [" ", word.length > 32 ? word : element("span", { class: "word", text: word })]);
  code.replaceChildren(...words.slice(1));
}

/** The line that adds a machine; its token is not shown before somebody wants to see it. */
function command(line) {
  const code = element("code");
  const problem = element("p", { class: "hint", role: "alert" });
  const show = element("button", { type: "button", class: "small", "aria-pressed": "false", text: "Show the token" });
  const whole = (secret) => `${line} --p2p-token ${secret}`;
  const draw = (isShown) => {
    showLine(code, whole(isShown ? token : hidden));
    show.setAttribute("aria-pressed", String(isShown));
    show.textContent = isShown ? "Hide the token" : "Show the token";
  };
  const read = async () => {
    problem.textContent = "";
    try {
      token ??= (await text("api/p2p/token", { kind: "admin" })).trim();
      return true;
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      problem.textContent = error.message;
      return false;
    }
  };
  show.addEventListener("click", async () => {
    const isShown = show.getAttribute("aria-pressed") === "true";
    if (isShown) draw(false); else if (await read()) draw(true);
  });
  const copy = copyButton(async () => ((await read()) ? whole(token) : null), "Copy the command with the token");
  draw(false);
  return [
    element("p", { text: "Run this on another machine. It finds this one by itself, and what they say to each other is encrypted." }),
    commandBox("On the other machine", code, copy), element("div", { class: "row" }, show), problem,
    element("p", { class: "hint", text: "Whoever has the token can join the network: hand it on as you would a password." }),
    element(
      "p", { class: "hint" }, "Does it not appear? Where multicast does not get through, give the worker a port ",
      "(", element("code", { text: "--p2p-port 7001" }), ") and start this server with ", element("code", { text: "--p2p-peer ITS_ADDRESS:7001" }), "."),
  ];
}

function byAddress() {
  const box = (title, line) => {
    const code = element("code");
    showLine(code, line);
    return commandBox(title, code, copyButton(() => code.textContent, `Copy the command: ${title}`));
  };
  return [
    element("p", { text: "This server is part of no peers' network: it knows its workers by their addresses. To add a machine, start a worker there:" }),
    box("On the other machine", "swiftlet worker --host ITS_ADDRESS --allow THIS_ADDRESS --cache"),
    element("p", { text: "Then start this server with that address among its workers:" }),
    box("Here", "swiftlet serve --model MODEL.gguf --workers ITS_ADDRESS"),
    element("p", { class: "hint", text: "What goes between them is not encrypted; keep it in a network that you trust." }),
  ];
}

"""#),
PageFile(path: "/page/style.css", type: "text/css; charset=utf-8", digest: "6fd4ebd3b224ea06", text: #"""
/* Colours: each pair of text and ground below has a contrast of 4.5 or more, borders of controls 3 or more. */
:root {
  color-scheme: light dark;
  --ground: #f6f6f3;
  --surface: #ffffff;
  --raised: #efefea;
  --text: #1c1e20;
  --soft: #595f65;
  --line: #dcdcd5;
  --edge: #85888b;
  --accent: #0b5c86;
  --on-accent: #ffffff;
  --mine: #e4eef4;
  --good: #1b7038;
  --warn: #855300;
  --bad: #b02a1f;
  --code: #f1f1ec;
  --used: #b9bcb8;
  --mono: ui-monospace, "SF Mono", "Cascadia Mono", "DejaVu Sans Mono", Menlo, Consolas, monospace;
}

@media (prefers-color-scheme: dark) {
  :root {
    --ground: #141618;
    --surface: #1c1f22;
    --raised: #272b2f;
    --text: #e7e8e6;
    --soft: #a3a9af;
    --line: #30353a;
    --edge: #767c83;
    --accent: #79bbe4;
    --on-accent: #0c1a24;
    --mine: #20323f;
    --good: #74c98d;
    --warn: #e2b557;
    --bad: #ff9489;
    --code: #121416;
    --used: #565c62;
  }
}

*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
html { height: 100%; -webkit-text-size-adjust: 100%; }

body {
  margin: 0;
  height: 100%;
  display: grid;
  grid-template: auto minmax(0, 1fr) / minmax(0, 1fr) clamp(20rem, 34vw, 27rem);
  grid-template-areas: "header header" "chat aside";
  background: var(--ground);
  color: var(--text);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif;
}

h1, h2, h3, p, ul, ol { margin: 0; padding: 0; }
ul, ol { list-style: none; }
h1 { font-size: 1.05rem; font-weight: 650; display: flex; align-items: center; gap: .6rem; }
h2 { font-size: 1rem; font-weight: 650; }
h3 { font-size: .875rem; font-weight: 650; margin: 1.25rem 0 .5rem; }
code, kbd, pre { font-family: var(--mono); }
.hint { color: var(--soft); font-size: .8125rem; }
.hint code { font-size: .95em; }
.row { display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; }

.unseen:not(:focus):not(:active) {
  position: absolute; width: 1px; height: 1px; margin: -1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap;
}
.skip { position: absolute; left: .5rem; top: -4rem; z-index: 2; padding: .5rem .75rem; background: var(--surface); color: var(--accent); border-radius: .5rem; }
.skip:focus { top: .5rem; }

:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
.scroller:focus-visible { outline-offset: -3px; border-radius: .5rem; }
.scroller { overflow-y: auto; overscroll-behavior: contain; scrollbar-gutter: stable; scrollbar-width: thin; scrollbar-color: var(--edge) transparent; }

/* Controls */
button, select, textarea, input { font: inherit; color: inherit; }
button, select {
  min-height: 2.25rem; padding: .3rem .8rem; border: 1px solid var(--edge); border-radius: .5rem;
  background: var(--surface); cursor: pointer;
}
button:hover { background: var(--raised); }
button.strong { background: var(--accent); border-color: var(--accent); color: var(--on-accent); font-weight: 600; }
button.strong:hover { filter: brightness(1.08); }
button.quiet { border-color: transparent; background: transparent; color: var(--accent); }
button.quiet:hover { background: var(--raised); }
button.small { min-height: 1.75rem; padding: .1rem .6rem; font-size: .8125rem; }
button:disabled { opacity: .55; cursor: default; }
textarea, input {
  width: 100%; padding: .55rem .8rem; border: 1px solid var(--edge); border-radius: .6rem; background: var(--surface);
}
::placeholder { color: var(--soft); opacity: 1; }

/* Header and views */
header { grid-area: header; display: flex; align-items: center; gap: 1rem; padding: 0 1.25rem; min-height: 3.5rem; background: var(--surface); border-bottom: 1px solid var(--line); }
header #key-button { margin-left: auto; }
nav { display: none; }
.state { display: inline-flex; align-items: center; gap: .45rem; font-size: .8125rem; color: var(--soft); min-width: 0; }
.state .dot { flex: none; width: .6rem; height: .6rem; border-radius: 50%; background: var(--edge); }
.state[data-tone="good"] .dot { background: var(--good); }
.state[data-tone="warn"] .dot { background: var(--warn); }
.state[data-tone="bad"] .dot { background: var(--bad); border-radius: 1px; }
.state[data-tone="good"] { color: var(--good); }
.state[data-tone="warn"] { color: var(--warn); }
.state[data-tone="bad"] { color: var(--bad); }

/* Chat */
main { grid-area: chat; display: flex; flex-direction: column; min-width: 0; }
main > * { width: 100%; max-width: 54rem; margin-inline: auto; padding-inline: 1.25rem; }
.bar { display: flex; align-items: center; justify-content: space-between; gap: .75rem; padding-block: .75rem; }
#model { max-width: 100%; min-width: 0; text-overflow: ellipsis; }
.bar button { flex: none; }
#log { flex: 1; min-height: 0; }
#notice { width: calc(100% - 2.5rem); max-width: 51.5rem; margin-bottom: .6rem; padding: .55rem .9rem; border: 1px solid currentColor; border-radius: .6rem; font-size: .875rem; overflow-wrap: anywhere; }
#notice[data-tone="warn"] { color: var(--warn); }
#notice[data-tone="bad"] { color: var(--bad); }
#welcome { display: grid; place-content: center; text-align: center; height: 100%; color: var(--soft); gap: .35rem; }
#welcome .large { font-size: 1.35rem; color: var(--text); }
#composer { display: flex; align-items: flex-end; gap: .6rem; padding-block: .6rem .4rem; }
#question { resize: none; min-height: 2.75rem; max-height: 12rem; field-sizing: content; line-height: 1.45; }
#send { min-height: 2.75rem; width: 5rem; flex: none; }
#keys { padding-bottom: .85rem; }
kbd { font-size: .75rem; padding: .05rem .35rem; border: 1px solid var(--line); border-radius: .3rem; background: var(--surface); }

.message { padding-block: .5rem; }
.message .text { overflow-wrap: anywhere; }
.message.mine { display: flex; justify-content: flex-end; }
.message.mine .text { max-width: 85%; padding: .55rem .9rem; border-radius: 1rem 1rem .3rem 1rem; background: var(--mine); white-space: pre-wrap; }
.message .foot { min-height: 1.5rem; margin-top: .25rem; font-size: .8125rem; color: var(--soft); font-variant-numeric: tabular-nums; }
.message .waiting::after { content: "…"; animation: breathe 1.2s ease-in-out infinite; }
.message .error { padding: .6rem .9rem; border: 1px solid var(--bad); border-radius: .6rem; color: var(--bad); margin-top: .5rem; display: flex; flex-wrap: wrap; gap: .5rem; align-items: center; justify-content: space-between; }
@keyframes breathe { 50% { opacity: .25; } }

.markdown :is(p, li) { white-space: pre-line; }
.markdown > * + * { margin-top: .7rem; }
.markdown :is(h3, h4, h5, h6) { font-size: 1rem; font-weight: 650; margin: 1rem 0 0; }
.markdown h3 { font-size: 1.125rem; }
.markdown :is(ul, ol) { padding-left: 1.5rem; }
.markdown ul { list-style: disc; }
.markdown ol { list-style: decimal; }
.markdown li > :is(ul, ol) { margin-top: .2rem; }
.markdown blockquote { margin: 0; margin-top: .7rem; padding-left: .9rem; border-left: 3px solid var(--line); color: var(--soft); }
.markdown hr { border: 0; border-top: 1px solid var(--line); }
.markdown :not(pre) > code { padding: .1rem .3rem; border-radius: .3rem; background: var(--raised); font-size: .875em; }
.code { border: 1px solid var(--line); border-radius: .6rem; background: var(--code); overflow: hidden; }
.code .head { display: flex; justify-content: space-between; align-items: center; padding: .2rem .3rem .2rem .8rem; border-bottom: 1px solid var(--line); font-size: .75rem; color: var(--soft); }
.code pre { margin: 0; padding: .7rem .8rem; overflow-x: auto; font-size: .8125rem; line-height: 1.5; }

/* Machines, events, network */
aside { grid-area: aside; padding: 1.1rem 1.1rem 1.5rem; background: var(--surface); border-left: 1px solid var(--line); min-width: 0; }
aside section + section { margin-top: 1.75rem; padding-top: 1.25rem; border-top: 1px solid var(--line); }
aside h2 { margin-bottom: .6rem; }
#machines-note { margin-bottom: .6rem; }
.cards { display: grid; grid-template-columns: minmax(0, 1fr); gap: .6rem; }
.card { padding: .75rem .85rem; border: 1px solid var(--line); border-radius: .7rem; background: var(--ground); }
.card .top { display: flex; justify-content: space-between; align-items: baseline; gap: .75rem; }
.card .name { font-weight: 600; font-size: .9375rem; }
.cut { min-width: 0; overflow: hidden; text-overflow: ellipsis; white-space: nowrap; }
.card .state { flex: none; }
.card .place { font-size: .75rem; color: var(--soft); font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.card .reason { font-size: .8125rem; color: var(--soft); overflow-wrap: anywhere; }
.device { margin-top: .5rem; font-size: .8125rem; }
.device .top { align-items: center; }
.device .what { color: var(--soft); }
.meter { display: flex; height: .5rem; margin: .3rem 0; border-radius: .25rem; background: var(--raised); box-shadow: inset 0 0 0 1px var(--line); overflow: hidden; }
.meter span { width: 0; transition: width .4s ease; }
.meter .used { background: var(--used); }
.meter .model { background: var(--accent); }
.figures { display: grid; grid-template-columns: 1.15fr 1fr 1fr .9fr; gap: .1rem .5rem; margin: .6rem 0 0; font-size: .8125rem; font-variant-numeric: tabular-nums; }
.figures dt { color: var(--soft); font-size: .75rem; grid-row: 1; }
.figures dd { margin: 0; grid-row: 2; white-space: nowrap; }

#events { display: grid; gap: .45rem; font-size: .8125rem; }
#events li { display: grid; grid-template-columns: 4.2rem minmax(0, 1fr); gap: .6rem; }
#events time { color: var(--soft); font-variant-numeric: tabular-nums; }
#events .kind { font-weight: 600; }
#events [data-tone="bad"] .kind { color: var(--bad); }
#events [data-tone="warn"] .kind { color: var(--warn); }
#events [data-tone="good"] .kind { color: var(--good); }
#events p { overflow-wrap: anywhere; }

#network { display: grid; grid-template-columns: minmax(0, 1fr); gap: .7rem; font-size: .875rem; }
#network h3 { margin: .4rem 0 -.2rem; }
.facts { display: grid; grid-template-columns: auto minmax(0, 1fr); align-items: baseline; gap: .2rem .9rem; margin: 0; font-size: .8125rem; }
.facts dt { color: var(--soft); }
.facts dd { margin: 0; overflow-wrap: anywhere; }
.facts .id { font-family: var(--mono); font-size: .9em; }
.card .facts { margin-top: .45rem; }
.command .word { white-space: nowrap; }
.command pre { white-space: pre-wrap; overflow-wrap: anywhere; }

/* Key */
dialog { width: min(26rem, calc(100vw - 2rem)); padding: 1.25rem; border: 1px solid var(--line); border-radius: .9rem; background: var(--surface); color: inherit; box-shadow: 0 1rem 3rem rgb(0 0 0 / .25); }
dialog::backdrop { background: rgb(0 0 0 / .4); }
#key-form { display: grid; gap: .6rem; }
#key-form label { font-size: .875rem; font-weight: 600; margin-bottom: -.3rem; }
#key-reason { font-size: .9rem; }

@media (max-width: 52rem) {
  body { grid-template: auto auto minmax(0, 1fr) / minmax(0, 1fr); grid-template-areas: "header" "nav" "chat"; }
  aside { grid-area: chat; border-left: 0; background: var(--ground); padding-inline: 1rem; }
  .card { background: var(--surface); }
  nav { grid-area: nav; display: grid; grid-template-columns: repeat(3, 1fr); background: var(--surface); border-bottom: 1px solid var(--line); }
  nav button { border: 0; border-radius: 0; min-height: 2.75rem; background: none; color: var(--soft); border-bottom: 2px solid transparent; }
  nav button[aria-current="true"] { color: var(--accent); border-bottom-color: var(--accent); font-weight: 600; }
  nav button:focus-visible { outline-offset: -3px; }
  header { padding-inline: 1rem; min-height: 3.25rem; }
  main > * { padding-inline: 1rem; }
  body[data-view="chat"] aside, body:not([data-view="chat"]) main { display: none; }
  body[data-view="machines"] [data-part="network"], body[data-view="network"] [data-part="machines"] { display: none; }
  aside section + section { margin-top: 0; padding-top: 0; border-top: 0; }
  #composer { padding-bottom: .8rem; }
  /* There are no such keys on most phones, and little room. */
  #keys { display: none; }
}

@media (prefers-reduced-motion: reduce) {
  *, *::before, *::after { animation: none !important; transition: none !important; scroll-behavior: auto !important; }
}

@media (forced-colors: active) {
  .meter .model { background: Highlight; forced-color-adjust: none; }
  .state .dot { background: CanvasText; }
}

"""#),
    ]
}
