// Questions of an MCP server while one of its tools runs: a form that a person fills in, or a page to visit.

import { h } from "./dom.js";

const TYPES = { email: "email", uri: "url", date: "date", "date-time": "datetime-local" };
const CLOSED = { accept: "You answered.", decline: "You declined to answer.", cancel: "You closed the question." };

/** Show a question; `reply(part, action, content)` sends what the person says. */
export function questionView(part, reply) {
  const state = h("p", { class: "faint" });
  const problem = h("p", { class: "notice error", role: "alert", hidden: true });
  const fields = part.url ? [] : Object.entries(part.schema?.properties || {}).map(([name, schema]) => field(name, schema || {}, (part.schema.required || []).includes(name)));
  const send = async (action, content) => {
    problem.hidden = true;
    for (const each of form.querySelectorAll("button")) each.disabled = true;
    try {
      await reply(part, action, content);
    } catch (error) {
      problem.textContent = error.message;
      problem.hidden = false;
    }
    for (const each of form.querySelectorAll("button")) each.disabled = false;
    draw();
  };
  const form = h("form", { class: "question-form", onsubmit: (event) => {
    event.preventDefault();
    send("accept", part.url ? undefined : Object.fromEntries(fields.map((each) => [each.name, each.value()]).filter(([, value]) => value !== undefined)));
  } },
  part.url ? link(part.url) : null, ...fields.map((each) => each.element), problem,
  h("div", { class: "ask-tools" },
    h("button", { type: "button", class: "quiet", onclick: () => send("decline") }, "Decline"),
    h("button", { type: "submit", class: "primary" }, part.url ? "Done" : "Send")));
  const element = h("section", { class: "question", role: "group", "aria-label": `A question of ${part.server}` },
    h("p", { class: "question-from" }, `${part.server} asks`), h("p", { class: "question-text", dir: "auto" }, part.message), form, state);
  let live = true;
  const draw = () => {
    const open = live && part.reply === undefined;
    form.hidden = !open;
    state.hidden = open;
    state.textContent = CLOSED[part.reply] || "Nobody answered.";
    element.dataset.state = open ? "asks" : "closed";
  };
  return { element, update: (_, now) => {
    live = now;
    draw();
  } };
}

function link(url) {
  if (!/^https?:\/\//i.test(url)) return h("p", {}, h("code", {}, url));
  return h("p", {}, h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, url));
}

/** A field of a form: its name, its element, and what it says; undefined for nothing. */
function field(name, schema, required) {
  const text = schema.title || name;
  const about = schema.description ? h("small", { class: "faint" }, schema.description) : null;
  const wrap = (input) => h("label", { class: "form-row" }, h("span", {}, text, required ? "" : " (optional)"), input, about);
  if (schema.type === "boolean") {
    const input = h("input", { type: "checkbox", checked: schema.default === true });
    return { name, element: h("label", { class: "form-row check" }, input, h("span", {}, text), about), value: () => input.checked };
  }
  if (schema.type === "array") {
    const choices = choicesOf(schema.items || {}) || [];
    const boxes = choices.map(([value, label]) => ({ value, input: h("input", { type: "checkbox", checked: (schema.default || []).includes(value) }), label }));
    const element = h("fieldset", { class: "form-row" }, h("legend", {}, text), ...boxes.map((each) => h("label", { class: "check" }, each.input, h("span", {}, each.label))), about);
    return { name, element, value: () => boxes.filter((each) => each.input.checked).map((each) => each.value) };
  }
  const choices = choicesOf(schema);
  if (choices) {
    const input = h("select", { required }, required && schema.default === undefined ? h("option", { value: "" }, "Choose…") : required ? null : h("option", { value: "" }, "—"),
      ...choices.map(([value, label], index) => h("option", { value: String(index + 1), selected: value === schema.default }, label)));
    return { name, element: wrap(input), value: () => (input.value ? choices[Number(input.value) - 1][0] : undefined) };
  }
  const isNumber = schema.type === "integer" || schema.type === "number";
  const input = h("input", {
    type: isNumber ? "number" : TYPES[schema.format] || "text",
    step: schema.type === "integer" ? "1" : isNumber ? "any" : schema.format === "date-time" ? "1" : null,
    min: schema.minimum, max: schema.maximum, minlength: schema.minLength, maxlength: schema.maxLength,
    required, value: schema.default, autocomplete: "off",
  });
  const value = () => {
    if (input.value === "") return undefined;
    if (isNumber) return Number(input.value);
    return schema.format === "date-time" ? new Date(input.value).toISOString() : input.value;
  };
  return { name, element: wrap(input), value };
}

/** The values to choose from with their labels; null if anything may be written. */
function choicesOf(schema) {
  const titled = schema.oneOf || schema.anyOf;
  if (titled) return titled.filter((each) => "const" in each).map((each) => [each.const, each.title || String(each.const)]);
  if (!schema.enum) return null;
  return schema.enum.map((value, index) => [value, String(schema.enumNames?.[index] ?? value)]);
}
