// Saving to the browser's storage, which may be full: the person learns of it, and the page goes on.

import { toast } from "./dom.js";
import { saveSettings } from "./store.js";

/** Save a conversation, unless it was deleted; report a storage that is full. */
export function keepSafe(each) {
  if (each.gone) return false;
  try {
    each.save();
    return true;
  } catch {
    toast("The browser's storage is full: this conversation is not kept. Delete old ones.");
    return false;
  }
}

export function keepSettingsSafe(values) {
  try {
    saveSettings(values);
  } catch {
    toast("The browser's storage is full: the settings are not kept. Delete old conversations.");
  }
}
