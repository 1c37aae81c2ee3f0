// The page: conversations on the left, messages in the middle, one answer at a time.

import { answer, models, replyTo } from "./api.js";
import { $, announce, h, toast } from "./dom.js";
import { keepPlaceSafe, keepSafe, keepSettingsSafe } from "./keeping.js";
import { List } from "./list.js";
import { AnswerView, textOf, userView } from "./messages.js";
import { Pictures } from "./pictures.js";
import { settings } from "./settings.js";
import { inBrowser, store, useServer } from "./store.js";
import { contentOf, Conversation } from "./tree.js";

const IDEAS = [
  ["Explain", "Explain how a transformer predicts the next word, for a curious twelve-year-old."],
  ["Write", "Write a short birthday message for a friend who loves hiking."],
  ["Code", "Write a Python function that checks whether a word is a palindrome."],
  ["Plan", "Plan a relaxed weekend in a city by the sea, as a table."],
];

let conversation = new Conversation();
let known = []; // the models
let running = null; // the answer that is being made: { controller, view, node }
const KEEP_SECONDS = 2; // between the states of an answer that are kept
let begun = false; // whether it is known where conversations are kept
let leaving = false; // whether the page is being closed, which ends what it loads
let follows = true; // whether the page scrolls with the answer

// -- conversations -----------------------------------------------------------------------------------------------------

const list = new List({
  current: () => conversation,
  open: (each) => openConversation(each.id),
  remove,
  renamed(each) {
    if (each.id === conversation.id) conversation.title = each.title;
    drawTitle();
  },
});
const drawList = async () => { if (begun) await list.draw(); };

async function remove(each) {
  if (each.id === conversation.id) leave();
  let back;
  try {
    back = await store().remove(each.id);
  } catch (error) {
    toast(`The conversation was not deleted: ${error.message}`);
    return;
  }
  drawList();
  toast(`“${each.title || "Untitled"}” was deleted.`, { label: "Undo", run: () => back().catch(() => {}).then(drawList) });
}

/** Leave a conversation that is being deleted: a stopped answer must not save it again. */
function leave() {
  stop();
  conversation.gone = true;
  startNew();
}

async function openConversation(id) {
  if (id !== conversation.id) {
    let found;
    try {
      found = await store().load(id);
    } catch (error) {
      toast(`The conversation can't be read: ${error.message}`);
      return;
    }
    if (!found) {
      drawList();
      return;
    }
    stop();
    conversation = found;
    location.hash = id;
    chooseModel();
    draw();
    lookAgain(4);
  }
  showSide(false);
}

/** Look again for the rest of an answer that is not complete: the page that it went to may just be keeping it. */
function lookAgain(times) {
  const mine = conversation;
  if (!times || !mine.path().some((node) => node.finish === "away")) return;
  setTimeout(async () => {
    if (mine !== conversation) return;
    await refresh(mine.id);
    lookAgain(times - 1);
  }, 1000);
}

/** Show what another window or device has changed; `id` is null if that may be any conversation. */
async function refresh(id, removed) {
  await drawList();
  if ((id !== null && id !== conversation.id) || !conversation.stored || running) return;
  const mine = conversation;
  const listed = list.found.find((each) => each.id === mine.id);
  if (id === null && listed && listed.updated <= mine.updated) return;
  const fresh = removed ? null : await store().load(mine.id).catch(() => undefined);
  if (fresh === undefined || mine !== conversation || running) return;
  if (fresh === null) {
    mine.gone = true;
    startNew();
    toast("The conversation was deleted in another window.");
  } else if (mine.merge(fresh)) {
    draw();
  }
}

function startNew() {
  stop();
  conversation = new Conversation();
  if (location.hash) history.replaceState(null, "", location.pathname);
  draw();
  showSide(false);
  $("composer-text").focus();
}

// -- the conversation --------------------------------------------------------------------------------------------------

