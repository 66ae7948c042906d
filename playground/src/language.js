// The language for CodeMirror: its colors are the rules of wsdl/highlighting, which `make golden` writes to highlighting.json.

import { HighlightStyle, StreamLanguage, indentUnit, syntaxHighlighting } from "@codemirror/language";
import { tags } from "@lezer/highlight";
import { coloring } from "./coloring.js";
import regions from "./highlighting.json";

export const tokens = coloring(regions);
const STEP = 4; // spaces of indentation

const parser = {
  name: "wsdl",
  startState: () => ({ stack: ["program"], line: [], depth: 0 }),
  copyState: (state) => ({ ...state, stack: [...state.stack] }),
  token(stream, state) {
    if (stream.sol()) state.line = tokens(stream.string, state.stack);
    const next = state.line.find(([start, end]) => end > stream.pos);
    if (next === undefined) {
      stream.skipToEnd();
      return null;
    }
    const [start, end, kind] = next;
    if (start > stream.pos) {
      stream.pos = start;
      return null;
    }
    stream.pos = end;
    if (kind === "punctuation") for (const sign of stream.string.slice(start, end)) state.depth += "{([".includes(sign) - "})]".includes(sign);
    return kind.replace(" ", "-");
  },
  indent(state, textAfter) {
    return Math.max(0, state.depth - /^\s*[})\]]/.test(textAfter)) * STEP;
  },
  languageData: { commentTokens: { line: "#" }, indentOnInput: /^\s*[})\]]$/, closeBrackets: { brackets: ["(", "[", "{", '"'] } },
  tokenTable: {
    documentation: tags.docComment, comment: tags.lineComment, string: tags.string, escape: tags.escape,
    placeholder: tags.special(tags.string), number: tags.number, keyword: tags.keyword, "word-operator": tags.operatorKeyword,
    constant: tags.bool, type: tags.typeName, declared: tags.definition(tags.className), layer: tags.definition(tags.variableName),
    dimension: tags.labelName, field: tags.propertyName, argument: tags.attributeName, "standard-block": tags.standard(tags.className),
    block: tags.className, operation: tags.standard(tags.variableName), function: tags.function(tags.variableName),
    name: tags.variableName, pipe: tags.operator, arrow: tags.operator, operator: tags.operator, punctuation: tags.punctuation,
  }, // prettier-ignore
};

const style = HighlightStyle.define([
  { tag: [tags.lineComment, tags.docComment], color: "var(--comment)", fontStyle: "italic" },
  { tag: tags.string, color: "var(--string)" },
  { tag: [tags.escape, tags.special(tags.string)], color: "var(--dimension)" },
  { tag: [tags.number, tags.bool], color: "var(--number)" },
  { tag: [tags.keyword, tags.operatorKeyword], color: "var(--keyword)" },
  { tag: tags.typeName, color: "var(--type)" },
  { tag: [tags.className, tags.definition(tags.className), tags.standard(tags.className)], color: "var(--block)" },
  { tag: [tags.standard(tags.variableName), tags.function(tags.variableName)], color: "var(--function)" },
  { tag: tags.labelName, color: "var(--dimension)" },
  { tag: tags.definition(tags.variableName), fontWeight: "600" },
  { tag: [tags.operator, tags.punctuation], color: "var(--quiet)" },
]);

export const language = [StreamLanguage.define(parser), syntaxHighlighting(style), indentUnit.of(" ".repeat(STEP))];
