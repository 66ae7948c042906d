// Markdown of the compiler's own pages, as elements: headings, paragraphs, lists, code. Nothing of it is taken as HTML.

import { tokens } from "./language.js";

/** An element with the text, of a class. */
export function rendered(markdown, kind) {
  const root = element("div", kind);
  let list = null;
  const blocks = markdown.matchAll(/^```(\w*) ?(.*)\n([^]*?)^```$|^(#{1,4}) (.*)$|^- (.*(?:\n  .*)*)$|((?:^(?!```|#|- ).+\n?)+)/gm);
  for (const [, language, marks, code, hashes, heading, item, paragraph] of blocks) {
    if (item === undefined) list = null;
    if (code !== undefined) root.append(colored(code.replace(/\n$/, ""), language, marks));
    else if (heading !== undefined) root.append(inline(element(`h${hashes.length + 1}`), heading));
    else if (item !== undefined) (list ??= root.appendChild(element("ul"))).append(inline(element("li"), item));
    else root.append(inline(element("p"), paragraph));
  }
  return root;
}

export function element(tag, kind, text) {
  const made = document.createElement(tag);
  if (kind) made.className = kind;
  if (text !== undefined) made.textContent = text;
  return made;
}

/** Appends text with `code`, **strong** and [links](…), of which the words are kept. */
export function inline(parent, text) {
  for (const [part, code, strong, link] of text.matchAll(/`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\([^)]*\)|[^`*[]+|[`*[]/g)) {
    if (code !== undefined) parent.append(element("code", "", code));
    else if (strong !== undefined) inline(parent.appendChild(element("strong")), strong);
    else if (link !== undefined) inline(parent, link);
    else parent.append(part);
  }
  return parent;
}

const CLASSES = {
  documentation: "comment", comment: "comment", string: "string", number: "number", constant: "number", keyword: "keyword",
  "word operator": "keyword", type: "type", declared: "block", block: "block", "standard block": "block", operation: "function",
  function: "function", dimension: "dimension", placeholder: "dimension", escape: "dimension",
}; // prettier-ignore

/** A program with its colors. */
export function colored(text, language = "wsd", kind = "") {
  const pre = element("pre", kind), stack = ["program"];
  text.split("\n").forEach((line, number) => {
    if (number) pre.append("\n");
    let at = 0;
    for (const [start, end, kind] of language === "wsd" ? tokens(line, stack) : []) {
      pre.append(line.slice(at, start), element("span", `t-${CLASSES[kind] ?? "plain"}`, line.slice(start, end)));
      at = end;
    }
    pre.append(line.slice(at));
  });
  return pre;
}
