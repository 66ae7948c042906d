// The editor: CodeMirror with the language's colors, what the compiler says of the text, and the keys for both.

import { closeBrackets, closeBracketsKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { bracketMatching, indentOnInput } from "@codemirror/language";
import { forEachDiagnostic, lintGutter, lintKeymap, nextDiagnostic, setDiagnostics } from "@codemirror/lint";
import { EditorState, StateEffect, StateField } from "@codemirror/state";
import {
  Decoration, EditorView, WidgetType, drawSelection, highlightActiveLine, highlightActiveLineGutter, hoverTooltip, keymap,
  lineNumbers,
} from "@codemirror/view"; // prettier-ignore
import { language } from "./language.js";
import { element, inline, rendered } from "./markdown.js";
import { offset, position, span } from "./places.js";

const SEVERITIES = { 1: "error", 2: "warning", 3: "info" };

// -- hints, lines above models, lights -------------------------------------------------------------------------------

class Note extends WidgetType {
  /** Of the kind `hint`, in a line, or `lens`, a line with an indentation. */
  constructor(text, kind, indent = null) {
    super();
    Object.assign(this, { text, kind, indent });
  }
  eq(other) {
    return other.text === this.text && other.indent === this.indent;
  }
  toDOM() {
    const note = element("span", this.kind, this.text);
    if (this.indent === null) return note;
    const line = element("div", "above");
    line.style.paddingInlineStart = `${this.indent}ch`;
    line.append(note);
    return line;
  }
}

const setNotes = StateEffect.define();
const setLights = StateEffect.define();

/** Decorations that an effect replaces, and that move with the text until then. */
const decorations = (effect) =>
  StateField.define({
    create: () => Decoration.none,
    update: (value, transaction) =>
      transaction.effects.reduce((now, e) => (e.is(effect) ? Decoration.set(e.value, true) : now), value.map(transaction.changes)),
    provide: (field) => EditorView.decorations.from(field),
  });

function notes(doc, { hints, lenses }) {
  const within = hints.map(({ position: at, label }) =>
    Decoration.widget({ widget: new Note(label, "hint"), side: 1 }).range(offset(doc, at)),
  );
  const above = lenses.map(({ range, command }) => {
    const line = doc.lineAt(offset(doc, range.start));
    const note = new Note(command.title, "lens", /^ */.exec(line.text)[0].length);
    return Decoration.widget({ widget: note, side: -1, block: true }).range(line.from);
  });
  return [...within, ...above];
}

// -- diagnostics ---------------------------------------------------------------------------------------------------

function asLint(doc, diagnostic, fix) {
  const [from, to] = span(doc, diagnostic.range);
  return {
    from, to,
    severity: SEVERITIES[diagnostic.severity],
    source: diagnostic.code,
    message: diagnostic.message,
    renderMessage() {
      const box = element("div");
      diagnostic.message.split("\n").forEach((line) => box.append(inline(element("p"), line)));
      return box;
    },
    actions: diagnostic.fixes.map((one) => ({ name: one.title, apply: () => fix(one) })),
  }; // prettier-ignore
}

/** Applies the first fix of the diagnostic at the cursor, or else of the next one. */
function fixNext(view) {
  const found = [];
  forEachDiagnostic(view.state, (diagnostic, from, to) => found.push({ diagnostic, from, to }));
  const fixable = found.filter(({ diagnostic }) => diagnostic.actions?.length);
  const head = view.state.selection.main.head;
  const chosen = fixable.find(({ from, to }) => from <= head && head <= to) ?? fixable.find(({ from }) => from >= head) ?? fixable[0];
  if (chosen === undefined) return false;
  chosen.diagnostic.actions[0].apply(view, chosen.from, chosen.to);
  return true;
}

// -- the editor --------------------------------------------------------------------------------------------------------

/** The editor in `parent`, and what makes states of it. `onText()` is called for each change, `onPlace(offset)` where the pointer
 * or the cursor is at a name, with null where there is none, and after `tellPlace()`; `hover(line, character)` gives what there
 * is to say about a place, `more` are further extensions. */
export function createEditor(parent, { onText, onPlace, hover, more }) {
  let pointed = null; // the offset under the pointer
  let told;
  const tell = (view) => {
    clearTimeout(told);
    told = setTimeout(() => {
      const at = pointed ?? (view.hasFocus ? view.state.selection.main.head : null);
      onPlace(at !== null && at <= view.state.doc.length && view.state.wordAt(at) ? at : null);
    }, 80);
  };
  const pointing = EditorView.domEventHandlers({
    mousemove(event, view) {
      const at = view.posAtCoords({ x: event.clientX, y: event.clientY }, true);
      if (at !== pointed) [pointed] = [at], tell(view);
    },
    mouseleave(_, view) {
      pointed = null;
      tell(view);
    },
    blur: (_, view) => tell(view),
  });
  const about = hoverTooltip(async (view, at) => {
    const doc = view.state.doc;
    const found = view.state.wordAt(at) ? await hover(...position(doc, at)) : null;
    if (!found || doc !== view.state.doc || pointed === null) return null; // the pointer may have left meanwhile
    const [pos, end] = span(doc, found.range);
    return { pos, end, above: true, create: () => ({ dom: rendered(found.contents.value, "about") }) };
  }, { hoverTime: 350 });
  const extensions = [
    lineNumbers(), lintGutter(), history(), drawSelection(), highlightActiveLine(), highlightActiveLineGutter(), bracketMatching(),
    closeBrackets(), indentOnInput(), language, more, decorations(setNotes), decorations(setLights), about, pointing,
    EditorView.contentAttributes.of({ "aria-label": "Program", tabindex: "0", spellcheck: "false", autocapitalize: "off" }),
    keymap.of([
      { key: "Mod-.", run: fixNext, preventDefault: true },
      { key: "F8", run: nextDiagnostic },
      ...closeBracketsKeymap, ...defaultKeymap, ...historyKeymap, ...lintKeymap,
    ]),
    EditorView.updateListener.of((update) => {
      if (update.docChanged) onText();
      if (update.selectionSet || update.focusChanged) tell(update.view);
    }),
  ]; // prettier-ignore
  const stateOf = (text) => EditorState.create({ doc: text, extensions });
  const view = new EditorView({ parent, state: stateOf("") });
  return { view, stateOf, tellPlace: () => tell(view) };
}

/** Shows what the compiler says of the text that the editor has now; `fix(fix)` applies a quick fix. */
export function showChecked(view, { diagnostics, hints, lenses }, fix) {
  const doc = view.state.doc;
  view.dispatch(setDiagnostics(view.state, diagnostics.map((diagnostic) => asLint(doc, diagnostic, fix))));
  view.dispatch({ effects: setNotes.of(notes(doc, { hints, lenses })) });
}

/** Keeps the cursor in view where a change beside the editor makes it lower. */
export function withCursorInView(view, change) {
  const height = view.dom.clientHeight;
  change();
  if (view.hasFocus && view.dom.clientHeight < height) view.dispatch({ effects: EditorView.scrollIntoView(view.state.selection.main.head) });
}

/** Lights ranges of the text. */
export function showLights(view, ranges) {
  const doc = view.state.doc;
  const marks = ranges.map((range) => span(doc, range)).filter(([from, to]) => from < to);
  view.dispatch({ effects: setLights.of(marks.map(([from, to]) => Decoration.mark({ class: "lit-use" }).range(from, to))) });
}
