// Typed results: a JSON object as a list of names and values, a list of objects as a table. All text is text nodes.

import { h } from "./dom.js";
import { highlight } from "./highlight.js";

const DEPTH = 8; // of values inside each other; deeper ones are shown as JSON
const ROWS = 500; // of a table; the JSON has the rest

/** Return the object, or the list of objects, that a text is; undefined for another text. */
export function typedValue(text) {
  const trimmed = text.trim();
  if (!/^[[{]/.test(trimmed)) return undefined;
  try {
    const value = JSON.parse(trimmed);
    if (Array.isArray(value)) return value.length && value.every(isObject) ? value : undefined;
    return isObject(value) && Object.keys(value).length ? value : undefined;
  } catch {
    return undefined; // not complete yet, or no JSON
  }
}

const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

/** Return a view of a typed result with buttons for the table and for the JSON text. */
export function typedView(value) {
  const json = h("pre", { tabindex: "0" }, h("code", {}, ...highlight(JSON.stringify(value, null, 2), "json")));
  const form = h("div", { class: "typed-form" }, shown(value, 0));
  const raw = h("div", { class: "code typed-json" }, json);
  const choices = [["Table", form], ["JSON", raw]].map(([label, view]) => ({ view, button: h("button", { type: "button", onclick: () => choose(view) }, label) }));
  const choose = (view) => {
    for (const each of choices) {
      each.view.hidden = each.view !== view;
      each.button.setAttribute("aria-pressed", String(each.view === view));
    }
  };
  choose(form);
  return h("div", { class: "typed" },
    h("div", { class: "typed-head", role: "group", "aria-label": "How the result is shown" }, ...choices.map((each) => each.button)), form, raw);
}

/** Return a view of any value. */
export function shown(value, depth = 0) {
  if (value === null || value === undefined) return h("span", { class: "faint" }, "none");
  if (typeof value === "boolean") return h("span", { class: value ? "yes" : "no" }, value ? "yes" : "no");
  if (typeof value === "number") return h("span", { class: "number" }, String(value));
  if (typeof value === "string") return value === "" ? h("span", { class: "faint" }, "empty") : h("span", { class: "string", dir: "auto" }, value);
  if (depth >= DEPTH) return h("code", {}, JSON.stringify(value));
  if (Array.isArray(value)) return list(value, depth);
  return names(value, depth);
}

function names(value, depth) {
  const entries = Object.entries(value);
  if (!entries.length) return h("span", { class: "faint" }, "empty");
  return h("dl", {}, ...entries.flatMap(([name, each]) => [
    h("dt", { title: name }, label(name)), h("dd", { class: isFlat(each) || isShort(each) ? null : "nested" }, shown(each, depth + 1)),
  ]));
}

const isFlat = (value) => value === null || typeof value !== "object";

/** Whether a value is a list that fits into a line or two. */
const isShort = (value) => Array.isArray(value) && value.every((each) => isFlat(each) && String(each).length < 30);

function list(values, depth) {
  if (!values.length) return h("span", { class: "faint" }, "none");
  if (values.length > 1 && values.every(isObject)) return table(values, depth);
  if (isShort(values)) {
    return h("ul", { class: "chips" }, ...values.map((each) => h("li", {}, shown(each, depth + 1))));
  }
  return h("ul", {}, ...values.map((each) => h("li", {}, shown(each, depth + 1))));
}

function table(rows, depth) {
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const isNumber = (name) => rows.every((row) => row[name] === undefined || row[name] === null || typeof row[name] === "number");
  const kinds = new Map(columns.map((name) => [name, isNumber(name) ? "right" : null]));
  const cell = (row, name) => h("td", { class: kinds.get(name) }, row[name] === undefined ? "" : shown(row[name], depth + 1));
  const more = rows.length - ROWS;
  return h("div", { class: "table", tabindex: "0", role: "region", "aria-label": `A table of ${rows.length} rows` },
    h("table", {},
      h("thead", {}, h("tr", {}, ...columns.map((name) => h("th", { scope: "col", class: kinds.get(name), title: name }, label(name))))),
      h("tbody", {}, ...rows.slice(0, ROWS).map((row) => h("tr", {}, ...columns.map((name) => cell(row, name)))))),
    more > 0 ? h("p", { class: "faint" }, `and ${more} more rows: see the JSON`) : null);
}

/** Return a name of a field as people write it: "in_print" and "inPrint" become "In print". */
function label(name) {
  const words = name.replace(/_+/g, " ").replace(/([a-z\d])([A-Z])/g, (_, before, after) => `${before} ${after.toLowerCase()}`).trim();
  return words ? words[0].toUpperCase() + words.slice(1) : name;
}
