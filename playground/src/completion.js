// Completion and the parameters of the call around the cursor, as the compiler proposes and knows them.

import { acceptCompletion, autocompletion, snippet } from "@codemirror/autocomplete";
import { StateEffect, StateField } from "@codemirror/state";
import { EditorView, keymap, showTooltip } from "@codemirror/view";
import { element, rendered } from "./markdown.js";
import { position } from "./places.js";

const BEGINS = /(?<!\d)[\p{L}_][\p{L}\d_]*$|(?<!\d)\.$|["/]$|\|> ?$/u; // what a list opens behind while one types
const NEARER = 8; // points of CodeMirror's order for each step that a proposal is nearer
const KINDS = {
  Class: "block", Module: "block", Function: "function", Keyword: "keyword", TypeParameter: "type", Constant: "number",
  Property: "plain", Field: "plain", Variable: "plain", File: "string", Folder: "string",
}; // prettier-ignore

// -- completion ---------------------------------------------------------------------------------------------------------

/** `ask(method, ...args)` asks the compiler about the text that the editor has now, `documentation(name)` for what there is to
 * say about a name of the language. */
export function completing(ask, documentation) {
  async function proposals(context) {
    if (!context.explicit && !context.matchBefore(BEGINS)) return null;
    const doc = context.state.doc, [line, character] = position(doc, context.pos);
    const found = await ask("completions", line, character);
    if (context.aborted || !found.length) return null;
    return { from: doc.line(line + 1).from + found[0].start, options: found.map(option), validFor: /^[\p{L}\d_]*$/u };
  }

  function option({ label, kind, detail, sort, text, snippet: isSnippet, about }) {
    const name = label.replace(/=$/, ""), signature = detail.startsWith(name) ? detail.slice(name.length).replace(/^: /, "") : detail;
    return {
      label,
      detail: signature,
      type: KINDS[kind] ?? "plain",
      boost: -NEARER * (sort.charCodeAt(0) - "a".charCodeAt(0)),
      sortText: sort,
      apply: isSnippet ? snippet(text.replace(/\$(\d)/g, "${$1}")) : text,
      info: async () => described(label, detail, await documentation(about)),
    };
  }

  return [
    autocompletion({ override: [proposals], icons: false, optionClass: ({ type }) => `t-${type}`, activateOnTypingDelay: 20, maxRenderedOptions: 50 }),
    keymap.of([{ key: "Tab", run: acceptCompletion }]),
    parameters(ask),
  ];
}

/** What stands beside the list: the documentation, or else a signature that may be cut off there. */
function described(label, detail, text) {
  if (text) return rendered(text, "about");
  return detail.startsWith(`${label}(`) ? rendered(`\`\`\`wsd\n${detail}\n\`\`\`\n`, "about") : null;
}

// -- parameters of a call --------------------------------------------------------------------------------------------------

const setSignature = StateEffect.define();

const signature = StateField.define({
  create: () => null,
  update(value, transaction) {
    const set = transaction.effects.find((effect) => effect.is(setSignature));
    return set ? set.value : value && { ...value, pos: transaction.changes.mapPos(value.pos) };
  },
  provide: (field) => showTooltip.from(field),
});

function parameters(ask) {
  let last = 0;
  async function show(view) {
    const asked = ++last, { doc, selection } = view.state, at = selection.main.head;
    const found = await ask("signature", ...position(doc, at));
    if (asked === last && doc === view.state.doc) set(view, found && { pos: at, above: true, create: () => ({ dom: called(found) }) });
  }
  function set(view, value) {
    last += 1;
    if (value || view.state.field(signature)) view.dispatch({ effects: setSignature.of(value) });
  }
  const isShown = (view) => view.state.field(signature, false) != null;
  const opens = (update) => {
    const { doc, selection } = update.state, at = selection.main.head;
    const behind = doc.sliceString(Math.max(0, at - 1), at), is = (event) => update.transactions.some((t) => t.isUserEvent(event));
    return is("input.complete") || (is("input.type") && "(,".includes(behind || " "));
  };
  return [
    signature,
    keymap.of([
      { key: "Mod-Shift-Space", run: (view) => (show(view), true) },
      { key: "Escape", run: (view) => isShown(view) && (set(view, null), true) },
    ]),
    EditorView.updateListener.of((update) => {
      if (update.docChanged ? opens(update) || isShown(update.view) : update.selectionSet && isShown(update.view)) show(update.view);
    }),
    EditorView.domEventHandlers({ blur: (_, view) => set(view, null) }),
  ];
}

/** The signature with the parameter at the cursor, and the first paragraph of what it says. */
function called({ signatures: [{ label, parameters, documentation }], active_parameter: active }) {
  const box = element("div", "signature"), line = box.appendChild(element("code"));
  let at = 0;
  parameters.forEach(({ label: parameter }, number) => {
    const start = label.indexOf(parameter, at);
    line.append(label.slice(at, start), element(number === active ? "strong" : "span", "", parameter));
    at = start + parameter.length;
  });
  line.append(label.slice(at));
  if (documentation) box.append(...rendered(documentation.value.split("\n\n")[0]).childNodes);
  return box;
}
