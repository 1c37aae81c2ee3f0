// Markdown as DOM nodes. The source is a model's text, which may be anything: it only ever becomes text nodes, and links
// only lead to http, https and mailto. Pictures become links: the page loads nothing from elsewhere.

import { copy, h, icon } from "./dom.js";
import { highlight } from "./highlight.js";

const FENCE = /^( {0,3})(`{3,}|~{3,})\s*([^\s`]*)[^`]*$/;
const HEADING = /^ {0,3}(#{1,6})[ \t]+(.*?)[ \t]*#*[ \t]*$/;
const RULE = /^ {0,3}([-*_])[ \t]*(?:\1[ \t]*){2,}$/;
const QUOTE = /^ {0,3}>[ \t]?/;
const ITEM = /^( *)([-*+]|\d{1,9}[.)])(?:[ \t]+|$)(.*)$/;
const TABLE_RULE = /^ {0,3}\|?[ \t]*:?-+:?[ \t]*(\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$/;
const MATH = /^ {0,3}(\$\$|\\\[)/;
const MATH_END = { "$$": "$$", "\\[": "\\]" };
const LONG = 24; // characters of a cell: its column is then wide enough for a few words in a line
const DEPTH = 12; // of quotes, lists and emphasis inside each other

/** Split a text into the sources of its blocks: fences, lists, tables, quotes, paragraphs. */
export function blocks(text) {
  const lines = text.replace(/\r\n?/g, "\n").split("\n");
  const found = [];
  let at = 0;
  const take = (kind, until) => {
    found.push({ kind, source: lines.slice(at, until).join("\n") });
    at = until;
  };
  while (at < lines.length) {
    const line = lines[at];
    if (!line.trim()) {
      at += 1;
      continue;
    }
    const fence = FENCE.exec(line);
    let end = at + 1;
    if (fence) {
      const mark = fence[2];
      while (end < lines.length && !isClosing(lines[end], mark)) end += 1;
      take("code", Math.min(end + 1, lines.length));
    } else if (MATH.test(line)) {
      end = endOfMath(lines, at);
      take("math", end);
    } else if (HEADING.test(line)) {
      take("heading", end);
    } else if (RULE.test(line)) {
      take("rule", end);
    } else if (QUOTE.test(line)) {
      while (end < lines.length && lines[end].trim() && (QUOTE.test(lines[end]) || !begins(lines[end]))) end += 1;
      take("quote", end);
    } else if (ITEM.test(line)) {
      end = endOfList(lines, at);
      take("list", end);
    } else if (line.includes("|") && end < lines.length && TABLE_RULE.test(lines[end]) && lines[end].includes("-")) {
      while (end < lines.length && lines[end].trim() && lines[end].includes("|")) end += 1;
      take("table", end);
    } else {
      while (end < lines.length && lines[end].trim() && !begins(lines[end])) end += 1;
      take("text", end);
    }
  }
  return found;
}

/** Return the line behind a formula of its own lines; it ends at an empty line if nothing closes it. */
function endOfMath(lines, at) {
  const mark = MATH.exec(lines[at])[1];
  const closes = (line) => line.trimEnd().endsWith(MATH_END[mark]);
  if (lines[at].trim() !== mark && closes(lines[at])) return at + 1;
  let end = at + 1;
  while (end < lines.length && lines[end].trim() && !closes(lines[end])) end += 1;
  return end < lines.length && closes(lines[end]) ? end + 1 : end;
}

function isClosing(line, mark) {
  const trimmed = line.trim();
  return trimmed.length >= mark.length && trimmed === mark[0].repeat(trimmed.length);
}

function begins(line) {
  return FENCE.test(line) || MATH.test(line) || HEADING.test(line) || RULE.test(line) || QUOTE.test(line) || /^ {0,3}([-*+]|1[.)])[ \t]+\S/.test(line);
}

function endOfList(lines, at) {
  const indent = ITEM.exec(lines[at])[1].length;
  let end = at + 1;
  let mark = null;
  for (; end < lines.length; end += 1) {
    const line = lines[end];
    if (mark !== null) {
      if (isClosing(line, mark)) mark = null;
      continue;
    }
    if (!line.trim()) {
      let next = end + 1;
      while (next < lines.length && !lines[next].trim()) next += 1;
      if (next === lines.length) break;
      const item = ITEM.exec(lines[next]);
      if (!(item && item[1].length >= indent) && !/^\s{2,}/.test(lines[next])) break;
      continue;
    }
    const fence = FENCE.exec(line.trimStart());
    if (fence && /^\s/.test(line)) mark = fence[2];
    else if (!ITEM.test(line) && !/^\s/.test(line) && begins(line)) break;
  }
  return end;
}

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/** Return the direction of a text, which its first letter tells: "auto" of HTML leaves out elements that have their own. */
function direction(text) {
  const [letter] = /\p{L}/u.exec(text) || [""];
  return RIGHT_TO_LEFT.test(letter) ? "rtl" : "ltr";
}

/** Return the node of a block. */
export function node(block, depth = 0) {
  const { kind, source } = block;
  if (kind === "code") return code(source);
  if (kind === "rule") return h("hr");
  if (kind === "math") return math(source, depth);
  if (kind === "heading") {
    const text = HEADING.exec(source)[2];
    return fill(block.level ? h(`h${block.level}`, { dir: "auto" }) : h("p", { class: "heading", dir: "auto" }), text, depth);
  }
  if (kind === "quote" && depth < DEPTH) {
    const inner = source.split("\n").map((line) => line.replace(QUOTE, "")).join("\n");
    return h("blockquote", { dir: direction(inner) }, ...blocks(inner).map((each) => node(each, depth + 1)));
  }
  if (kind === "list" && depth < DEPTH) return list(source, depth);
  if (kind === "table") return table(source, depth);
  return fill(h("p", { dir: "auto" }), source, depth);
}

/** A formula stays as it was written: Markdown would take its signs for emphasis. Text behind its end is a paragraph's. */
function math(source, depth) {
  const mark = MATH.exec(source)[1];
  const inner = source.trim().slice(2);
  const tex = inner.endsWith(MATH_END[mark]) ? inner.slice(0, -2) : inner;
  if (tex.includes(MATH_END[mark])) return fill(h("p", { dir: "auto" }), source, depth);
  return h("pre", { class: "math", dir: "ltr", tabindex: "0" }, tex.trim());
}

function code(source) {
  const lines = source.split("\n");
  const [, indent, mark, language] = FENCE.exec(lines[0]);
  const closed = lines.length > 1 && isClosing(lines[lines.length - 1], mark);
  const text = lines.slice(1, closed ? -1 : undefined).map((line) => (line.startsWith(indent) ? line.slice(indent.length) : line)).join("\n");
  const copied = h("button", { type: "button", class: "tool", "aria-label": "Copy the code", title: "Copy", onclick: () => copy(text, copied) }, icon("copy"));
  return h("figure", { class: "code", dir: "ltr" },
    h("figcaption", {}, h("span", {}, language || "text"), copied),
    h("pre", { tabindex: "0" }, h("code", {}, ...highlight(text, language))));
}

function list(source, depth) {
  const lines = source.split("\n");
  const [, space, mark] = ITEM.exec(lines[0]);
  const ordered = /\d/.test(mark);
  const items = [];
  for (const line of lines) {
    const item = ITEM.exec(line);
    if (item && item[1].length < space.length + 2 && /\d/.test(item[2]) === ordered) items.push([item[3]]);
    else items[items.length - 1].push(line);
  }
  const start = ordered ? parseInt(mark, 10) : 1;
  const made = h(ordered ? "ol" : "ul", { dir: direction(source), start: ordered && start !== 1 ? start : null });
  for (const [first, ...rest] of items) {
    const least = Math.min(...rest.filter((line) => line.trim()).map((line) => line.length - line.trimStart().length), 8);
    const inner = [first, ...rest.map((line) => line.slice(Math.min(least, line.length - line.trimStart().length)))].join("\n");
    const task = /^\[([ xX])\][ \t]+/.exec(inner);
    const found = blocks(task ? inner.slice(task[0].length) : inner);
    const box = task && h("input", { type: "checkbox", disabled: true, checked: task[1] !== " ", "aria-label": task[1] === " " ? "open" : "done" });
    const nodes = found.map((each, index) => {
      const tight = each.kind === "text" && index === 0;
      return tight ? fill(h("span"), each.source, depth + 1) : node(each, depth + 1);
    });
    made.append(h("li", { class: task ? "task" : null }, box, ...nodes));
  }
  return made;
}

function table(source, depth) {
  const rows = source.split("\n").map(cells);
  const aligns = rows[1].map((cell) => (/^:.*:$/.test(cell) ? "center" : /:$/.test(cell) ? "right" : null));
  const long = rows[0].map((_, index) => rows.slice(2).some((values) => (values[index] || "").length > LONG));
  const kind = (index) => [aligns[index], long[index] ? "long" : null].filter(Boolean).join(" ") || null;
  const row = (tag, values) => h("tr", {}, ...rows[0].map((_, index) => fill(h(tag, { class: kind(index), dir: "auto" }), values[index] || "", depth)));
  return h("div", { class: "table", dir: direction(source), tabindex: "0" },
    h("table", {}, h("thead", {}, row("th", rows[0])), h("tbody", {}, ...rows.slice(2).map((values) => row("td", values)))));
}

function cells(line) {
  const inner = line.trim().replace(/^\|/, "").replace(/(^|[^\\])\|$/, "$1");
  return inner.split(/(?<!\\)\|/).map((cell) => cell.trim().replace(/\\\|/g, "|"));
}

/** Append the inline nodes of a text to an element, and return it. */
function fill(element, text, depth) {
  element.append(...inline(text, depth));
  return element;
}

const INLINE = new RegExp(
  [
    "\\\\\\((?<tex>[\\s\\S]{1,2000}?)\\\\\\)",
    "\\$\\$(?<display>[^$]{1,2000})\\$\\$",
    "\\$(?=[^\\s$]+\\$|[^$\\n]{0,300}[\\\\^_=])(?<dollars>[^\\s$](?:[^$\\n]{0,300}[^\\s$])?)\\$(?!\\w)",
    "&(?<entity>amp|lt|gt|quot|apos|nbsp|#\\d{1,7}|#[xX][0-9a-fA-F]{1,6});",
    "(?<escaped>\\\\[\\\\`*_{}\\[\\]()#+\\-.!~>|$])",
    "(?<ticks>`+)(?<code>[^`]|[^`][\\s\\S]*?[^`])\\k<ticks>(?!`)",
    "(?<picture>!?)\\[(?<label>(?:\\\\.|[^\\[\\]\\\\]|\\[[^\\[\\]]*\\])*)\\]\\((?<target>[^\\s()<>]*(?:\\([^\\s()]*\\)[^\\s()]*)*)(?:\\s+\"[^\"]*\")?\\)",
    "<?(?<url>https?:\\/\\/[^\\s<>\"'`\\])]+[^\\s<>\"'`\\]).,;:!?*_~])>?",
    "(?<strong>\\*\\*|__)(?=\\S)(?<bold>[\\s\\S]*?\\S)\\k<strong>",
    "~~(?=\\S)(?<struck>[\\s\\S]*?\\S)~~",
    "\\*(?=[^\\s*])(?<star>[^*]*?[^\\s*])\\*(?!\\*)",
    "(?<![\\w_])_(?=[^\\s_])(?<under>[^_]*?[^\\s_])_(?![\\w_])",
    "(?<line> {2,}\\n|\\\\\\n)",
  ].join("|"),
  "gu",
);

