// The settings of this browser.

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
