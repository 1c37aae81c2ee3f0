// The views of messages: what a person wrote, and what a model answers with thoughts, calls and text.

import { button, copy, h, icon } from "./dom.js";
import { Markdown } from "./markdown.js";
import { thumbnails } from "./pictures.js";
import { questionView } from "./questions.js";
import { shown, typedValue, typedView } from "./typed.js";

/** The text of an answer, without thoughts and calls. */
export function textOf(node) {
  return node.parts.filter((part) => part.type === "text").map((part) => part.text).join("\n\n").trim();
}

/** Show the message of a person; `actions` has what its buttons do. */
export function userView(node, actions) {
  const text = h("div", { class: "bubble", dir: "auto" }, node.text);
  const view = h("article", { class: "message user", "aria-label": "You", "data-id": node.id }, thumbnails(node.pictures), node.text ? text : null);
  view.append(h("div", { class: "tools" }, branches(node, actions),
    button("Copy", "copy", (event) => copy(node.text, event.currentTarget)),
    button("Edit", "edit", () => edit(node, view, actions)),
    button("Branch into a new conversation", "branch", () => actions.branch(node))));
  return view;
}

function edit(node, view, actions) {
  const area = h("textarea", { class: "editing", dir: "auto", "aria-label": "Edit the message", rows: String(Math.min(12, node.text.split("\n").length + 1)) });
  area.value = node.text;
  const before = [...view.childNodes];
  const cancel = () => {
    view.replaceChildren(...before);
    view.querySelector('[aria-label="Edit"]').focus();
  };
  const save = () => {
    const text = area.value.trim();
    if (text || node.pictures) actions.edit(node, text);
    else cancel();
  };
  area.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      event.stopPropagation();
      cancel();
    } else if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      save();
    }
  });
  view.replaceChildren(h("div", { class: "edit-box" }, area, h("div", { class: "edit-tools" },
    h("button", { type: "button", class: "quiet", onclick: cancel }, "Cancel"),
    h("button", { type: "button", class: "primary", onclick: save }, "Send"))));
  area.focus();
}

function branches(node, actions) {
  const all = actions.siblings(node);
  if (all.length < 2) return null;
  const at = all.indexOf(node);
  const go = (step) => actions.show(all[at + step]);
  return h("span", { class: "branches" },
    button("Earlier version", "left", () => go(-1), { disabled: at === 0 }),
    h("span", { "aria-label": `Version ${at + 1} of ${all.length}` }, `${at + 1} / ${all.length}`),
    button("Later version", "right", () => go(1), { disabled: at === all.length - 1 }));
}

/** An answer that may still grow: `update` draws what was added. */
export class AnswerView {
  constructor(node, actions) {
    this.node = node;
    this.actions = actions;
    this.views = [];
    this.body = h("div", { class: "body" });
    this.foot = h("div", { class: "tools" });
    this.element = h("article", { class: "message answer", "aria-label": `Answer of ${node.model}`, "data-id": node.id }, this.body, this.foot);
    this.update();
  }

  update() {
    const { parts } = this.node;
    const live = !this.node.ended;
    parts.forEach((part, index) => {
      if (!this.views[index]) {
        this.views[index] = partView(part, this.actions, this.node);
        this.body.append(this.views[index].element);
      }
      this.views[index].update(live && index === parts.length - 1, live);
    });
    this.element.setAttribute("aria-busy", String(live));
    this.element.classList.toggle("live", live);
    if (live && !parts.length && !this.wait) {
      this.wait = h("div", { class: "wait", role: "img", "aria-label": "Waiting for the answer" }, h("i"), h("i"), h("i"));
      this.body.append(this.wait);
    } else if (this.wait && (parts.length || !live)) {
      this.wait.remove();
      this.wait = null;
    }
    if (!live) this.end();
  }

  /** Return what a screen reader says once the answer has ended; an error says itself. */
  spoken() {
    const asks = this.node.parts.filter((part) => part.pending && part.decision === undefined && part.content === undefined);
    const texts = [...this.body.querySelectorAll(".markdown, .typed-form, .notice:not(.error)")].map((each) => each.innerText.trim());
    return [...texts, ...asks.map((part) => `${part.name} needs your approval.`)].filter(Boolean).join("\n");
  }

