// The list of conversations: by day, searched, renamed and deleted.

import { $, button, h } from "./dom.js";
import { keepSafe } from "./keeping.js";
import * as store from "./store.js";

function dayOf(time) {
  const start = new Date().setHours(0, 0, 0, 0);
  if (time >= start) return "Today";
  if (time >= start - 864e5) return "Yesterday";
  if (time >= start - 7 * 864e5) return "This week";
  return new Date(time).toLocaleDateString(undefined, { month: "long", year: "numeric" });
}

export class List {
  /** `page` has what the list asks and reports: `current`, `open`, `remove` and `renamed`. */
  constructor(page) {
    this.page = page;
  }

  draw() {
    const wanted = $("search").value.trim().toLowerCase();
    const found = store.all().filter((each) => !wanted || each.text().includes(wanted));
    const groups = new Map();
    for (const each of found) {
      const name = dayOf(each.updated);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(each);
    }
    $("list").replaceChildren(...[...groups].map(([name, entries]) =>
      h("section", {}, h("h3", {}, name), h("ul", {}, ...entries.map((each) => this.entry(each))))));
    if (!found.length) $("list").append(h("p", { class: "faint" }, wanted ? "Nothing found." : "No conversations yet."));
  }

  entry(each) {
    const current = each.id === this.page.current().id;
    const title = each.title || "Untitled";
    const item = h("li", { class: current ? "entry current" : "entry" });
    item.append(
      h("button", { type: "button", class: "open", "aria-current": current ? "true" : null, title, onclick: () => this.page.open(each) }, title),
      button(`Rename “${title}”`, "edit", () => this.rename(each, item), { class: "small" }),
      button(`Delete “${title}”`, "delete", () => this.page.remove(each), { class: "small" }));
    return item;
  }

  rename(each, item) {
    const field = h("input", { class: "renaming", "aria-label": "New name", maxlength: "200" });
    field.value = each.title;
    let ended = false;
    const end = (keep) => {
      if (ended) return;
      ended = true;
      const title = field.value.trim();
      const fresh = store.load(each.id);
      if (keep && title && fresh && title !== fresh.title) {
        fresh.title = title;
        keepSafe(fresh);
        this.page.renamed(fresh);
      }
      this.draw();
    };
    field.addEventListener("keydown", (event) => {
      if (event.key === "Enter") end(true);
      if (event.key === "Escape") {
        event.stopPropagation();
        end(false);
      }
    });
    field.addEventListener("blur", () => end(true));
    item.replaceChildren(field);
    field.focus();
    field.select();
  }
}
