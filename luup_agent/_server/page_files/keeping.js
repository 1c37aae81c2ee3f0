// Saving, which may fail: the person learns of it, and the page goes on.

import { toast } from "./dom.js";
import { saveSettings } from "./settings.js";
import { store } from "./store.js";

/** Save a conversation with a message that is new or has changed, unless it was deleted. */
export async function keepSafe(one, node) {
  if (one.gone) return;
  try {
    await store().keep(one, node);
  } catch (error) {
    report(error, one);
  }
}

export async function keepPlaceSafe(one) {
  try {
    await store().keepPlace(one);
  } catch (error) {
    report(error, one);
  }
}

function report(error, one) {
  if (one.gone) return;
  if (error.status === 404) {
    one.gone = true;
    toast("This conversation was deleted in another window. What you write here is not kept.");
  } else if (error.status === 413) {
    toast("This message is too large for the server: it is not kept.");
  } else if (error instanceof TypeError) {
    toast("The server can't be reached. It gets what it has not kept when it is back.");
  } else if (error.status !== undefined) {
    toast(`The server did not keep this message: ${error.message}`);
  } else {
    toast("The browser's storage is full: this conversation is not kept. Delete old ones.");
  }
}

export function keepSettingsSafe(values) {
  try {
    saveSettings(values);
  } catch {
    toast("The browser's storage is full: the settings are not kept. Delete old conversations.");
  }
}
