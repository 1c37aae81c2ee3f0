// Colours for code: comments, strings, numbers and the words that many languages share. It only marks parts of the text.

import { h } from "./dom.js";

const WORDS = new Set(
  ("abstract and as assert async await begin bool boolean break case catch char class const continue def default defer del do done double "
  + "elif else elsif end enum except export extends extern false fi final finally float fn for foreach from func function global go goto "
  + "if impl implements import in include inline instanceof int interface is lambda let local long loop match mod module mut namespace "
  + "new nil none nonlocal not null None of or package pass private protected pub public raise readonly ref register return self Self "
  + "short signed sizeof static string struct super switch template then this throw throws trait true True False try type typedef typeof "
  + "union unless unsafe unsigned until use using val var virtual void volatile when where while with yield "
  + "SELECT FROM WHERE JOIN LEFT RIGHT INNER ON GROUP BY ORDER HAVING LIMIT INSERT INTO VALUES UPDATE SET DELETE CREATE TABLE AND OR NOT NULL AS").split(" "),
);
const HASH = /^(py|python|sh|bash|zsh|shell|console|rb|ruby|r|perl|yaml|yml|toml|make|makefile|dockerfile|elixir|nim|julia)$/i;
const DASH = /^(sql|lua|haskell|hs|ada|elm)$/i;
const PLAIN = /^(|text|txt|plain|plaintext|output|log|markdown|md)$/i;
const LONGEST = 20000; // characters that are marked; longer code stays plain

function pattern(language) {
  const comment = HASH.test(language) ? "#[^\\n]*" : DASH.test(language) ? "--[^\\n]*" : "\\/\\/[^\\n]*|\\/\\*[\\s\\S]*?\\*\\/|<!--[\\s\\S]*?-->";
  const string = "\"\"\"[\\s\\S]*?\"\"\"|'''[\\s\\S]*?'''|\"(?:\\\\.|[^\"\\\\\\n])*\"|'(?:\\\\.|[^'\\\\\\n])*'|`(?:\\\\.|[^`\\\\])*`";
  return new RegExp(`(?<comment>${comment})|(?<string>${string})|(?<number>\\b\\d[\\w.]*)|(?<call>[A-Za-z_]\\w*)(?=\\()|(?<word>[A-Za-z_]\\w*)`, "g");
}

/** Return the nodes of a code's text. */
export function highlight(text, language) {
  if (PLAIN.test(language) || text.length > LONGEST) return [text];
  const found = [];
  let at = 0;
  for (const match of text.matchAll(pattern(language))) {
    const { comment, string, number, word, call } = match.groups;
    const kind = comment ? "comment" : string ? "string" : number ? "number" : WORDS.has(word || call) ? "keyword" : call ? "call" : null;
    if (!kind) continue;
    if (match.index > at) found.push(text.slice(at, match.index));
    found.push(h("span", { class: `code-${kind}` }, match[0]));
    at = match.index + match[0].length;
  }
  if (at < text.length) found.push(text.slice(at));
  return found;
}