const actions = {
  siblings: (node) => conversation.siblings(node),
  show(node) {
    stop();
    conversation.show(node);
    keepPlaceSafe(conversation);
    draw();
  },
  async branch(node) {
    stop();
    try {
      const made = await store().branch(conversation, node);
      if (made) await openConversation(made.id);
      toast("This is a branch of its own: the first conversation stays as it was.");
    } catch (error) {
      toast(`The conversation could not be branched: ${error.message}`);
    }
    drawList();
  },
  edit(node, text) {
    stop();
    conversation.leaf = node.parent;
    send(text, node.pictures);
  },
  again(node) {
    stop();
    conversation.leaf = node.parent;
    ask();
  },
  async reply(node, part, action, content) {
    const mine = conversation;
    try {
      await replyTo(part.id, action, content);
      part.reply = action;
    } catch (error) {
      if (error.status !== 404) throw error;
      part.reply = "late"; // the call has ended meanwhile
    }
    keepSafe(mine, node); // the answer may have ended, and been kept, before the server confirmed the reply
  },
  decide(node, part, decision) {
    part.decision = decision;
    const open = node.parts.filter((each) => each.pending && each.content === undefined);
    if (open.every((each) => each.decision !== undefined)) {
      goOn(node, Object.fromEntries(open.map((each) => [each.id, each.decision])));
    } else {
      draw();
    }
  },
};

const views = new WeakMap(); // of messages: they stay as they are, with what was unfolded, until their versions change

function view(node) {
  const versions = conversation.siblings(node).length;
  const kept = views.get(node);
  if (kept && kept.versions === versions && node.ended !== false) return kept.element;
  const element = node.role === "user" ? userView(node, actions) : new AnswerView(node, actions).element;
  views.set(node, { element, versions });
  return element;
}

function draw() {
  const path = conversation.path();
  const focusAgain = keepFocus();
  $("log").replaceChildren(...path.map(view));
  focusAgain();
  $("empty").hidden = path.length > 0;
  drawTitle();
  drawList();
  follows = true;
  if (path.length) scrollDown(true);
  else $("scroll").scrollTop = 0;
}

/** Return what gives the focus back to a control in the messages, or to its successor, once they are drawn again. */
function keepFocus() {
  const held = document.activeElement;
  if (!$("log").contains(held) || !held.matches(":focus-visible")) return () => {};
  const place = [...$("log").children].indexOf(held.closest(".message"));
  const name = held.getAttribute("aria-label");
  return () => {
    if (document.activeElement === held) return;
    if (held.isConnected) return held.focus();
    const buttons = [...($("log").children[place]?.querySelectorAll("button:enabled") || [])];
    const next = buttons.find((each) => name && each.getAttribute("aria-label") === name)
      || (held.closest(".branches") && buttons.find((each) => each.closest(".branches")));
    (next || $("composer-text")).focus();
  };
}

function drawTitle() {
  $("title").textContent = conversation.title || "New conversation";
  $("title").classList.toggle("hidden", !conversation.title);
  document.title = conversation.title ? `${conversation.title} · luup` : "luup";
}

function send(text, pictures = []) {
  const parent = conversation.leaf;
  const node = conversation.add(parent, { role: "user", text, ...(pictures.length ? { pictures } : {}) });
  if (!conversation.title) {
    const line = text.split("\n")[0].trim() || "Pictures";
    conversation.title = line.length > 60 ? `${line.slice(0, 57).trimEnd()}…` : line;
  }
  keepSafe(conversation, node).then(drawList);
  if (location.hash.slice(1) !== conversation.id) location.hash = conversation.id;
  draw();
  ask(node);
}

/** Have the messages up to the current one answered. */
function ask() {
  const node = conversation.add(conversation.leaf, { role: "assistant", model: $("model").value, parts: [], messages: [], ended: false });
  run(node, {});
}

/** Go on with an answer whose calls were decided on. */
function goOn(node, approvals) {
  node.ended = false;
  for (const part of node.parts) delete part.pending;
  run(node, { approvals });
}

