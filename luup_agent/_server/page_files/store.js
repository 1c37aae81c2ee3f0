// Where conversations are kept: on the server, which every device sees, or in this browser if the server keeps none.

import { request } from "./api.js";
import { contentOf, Conversation, textOfAll } from "./tree.js";
import { forget, forgetAll, remember, unsent } from "./unsent.js";

const PREFIX = "luup.conversation.";
const PLACE = "luup.place."; // the branch of a conversation that this browser shows

// -- in the browser ----------------------------------------------------------------------------------------------------

function read(key) {
  try {
    const values = JSON.parse(localStorage.getItem(key));
    if (!values || !Array.isArray(values.nodes) || typeof values.id !== "string") return null;
    return new Conversation({ ...values, nodes: values.nodes.map(ended), stored: true });
  } catch {
    return null; // damaged, or of another version: it stays in the storage, and is not shown
  }
}

/** An answer that is not complete: its page was closed, or is still receiving it. */
function ended(node) {
  return node.role === "assistant" && !node.ended ? { ...node, ended: true, finish: "away" } : node;
}

export class BrowserStore {
  place = "browser";

  all() {
    const found = [];
    for (let index = 0; index < localStorage.length; index += 1) {
      const key = localStorage.key(index);
      if (key.startsWith(PREFIX)) {
        const one = read(key);
        if (one) found.push(one);
      }
    }
    return found.sort((a, b) => b.updated - a.updated);
  }

  async list(search, limit) {
    const words = search.toLowerCase().split(/\s+/).filter(Boolean);
    const found = this.all().filter((each) => {
      const text = words.length ? textOfAll(each) : "";
      return words.every((word) => text.includes(word));
    });
    return { found: found.slice(0, limit), more: found.length > limit };
  }

  async load(id) {
    return read(PREFIX + id);
  }

  /** Keep a conversation; throws if the storage is full. */
  async keep(one) {
    one.updated = Date.now();
    const { id, title, updated, nodes, leaf } = one;
    localStorage.setItem(PREFIX + id, JSON.stringify({ id, title, updated, nodes, leaf }));
    one.stored = true;
  }

  keepAtEnd(one) {
    if (one) this.keep(one).catch(() => {});
  }

  async keepPlace(one) {
    await this.keep(one);
  }

  async rename(id, title) {
    const one = read(PREFIX + id);
    if (one) {
      one.title = title;
      await this.keep(one);
    }
  }

  /** Remove a conversation; return what brings it back. */
  async remove(id) {
    const text = localStorage.getItem(PREFIX + id);
    localStorage.removeItem(PREFIX + id);
    return async () => localStorage.setItem(PREFIX + id, text);
  }

  async branch(one, node) {
    const made = copyOfPath(one, node);
    await this.keep(made);
    return made;
  }

  watch(changed) {
    window.addEventListener("storage", (event) => {
      if (event.key?.startsWith(PREFIX)) changed(event.key.slice(PREFIX.length), event.newValue === null);
    });
  }
}

function copyOfPath(one, node) {
  const made = new Conversation({ title: one.title });
  const before = one.leaf;
  one.leaf = node.id;
  for (const each of one.path()) made.nodes.push(structuredClone(each));
  one.leaf = before;
  made.leaf = node.id;
  return made;
}

// -- on the server -----------------------------------------------------------------------------------------------------

const CHECK_SECONDS = 15;
const RESEND_SECONDS = 3; // after a reload: what the page sent before may still be on its way

export class ServerStore {
  place = "server";

  constructor() {
    this.channel = new BroadcastChannel("luup.sessions");
    this.saved = new Map(); // how many messages of an answer the server has, by the ids of conversation and answer
    this.queue = Promise.resolve(); // entries are stored in the order in which they came
    this.waiting = new Map(); // those that were not sent yet, by the ids of conversation and answer
    this.missing = new Map(); // those that were sent, and are not confirmed
    this.kept = new Set(); // the ids of those that were added since the page was loaded
  }

  async list(search, limit) {
    const query = new URLSearchParams({ limit: String(limit), ...(search ? { search } : {}) });
    const { data, has_more: more } = await request("GET", `v1/sessions?${query}`);
    return { found: data.map((each) => ({ id: each.id, title: each.title || each.id, updated: each.updated * 1000 })), more };
  }

