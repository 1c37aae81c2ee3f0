// What the server has not confirmed yet: in the tab's storage, which survives a reload, until it has.

const PREFIX = "luup.unsent.";

export function remember(one, node) {
  const text = JSON.stringify({ id: one.id, title: one.title, updated: one.updated, node });
  try {
    sessionStorage.setItem(PREFIX + node.id, text);
  } catch {
    sessionStorage.removeItem(PREFIX + node.id); // no room: an older state of it would be wrong
  }
}

export function forget(node) {
  sessionStorage.removeItem(PREFIX + node.id);
}

/** Forget the messages of a conversation. */
export function forgetAll(id) {
  for (const each of unsent(id)) forget(each.node);
}

/** The messages of a conversation that were not confirmed, the oldest first, each with the conversation's title. */
export function unsent(id) {
  const found = [];
  for (const key of Object.keys(sessionStorage)) {
    if (!key.startsWith(PREFIX)) continue;
    try {
      const values = JSON.parse(sessionStorage.getItem(key));
      if (values.id === id && typeof values.node.id === "string") found.push(values);
    } catch {
      sessionStorage.removeItem(key); // damaged
    }
  }
  return found.sort((a, b) => a.node.at - b.node.at);
}