async function run(node, more) {
  stop();
  const mine = { controller: new AbortController(), node, conversation };
  running = mine;
  setBusy(true);
  draw();
  announce(`${node.model} is answering.`);
  const answerView = new AnswerView(node, actions);
  const shown = $("log").querySelector(`[data-id="${node.id}"]`);
  shown.replaceWith(answerView.element);
  views.set(node, { element: answerView.element, versions: conversation.siblings(node).length });
  let planned = false;
  const redraw = () => {
    if (planned) return;
    planned = true;
    requestAnimationFrame(() => {
      planned = false;
      answerView.update();
      scrollDown();
    });
  };
  let kept = Date.now();
  try {
    for await (const data of answer({ ...request(node), ...more }, mine.controller.signal)) {
      read(node, data);
      redraw();
      if (Date.now() - kept > KEEP_SECONDS * 1000) { // a crash in the middle loses little
        kept = Date.now();
        keepSafe(mine.conversation, node);
      }
    }
  } catch (error) {
    if (mine.controller.signal.aborted || leaving) node.finish = "stopped";
    else node.error = messageOf(error, node);
  }
  endThoughts(node);
  node.ended = true;
  const keeping = keepSafe(mine.conversation, node);
  if (running === mine) {
    running = null;
    setBusy(false);
  }
  answerView.update();
  if (mine.conversation === conversation) announce(answerView.spoken());
  scrollDown();
  await keeping;
  drawList();
}

function messageOf(error, node) {
  if (error.code === "unsupported_content" || error.code === "unsupported") {
    const asked = conversation.path().some((each) => each.pictures);
    if (asked) return `${node.model} can't look at pictures. Choose a model that can, or write without them. (${error.message})`;
  }
  if (error.status === 401) return "The server wants an API key: enter it in the settings.";
  if (error instanceof TypeError) return "The server can't be reached.";
  return `The answer failed: ${error.message}`;
}

/** Add an event of the server to an answer. */
function read(node, data) {
  if (data.usage) node.usage = data.usage;
  if (data.timings) node.timings = data.timings;
  const choice = data.choices[0];
  if (!choice) return;
  const { delta } = choice;
  if (delta.reasoning_content) grow(node, "thoughts", delta.reasoning_content);
  if (delta.content) grow(node, "text", delta.content);
  const event = delta.luup;
  if (event?.type === "tool_call" && !node.parts.some((part) => part.id === event.id)) {
    endThoughts(node);
    node.parts.push({ type: "call", id: event.id, name: event.name, arguments: event.arguments });
  } else if (event?.type === "tool_result") {
    const part = node.parts.find((each) => each.id === event.id);
    if (part) Object.assign(part, { content: event.content, is_error: event.is_error });
  } else if (event?.type === "question") {
    endThoughts(node);
    const { id, server, message, schema, url } = event;
    node.parts.push({ type: "question", id, server, message, schema, url });
  } else if (event?.type === "question_end") {
    const part = node.parts.find((each) => each.id === event.id);
    if (part && part.reply === undefined) part.reply = "late";
  } else if (event?.type === "retry") {
    node.parts.push({ type: "note", text: "The answer did not fit, and the model tries again." });
  } else if (event?.type === "summary") {
    node.parts.push({ type: "note", text: `A summary replaces the first ${event.replaced} messages: the context was full.` });
  } else if (event?.type === "done") {
    node.messages = [...node.messages, ...event.messages];
  }
  for (const call of delta.tool_calls || []) {
    const part = node.parts.find((each) => each.id === call.id);
    if (part) part.pending = true;
  }
  if (choice.finish_reason) node.finish = choice.finish_reason;
}

function grow(node, type, text) {
  const last = node.parts[node.parts.length - 1];
  if (last && last.type === type && !last.over) {
    last.text += text;
  } else {
    endThoughts(node);
    node.parts.push({ type, text, ...(type === "thoughts" ? { begun: Date.now() } : {}) });
  }
}

function endThoughts(node) {
  const last = node.parts[node.parts.length - 1];
  if (last?.begun) {
    last.seconds = (Date.now() - last.begun) / 1000;
    delete last.begun;
  }
}

/** Return the body of the request for an answer. */
function request(node) {
  const set = settings();
  const messages = set.system ? [{ role: "system", content: set.system }] : [];
  for (const each of conversation.path()) {
    if (each.role === "user") messages.push({ role: "user", content: contentOf(each) });
    else if (each.messages.length) messages.push(...each.messages, ...(each === node ? [] : undecided(each)));
    else if (each !== node && textOf(each)) messages.push({ role: "assistant", content: textOf(each) });
  }
  const body = { model: node.model, messages, questions: true };
  if (set.temperature !== undefined) body.temperature = set.temperature;
  if (set.tokens !== undefined) body.max_completion_tokens = set.tokens;
  if (set.effort) body.reasoning_effort = set.effort;
  return body;
}

