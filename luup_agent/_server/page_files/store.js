// Conversations and settings in the browser's storage. A conversation is a tree: editing a message or asking again
// adds a branch, and nothing is lost.

const PREFIX = "luup.conversation.";
const SETTINGS = "luup.settings";

export function settings() {
  try {
    const found = JSON.parse(localStorage.getItem(SETTINGS) || "{}");
    return found && typeof found === "object" ? found : {};
  } catch {
    return {};
  }
}

export function saveSettings(values) {
  localStorage.setItem(SETTINGS, JSON.stringify(values));
}

const number = () => Math.random().toString(36).slice(2, 10) + Date.now().toString(36);

export class Conversation {
  constructor(values = {}) {
    this.id = values.id || number();
    this.title = values.title || "";
    this.updated = values.updated || Date.now();
    this.nodes = values.nodes || [];
    this.leaf = values.leaf || null;
  }

  node(id) {
    return this.nodes.find((each) => each.id === id) || null;
  }

  /** Add a message behind the one with the id `parent`, and go there. */
  add(parent, values) {
    const made = { id: number(), parent, ...values };
    this.nodes.push(made);
    this.leaf = made.id;
    return made;
  }

  /** The messages from the first one to the current one. */
  path() {
    const found = [];
    for (let at = this.node(this.leaf); at; at = this.node(at.parent)) found.unshift(at);
    return found;
  }

  siblings(node) {
    return this.nodes.filter((each) => each.parent === node.parent && each.role === node.role);
  }

  /** Go to the newest message of the branch that begins with a message. */
  show(node) {
    let at = node;
    for (;;) {
      const next = this.nodes.filter((each) => each.parent === at.id).pop();
      if (!next) break;
      at = next;
    }
    this.leaf = at.id;
  }

  /** The text of the conversation, for the search. */
  text() {
    return [this.title, ...this.nodes.map((each) => each.text || (each.parts || []).map((part) => part.text || "").join(" "))].join("\n").toLowerCase();
  }

  save() {
    this.updated = Date.now();
    const { id, title, updated, nodes, leaf } = this;
    localStorage.setItem(PREFIX + id, JSON.stringify({ id, title, updated, nodes, leaf }));
  }

  remove() {
    localStorage.removeItem(PREFIX + this.id);
  }
}

function read(key) {
  try {
    const values = JSON.parse(localStorage.getItem(key));
    return values && Array.isArray(values.nodes) && typeof values.id === "string" ? new Conversation(values) : null;
  } catch {
    return null; // damaged, or of another version: it stays in the storage, and is not shown
  }
}

export function load(id) {
  return read(PREFIX + id);
}

/** All conversations, the newest first. */
export function all() {
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

export const isConversation = (key) => key !== null && key.startsWith(PREFIX);
