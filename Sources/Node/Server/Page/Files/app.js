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
