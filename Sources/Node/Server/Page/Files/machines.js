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
