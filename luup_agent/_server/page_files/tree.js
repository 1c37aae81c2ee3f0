// A conversation: a tree of messages. Editing one or asking again adds a branch, and nothing is lost.

export const number = () => Math.random().toString(36).slice(2, 10) + Date.now().toString(36);

export class Conversation {
  constructor(values = {}) {
    this.id = values.id || number();
    this.title = values.title || "";
    this.updated = values.updated || Date.now();
    this.nodes = values.nodes || [];
    this.leaf = values.leaf || null;
    this.stored = values.stored || false; // whether a storage has it already
  }

  node(id) {
    return this.nodes.find((each) => each.id === id) || null;
  }

  /** Add a message behind the one with the id `parent`, and go there. */
  add(parent, values) {
    const made = { id: number(), parent, at: Date.now(), ...values };
    this.nodes.push(made);
    this.leaf = made.id;
    return made;
  }

  /** The messages from the first one to the current one. */
  path() {
    const found = [];
    for (let at = this.node(this.leaf); at && !found.includes(at); at = this.node(at.parent)) found.unshift(at);
    return found;
  }

  siblings(node) {
    return this.nodes.filter((each) => each.parent === node.parent);
  }

  /** Go to the newest message of the branch that begins with a message. */
  show(node) {
    let at = node;
    for (;;) {
      const next = this.nodes.filter((each) => each.parent === at.id && each !== at).pop();
      if (!next) break;
      at = next;
    }
    this.leaf = at.id;
  }

  /** Take what another window or device has added; return whether anything changed. */
  merge(fresh) {
    let changed = this.title !== fresh.title;
    this.title = fresh.title;
    this.updated = fresh.updated;
    const last = this.node(this.leaf);
    for (const node of fresh.nodes) {
      const mine = this.node(node.id);
      if (!mine) this.nodes.push(node);
      else if ((mine.ended === false || mine.finish === "away") && JSON.stringify(mine) !== JSON.stringify(node)) this.nodes[this.nodes.indexOf(mine)] = node;
      else continue;
      changed = true;
    }
    if (last) this.show(this.node(last.id));
    else if (fresh.leaf) this.leaf = fresh.leaf;
    return changed;
  }
}

/** The content of a person's message as the API takes it: a text, or its parts. */
export function contentOf(node) {
  if (!node.pictures?.length) return node.text;
  const pictures = node.pictures.map((url) => ({ type: "image_url", image_url: { url } }));
  return node.text ? [{ type: "text", text: node.text }, ...pictures] : pictures;
}

/** The text of a conversation, for the search in the browser. */
export function textOfAll(one) {
  const texts = one.nodes.map((each) => each.text || (each.parts || []).map((part) => part.text || "").join(" "));
  return [one.title, ...texts].join("\n").toLowerCase();
}