/** Return results for the calls of an earlier answer that nobody decided on: a conversation needs one for each. */
function undecided(node) {
  const last = node.messages[node.messages.length - 1];
  return (last.tool_calls || []).map((call) => ({ role: "tool", tool_call_id: call.id, content: "The user did not allow this call." }));
}

function stop() {
  if (!running) return;
  running.controller.abort();
  running.node.finish = "stopped";
  running.node.ended = true;
  running = null;
  setBusy(false);
}

function setBusy(busy) {
  $("send").hidden = busy;
  $("stop").hidden = !busy;
}

function scrollDown(force = false) {
  const box = $("scroll");
  if (force || follows) box.scrollTop = box.scrollHeight;
  $("jump").hidden = box.scrollHeight - box.scrollTop - box.clientHeight < 160;
}

// -- models and settings -----------------------------------------------------------------------------------------------

async function loadModels() {
  try {
    const found = await models();
    known = found.data.filter((each) => each.luup?.kind !== "embedder");
    if (found.sessions) useServer();
  } catch (error) {
    $("about").textContent = messageOf(error);
    if (error.status === 401) $("settings").showModal();
    return;
  }
  begin();
  const wanted = settings().model;
  $("model").replaceChildren(...known.map((each) => h("option", { value: each.id, selected: each.id === wanted }, each.id)));
  chooseModel();
  describe();
}

/** Show the conversations, once it is known where they are kept. */
async function begin() {
  if (begun) return;
  begun = true;
  const onServer = store().place === "server";
  $("settings-place").textContent = onServer ? "Conversations are kept on this server, settings in this browser."
    : "Settings and conversations are kept in this browser only.";
  store().watch(refresh);
  drawPlace(onServer);
  drawList();
  if (location.hash && !conversation.nodes.length) await openConversation(location.hash.slice(1));
}

function drawPlace(onServer) {
  const left = onServer ? inBrowser.all() : [];
  $("place").replaceChildren(onServer ? "Conversations are kept on this server." : "Conversations stay in this browser.");
  if (left.length) {
    const text = left.length === 1 ? "Move the one in this browser here" : `Move the ${left.length} in this browser here`;
    $("place").append(h("button", { type: "button", class: "quiet more", onclick: () => moveHere(left) }, text));
  }
}

/** Move the browser's conversations to the server. */
async function moveHere(left) {
  try {
    for (const each of left) {
      each.stored = false;
      for (const node of each.nodes) await store().keep(each, node);
      await inBrowser.remove(each.id);
    }
  } catch (error) {
    toast(`Not all conversations could be moved: ${error.message}`);
  }
  drawPlace(true);
  drawList();
}

/** Choose the model that gave the last answer of the conversation. */
function chooseModel() {
  const last = conversation.path().filter((node) => node.role === "assistant").pop();
  if (last && known.some((each) => each.id === last.model)) $("model").value = last.model;
}

function describe() {
  const one = known.find((each) => each.id === $("model").value);
  const tools = one?.luup?.tools || [];
  const size = one?.luup?.context_size;
  $("about").textContent = !one ? "The server has no model to talk to."
    : one.luup.kind === "agent" ? `${one.id} is an agent${tools.length ? ` with ${tools.length === 1 ? "the tool" : "the tools"} ${tools.join(", ")}` : ""}.`
      : `${one.id} runs on this server${size ? `, with a context of ${size.toLocaleString()} tokens` : ""}.`;
}

function showSettings() {
  const set = settings();
  $("set-system").value = set.system || "";
  $("set-temperature").value = set.temperature ?? "";
  $("set-tokens").value = set.tokens ?? "";
  $("set-effort").value = set.effort || "";
  $("set-theme").value = set.theme || "";
  $("set-key").value = set.key || "";
  $("settings").showModal();
}