function inline(text, depth) {
  if (depth >= DEPTH) return [text];
  const found = [];
  let at = 0;
  for (const match of text.matchAll(INLINE)) {
    if (match.index > at) found.push(text.slice(at, match.index));
    at = match.index + match[0].length;
    const part = match.groups;
    const tex = part.tex ?? part.display ?? part.dollars;
    if (tex) found.push(h("code", { class: "math", dir: "ltr" }, tex.trim()));
    else if (part.entity) found.push(entity(part.entity));
    else if (part.escaped) found.push(part.escaped[1]);
    else if (part.ticks) found.push(h("code", {}, part.code.replace(/^ (.*\S.*) $/s, "$1")));
    else if (part.label !== undefined) found.push(link(part.target, inline(part.label || part.target, depth + 1), match[0]));
    else if (part.url) found.push(link(part.url, [part.url], match[0]));
    else if (part.strong) found.push(h("strong", {}, ...inline(part.bold, depth + 1)));
    else if (part.struck) found.push(h("s", {}, ...inline(part.struck, depth + 1)));
    else if (part.star || part.under) found.push(h("em", {}, ...inline(part.star || part.under, depth + 1)));
    else found.push(h("br"));
  }
  if (at < text.length) found.push(text.slice(at));
  return found;
}

const ENTITIES = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'", nbsp: "\u00a0" };