  end() {
    const { node, actions } = this;
    if (this.notice) this.notice.remove();
    const text = node.error || NOTICES[node.finish] || "";
    this.notice = text ? h("p", { class: node.error ? "notice error" : "notice", role: node.error ? "alert" : null }, text) : null;
    if (this.notice) this.body.append(this.notice);
    const facts = [node.model, ...statistics(node)];
    this.foot.replaceChildren(
      branches(node, actions) || "",
      button("Copy", "copy", (event) => copy(textOf(node), event.currentTarget)),
      button("Answer again", "again", () => actions.again(node)),
      button("Branch into a new conversation", "branch", () => actions.branch(node)),
      h("span", { class: "facts" }, ...facts.map((fact) => h("span", {}, fact))));
  }
}

const NOTICES = {
  length: "The answer was cut off: it has as many tokens as the settings or the context allow.",
  stopped: "You stopped the answer.",
  away: "This answer is not complete. Another window may still be receiving it.",
};

function statistics(node) {
  const found = [];
  if (node.usage) {
    const cached = node.usage.prompt_tokens_details?.cached_tokens || 0;
    const tokens = node.usage.prompt_tokens;
    found.push(`${tokens} ${tokens === 1 ? "token" : "tokens"} in${cached ? ` (${cached} cached)` : ""}`, `${node.usage.completion_tokens} out`);
  }
  const speed = node.timings?.decode_tokens_per_second;
  if (speed) found.push(`${speed < 10 ? speed.toFixed(1) : Math.round(speed)} tokens/s`);
  return found;
}

function partView(part, actions, node) {
  if (part.type === "thoughts") return thoughtsView(part);
  if (part.type === "call") return callView(part, actions, node);
  if (part.type === "question") return questionView(part, (...said) => actions.reply(node, ...said));
  if (part.type === "note") return { element: h("p", { class: "notice" }, part.text), update: () => {} };
  const element = h("div", { class: "markdown" });
  const markdown = new Markdown(element);
  let typed = false; // whether the whole text is a typed result
  const update = (_, live) => {
    if (typed) return;
    const value = live ? undefined : typedValue(part.text);
    if (value === undefined) {
      markdown.draw(part.text);
      return;
    }
    typed = true;
    element.className = "";
    element.replaceChildren(typedView(value));
  };
  return { element, update };
}

function thoughtsView(part) {
  const label = h("span", {}, "");
  const text = h("div", { class: "thoughts-text", dir: "auto" });
  const element = h("details", { class: "thoughts" }, h("summary", {}, icon("thought"), label, icon("right")), text);
  return {
    element,
    update: (live) => {
      label.textContent = live ? "Thinking…" : part.seconds ? `Thought for ${Math.max(1, Math.round(part.seconds))} s` : "Thoughts";
      element.classList.toggle("live", live);
      if (text.textContent !== part.text) text.textContent = part.text;
    },
  };
}

function callView(part, actions, node) {
  const state = h("span", { class: "state" });
  const result = h("pre", { class: "result", tabindex: "0" });
  const resultBox = h("div", { class: "part" }, h("p", { class: "part-name" }, "Result"), result);
  const ask = h("div", { class: "ask" },
    h("p", {}, "The agent may do this only if you allow it."),
    h("button", { type: "button", class: "quiet", onclick: () => actions.decide(node, part, false) }, "Deny"),
    h("button", { type: "button", class: "primary", onclick: () => actions.decide(node, part, true) }, "Allow"));
  const element = h("details", { class: "call" },
    h("summary", {}, icon("tool"), h("code", {}, part.name), state, icon("right")),
    h("div", { class: "part" }, h("p", { class: "part-name" }, "Arguments"), argumentsView(part.arguments)), resultBox, ask);
  let asked = false;
  return {
    element,
    update: (_, live) => {
      const asks = part.pending && part.decision === undefined && !live;
      const done = part.content !== undefined;
      const how = asks ? "needs your approval" : part.is_error ? "failed" : done ? "done" : live ? "running…" : "did not finish";
      state.textContent = how;
      element.dataset.state = asks ? "asks" : part.is_error ? "failed" : done ? "done" : live ? "running" : "open";
      resultBox.hidden = !done;
      if (done && result.textContent !== part.content) result.textContent = part.content;
      if (asks && !asked) element.open = true;
      if (asked && !asks) element.open = false;
      asked = asks;
      ask.hidden = !asks;
    },
  };
}

function argumentsView(values) {
  const entries = values && typeof values === "object" ? Object.entries(values) : [];
  if (!entries.length) return h("p", { class: "faint" }, "none");
  return h("dl", {}, ...entries.flatMap(([name, value]) => [
    h("dt", {}, name),
    h("dd", {}, typeof value === "string" ? value : value !== null && typeof value === "object" ? shown(value) : JSON.stringify(value)),
  ]));
}
