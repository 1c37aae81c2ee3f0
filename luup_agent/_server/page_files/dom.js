// Makes elements. Text is always a text node: nothing here parses HTML.

export const $ = (id) => document.getElementById(id);

/** Make an element with attributes, listeners (`onclick`) and children: nodes, texts, or null for none. */
export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

export function button(label, name, onclick, extra = {}) {
  const { class: more = "", ...rest } = extra;
  return h("button", { type: "button", class: `tool ${more}`.trim(), "aria-label": label, title: label, onclick, ...rest }, icon(name));
}

/** Copy a text, and show on the button that it was copied. */
export async function copy(text, from) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = h("textarea", { class: "hidden" }); // without https there is no clipboard API
    area.value = text;
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
    from.focus();
  }
  const before = [...from.childNodes];
  from.replaceChildren(icon("check"));
  from.classList.add("done");
  setTimeout(() => {
    from.replaceChildren(...before);
    from.classList.remove("done");
  }, 1200);
}

/** Have a screen reader say a text, once. */
export function announce(text) {
  $("announcer").textContent = text;
}

/** Show a short message, with a button if there is an `action`. */
export function toast(text, action) {
  for (const each of [...$("toasts").children]) { // the same one again takes its place
    if (each.firstChild.textContent === text) each.remove();
  }
  const box = h("div", { class: "toast" }, h("span", {}, text));
  const close = () => box.remove();
  if (action) {
    box.append(h("button", { type: "button", class: "quiet", onclick: () => { close(); action.run(); } }, action.label));
  }
  $("toasts").append(box);
  setTimeout(close, action ? 8000 : 5000);
}
