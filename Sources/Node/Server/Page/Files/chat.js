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