  async load(id) {
    const values = await this.fetch(id);
    const left = unsent(id).filter(({ node }) => !this.kept.has(node.id));
    if (!values && !left.length) return null;
    const nodes = (values?.entries || []).map((entry) => this.nodeOf(id, entry));
    const title = values ? values.title || id : left[0].title; // a program's conversation may have its id only
    const one = new Conversation({ id, title, updated: values ? values.updated * 1000 : left[0].updated, nodes, stored: Boolean(values) });
    for (const node of left.map((each) => ended(each.node))) { // what this tab has is newer
      const at = nodes.findIndex((each) => each.id === node.id);
      nodes.splice(at < 0 ? nodes.length : at, at < 0 ? 0 : 1, node);
      this.missing.set(`${id} ${node.id}`, [one, node]);
    }
    if (left.length) setTimeout(() => this.retry(), RESEND_SECONDS * 1000);
    const place = localStorage.getItem(PLACE + id);
    if (one.node(place)) one.leaf = place;
    else if (nodes.length) one.leaf = nodes.reduce((last, each) => (each.at > last.at ? each : last), nodes[nodes.length - 1]).id;
    return one;
  }

  /** A conversation as the server has it; null for none. */
  async fetch(id) {
    try {
      return await request("GET", path(id));
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  }

  /** Send again what did not arrive, unless only the confirmation was lost. */
  async retry() {
    try {
      for (const one of new Set([...this.missing.values()].map(([each]) => each))) {
        const values = await this.fetch(one.id);
        one.stored = Boolean(values);
        for (const each of values?.entries || []) this.saved.set(`${one.id} ${each.id}`, each.messages.length);
        const mine = [...this.missing.values()].filter(([each]) => each === one);
        if (mine.length) await this.keep(...mine[mine.length - 1]); // the others go before it
      }
    } catch { // the server still can't be reached
    }
  }

  nodeOf(session, { messages, ...node }) {
    this.saved.set(`${session} ${node.id}`, messages.length);
    if (node.role === "user") {
      if (node.text === undefined) Object.assign(node, readContents(messages));
      return node;
    }
    if (!node.parts) Object.assign(node, { parts: partsOf(messages), ended: true, model: node.model || "" });
    return ended({ ...node, messages });
  }

  body(one, node) {
    const { messages = [], ...values } = node;
    const all = node.role === "user" ? [{ role: "user", content: contentOf(node) }] : messagesOf(node, messages);
    const key = `${one.id} ${node.id}`;
    const fresh = all.slice(this.saved.get(key) || 0);
    this.saved.set(key, all.length);
    const body = { entry: values, messages: fresh };
    if (!one.stored) Object.assign(body, { new: true, title: one.title });
    if (fresh.length && node.usage) body.usage = usageOf(node.usage);
    one.stored = true;
    if (one.leaf === node.id) localStorage.removeItem(PLACE + one.id); // the newest one is shown anyway
    return body;
  }

  keep(one, node) {
    if (!node) return this.queue;
    const key = `${one.id} ${node.id}`;
    this.waiting.set(key, [one, node]);
    this.kept.add(node.id);
    remember(one, node);
    const work = this.queue.catch(() => {}).then(async () => {
      this.waiting.delete(key);
      this.missing.set(key, [one, node]);
      let failure = null;
      for (const [other, entry] of [...this.missing.values()].filter(([each]) => each.id === one.id)) {
        try {
          await this.put(other, entry);
        } catch (error) {
          failure = error;
          if (!refused(error)) break; // the server can't be reached: the others neither
        }
      }
      if (failure) throw failure;
      if (!one.gone) this.tell(one.id);
    });
    this.queue = work;
    return work;
  }

  async put(one, node) {
    const key = `${one.id} ${node.id}`;
    const before = [one.stored, this.saved.get(key)];
    try {
      if (!one.gone) one.updated = (await this.post(one, node, 16384)).updated * 1000;
    } catch (error) {
      one.stored = before[0];
      this.saved.set(key, before[1] || 0);
      if (refused(error)) {
        this.missing.delete(key);
        forget(node);
      }
      throw error;
    }
    this.missing.delete(key);
    if (!this.waiting.has(key)) forget(node);
  }

  /** Send an entry, in a request that goes on behind a closed page if it has less than `most` bytes: browsers allow 64 KiB in all. */
  post(one, node, most) {
    const body = this.body(one, node);
    const keepalive = new Blob([JSON.stringify(body)]).size < most;
    return request("POST", `${path(one.id)}/entries`, body, { keepalive });
  }

  /** Keep what waits, and the answer that is being made, when the page is being closed; nobody waits for it. */
  keepAtEnd(one, node) {
    if (one) {
      this.waiting.set(`${one.id} ${node.id}`, [one, node]);
      remember(one, node);
    }
    for (const [each, entry] of this.waiting.values()) {
      if (!each.gone) this.post(each, entry, 60000).catch(() => {});
    }
    this.waiting.clear();
  }

  async keepPlace(one) {
    localStorage.setItem(PLACE + one.id, one.leaf);
  }

  async rename(id, title) {
    await request("PATCH", path(id), { title });
    this.tell(id);
  }

  async remove(id) {
    await this.queue.catch(() => {}); // what is under way would bring it back
    const one = await this.load(id);
    await request("DELETE", path(id));
    forgetAll(id);
    localStorage.removeItem(PLACE + id);
    this.tell(id, true);
    return async () => {
      if (!one) return;
      one.stored = false;
      for (const node of one.nodes) this.saved.delete(`${id} ${node.id}`);
      for (const node of one.nodes) await this.keep(one, node);
    };
  }

  async branch(one, node) {
    await this.queue.catch(() => {});
    const made = await request("POST", `${path(one.id)}/branch`, { entry: node.id });
    this.tell(made.id);
    return this.load(made.id);
  }

  tell(id, removed = false) {
    this.channel.postMessage({ id, removed });
  }

  watch(changed) {
    this.channel.addEventListener("message", ({ data }) => {
      if (data.removed) forgetAll(data.id);
      changed(data.id, data.removed);
    });
    const check = () => {
      this.retry();
      if (document.visibilityState === "visible") changed(null); // null: any of them, on another device
    };
    document.addEventListener("visibilitychange", check);
    window.addEventListener("focus", check);
    setInterval(check, CHECK_SECONDS * 1000);
  }
}

/** Whether the server would refuse the request the next time too. */
const refused = (error) => error.status >= 400 && error.status < 500;

const path = (id) => `v1/sessions/${encodeURIComponent(id)}`;

function usageOf({ prompt_tokens, completion_tokens, prompt_tokens_details, completion_tokens_details }) {
  const found = { prompt_tokens, completion_tokens };
  if (prompt_tokens_details) found.prompt_tokens_details = { cached_tokens: prompt_tokens_details.cached_tokens || 0 };
  if (completion_tokens_details) found.completion_tokens_details = { reasoning_tokens: completion_tokens_details.reasoning_tokens || 0 };
  return found;
}

/** The text and the pictures of messages that a program has stored. */
function readContents(messages) {
  const parts = messages.flatMap((each) => (Array.isArray(each.content) ? each.content : [{ type: "text", text: each.content }]));
  const pictures = parts.filter((part) => part.type === "image_url").map((part) => part.image_url.url);
  const text = parts.filter((part) => part.type === "text").map((part) => part.text).join("\n\n");
  return pictures.length ? { text, pictures } : { text };
}

/** The messages of an answer: those of an agent, or its text once it has ended. */
function messagesOf(node, messages) {
  if (messages.length || !node.ended) return messages;
  const text = node.parts.filter((part) => part.type === "text").map((part) => part.text).join("\n\n");
  const thoughts = node.parts.filter((part) => part.type === "thoughts").map((part) => part.text).join("");
  return text ? [{ role: "assistant", content: text, ...(thoughts ? { reasoning_content: thoughts } : {}) }] : [];
}

/** What an answer shows that a program has stored: thoughts, calls with their results, and text. */
function partsOf(messages) {
  const parts = [];
  for (const each of messages) {
    if (each.role === "tool") {
      const call = parts.find((part) => part.id === each.tool_call_id);
      if (call) call.content = each.content;
      continue;
    }
    if (each.reasoning_content) parts.push({ type: "thoughts", text: each.reasoning_content });
    if (each.content) parts.push({ type: "text", text: each.content });
    for (const call of each.tool_calls || []) {
      let values = {};
      try {
        values = JSON.parse(call.function.arguments);
      } catch { // shown without
      }
      parts.push({ type: "call", id: call.id, name: call.function.name, arguments: values });
    }
  }
  return parts;
}

// -- the one in use ----------------------------------------------------------------------------------------------------

export const inBrowser = new BrowserStore();
let used = inBrowser;

export const store = () => used;

/** Keep conversations on the server from now on. */
export function useServer() {
  if (used === inBrowser) used = new ServerStore();
  return used;
}
