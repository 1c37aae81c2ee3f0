// The list of conversations: by day, searched, renamed and deleted.

import { $, button, h, toast } from "./dom.js";
import { store } from "./store.js";

const STEP = 100; // how many are shown at first, and then added

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
    this.shown = STEP;
    this.turn = 0;
    this.renaming = false;
    this.found = [];
  }

  /** Ask the storage, and show what it has. */
  async draw() {
    const turn = (this.turn += 1);
    const wanted = $("search").value.trim();
    let more = false;
    try {
      const listed = await store().list(wanted, this.shown);
      if (turn !== this.turn) return; // a later one is under way
      ({ more } = listed);
      this.found = listed.found;
    } catch (error) {
      if (turn === this.turn && error.status !== 401) this.note("The conversations can't be read: the server does not answer.");
      return;
    }
    if (!this.renaming) this.show(wanted, more);
  }

  note(text) {
    $("list").replaceChildren(h("p", { class: "faint" }, text));
  }

  show(wanted, more) {
    const held = document.activeElement;
    const focused = held?.closest?.(".entry")?.dataset.id;
    const control = focused ? [...held.closest(".entry").children].indexOf(held) : 0;
    const place = focused ? [...$("list").querySelectorAll(".entry")].indexOf(held.closest(".entry")) : -1;
    const byKeyboard = focused && held.matches(":focus-visible");
    const groups = new Map();
    for (const each of this.found) {
      const name = dayOf(each.updated);
      if (!groups.has(name)) groups.set(name, []);
      groups.get(name).push(each);
    }
    $("list").replaceChildren(...[...groups].map(([name, entries]) =>
      h("section", {}, h("h3", {}, name), h("ul", {}, ...entries.map((each) => this.entry(each))))));
    if (!this.found.length) this.note(wanted ? "Nothing found." : "No conversations yet.");
    if (more) {
      $("list").append(h("button", { type: "button", class: "quiet more", onclick: () => {
        this.shown += STEP;
        this.draw();
      } }, "Show older ones"));
    }
    if (!focused) return;
    const same = $("list").querySelector(`[data-id="${CSS.escape(focused)}"]`);
    const entries = $("list").querySelectorAll(".entry");
    if (same) same.children[held.matches(".renaming") ? 0 : control].focus();
    else if (byKeyboard) (entries[Math.min(place, entries.length - 1)]?.firstChild || $("new")).focus(); // it was deleted
  }

  entry(each) {
    const current = each.id === this.page.current().id;
    const title = each.title || "Untitled";
    const item = h("li", { class: current ? "entry current" : "entry", "data-id": each.id });
    item.append(
      h("button", { type: "button", class: "open", "aria-current": current ? "true" : null, dir: "auto", title, onclick: () => this.page.open(each) }, title),
      button(`Rename “${title}”`, "edit", () => this.rename(each, item), { class: "small" }),
      button(`Delete “${title}”`, "delete", () => this.page.remove(each), { class: "small" }));
    return item;
  }

  rename(each, item) {
    const field = h("input", { class: "renaming", dir: "auto", "aria-label": "New name", maxlength: "200" });
    field.value = each.title;
    this.renaming = true;
    let ended = false;
    const end = async (keep) => {
      if (ended) return;
      ended = true;
      this.renaming = false;
      const title = field.value.trim();
      if (keep && title && title !== each.title) {
        try {
          await store().rename(each.id, title);
          this.page.renamed({ ...each, title });
        } catch {
          toast("The new name could not be kept.");
        }
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