function entity(name) {
  if (name[0] !== "#") return ENTITIES[name];
  const code = /^#x/i.test(name) ? parseInt(name.slice(2), 16) : parseInt(name.slice(1), 10);
  return code > 0 && code <= 0x10ffff && !(code >= 0xd800 && code < 0xe000) ? String.fromCodePoint(code) : "\ufffd";
}

function link(target, nodes, source) {
  let url;
  try {
    url = new URL(target);
  } catch {
    return source; // a relative address would lead into this server
  }
  if (!["http:", "https:", "mailto:"].includes(url.protocol)) return source;
  return h("a", { href: url.href, target: "_blank", rel: "noopener noreferrer nofollow" }, ...nodes);
}

/**
 * Give headings their levels, without gaps whatever the model wrote: the title of the page is the first, and a heading is
 * one below the last one with fewer marks.
 */
function setLevels(found) {
  const open = []; // the numbers of marks of the headings around
  for (const block of found) {
    if (block.kind !== "heading") continue;
    const marks = HEADING.exec(block.source)[1].length;
    while (open.length && open[open.length - 1] >= marks) open.pop();
    open.push(marks);
    block.level = Math.min(open.length + 1, 6);
  }
}

/** Draw a growing text into an element: blocks that have not changed keep their nodes. */
export class Markdown {
  constructor(element) {
    this.element = element;
    this.sources = [];
  }

  draw(text) {
    const found = blocks(text);
    setLevels(found);
    let same = 0;
    while (same < found.length && same < this.sources.length && found[same].source === this.sources[same]) same += 1;
    while (this.element.childNodes.length > same) this.element.lastChild.remove();
    this.element.append(...found.slice(same).map((block) => node(block)));
    this.sources = found.map((block) => block.source);
  }
}
