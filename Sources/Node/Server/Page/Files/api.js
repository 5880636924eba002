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