function keepSettings() {
  const before = settings();
  const numeric = (id) => ($(id).value === "" || !$(id).validity.valid ? undefined : Number($(id).value));
  const set = {
    model: before.model,
    system: $("set-system").value.trim() || undefined,
    temperature: numeric("set-temperature"),
    tokens: numeric("set-tokens"),
    effort: $("set-effort").value || undefined,
    theme: $("set-theme").value || undefined,
    key: $("set-key").value || undefined,
  };
  keepSettingsSafe(set);
  if (set.theme) document.documentElement.dataset.theme = set.theme;
  else delete document.documentElement.dataset.theme;
  if (set.key !== before.key || !known.length) loadModels();
}

const small = matchMedia("(max-width: 820px)"); // as in page.css: the list then lies over the conversation

function showSide(open) {
  const held = $("side").contains(document.activeElement);
  $("app").classList.toggle("side-open", open);
  $("open-side").setAttribute("aria-expanded", String(open));
  $("main").inert = open && small.matches;
  if (!small.matches) return;
  if (open) $("close-side").focus();
  else if (held) $("open-side").focus();
}
small.addEventListener("change", () => showSide(false));

function fit() {
  const area = $("composer-text");
  area.style.height = "auto";
  area.style.height = `${Math.min(area.scrollHeight, 240)}px`;
}

// -- beginning ---------------------------------------------------------------------------------------------------------

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("composer-text").value.trim();
  if ((!text && !pictures.urls.length) || running || !$("model").value) return;
  $("composer-text").value = "";
  fit();
  send(text, pictures.take());
});
const pictures = new Pictures(() => $("composer").classList.toggle("ready", pictures.urls.length > 0));
$("composer-text").addEventListener("input", fit);
$("composer-text").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("composer").requestSubmit();
  }
});
$("stop").addEventListener("click", () => { stop(); $("composer-text").focus(); });
$("new").addEventListener("click", startNew);
$("search").addEventListener("input", drawList);
$("open-side").addEventListener("click", () => showSide(!$("app").classList.contains("side-open")));
$("close-side").addEventListener("click", () => showSide(false));
$("scrim").addEventListener("click", () => showSide(false));
$("open-settings").addEventListener("click", showSettings);
$("settings").addEventListener("close", keepSettings);
$("delete-all").addEventListener("click", async () => {
  $("settings").close();
  leave();
  const back = [];
  try {
    for (;;) {
      const { found } = await store().list("", 100);
      if (!found.length) break;
      for (const each of found) back.push(await store().remove(each.id));
    }
  } catch (error) {
    toast(`Not all conversations were deleted: ${error.message}`);
  }
  drawList();
  const undo = async () => {
    for (const each of back.reverse()) await each().catch(() => {});
    drawList();
  };
  toast(`${back.length === 1 ? "One conversation was" : `${back.length} conversations were`} deleted.`, { label: "Undo", run: undo });
});
$("model").addEventListener("change", () => {
  keepSettingsSafe({ ...settings(), model: $("model").value });
  describe();
});
$("scroll").addEventListener("scroll", () => {
  const box = $("scroll");
  const left = box.scrollHeight - box.scrollTop - box.clientHeight;
  follows = left < 80;
  $("jump").hidden = left < 160;
});
$("jump").addEventListener("click", () => { follows = true; scrollDown(true); });
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running && !$("settings").open) stop();
  else if (event.key === "Escape") showSide(false);
  else if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "k") {
    event.preventDefault();
    showSide(true);
    $("search").focus();
  } else if ((event.ctrlKey || event.metaKey) && event.shiftKey && event.key.toLowerCase() === "o") {
    event.preventDefault();
    startNew();
  }
});
window.addEventListener("beforeunload", () => {
  leaving = true;
  setTimeout(() => { leaving = false; }, 1000); // a link that only begins a download leaves the page as it is
});
window.addEventListener("pagehide", () => { // a reload in the middle keeps what came
  if (running) Object.assign(running.node, { ended: true, finish: "stopped" });
  store().keepAtEnd(running?.conversation, running?.node);
});
window.addEventListener("hashchange", () => {
  const id = location.hash.slice(1);
  if (id && id !== conversation.id) openConversation(id);
});

$("ideas").append(...IDEAS.map(([label, text]) => h("button", { type: "button", class: "idea", onclick: () => {
  $("composer-text").value = text;
  fit();
  $("composer").requestSubmit();
} }, h("strong", {}, label), h("span", {}, text))));

draw();
loadModels();
$("composer-text").focus();
