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
