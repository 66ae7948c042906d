// The definition of a name, and another name in all of its places.

import { EditorView, keymap, showDialog } from "@codemirror/view";
import { position } from "./places.js";

/** `ask(method, ...args)` asks the compiler about the text that the editor has now; `go(place)` shows a definition,
 * `edit(edits)` changes files, and `tell(text)` says why nothing happens. */
export function naming({ ask, go, edit, tell }) {
  async function define(view, at) {
    const { doc } = view.state;
    const [place] = await ask("definition", ...position(doc, at));
    if (doc !== view.state.doc) return;
    if (place) go(place);
    else tell("There is no name here");
  }

  async function rename(view) {
    const { doc, selection } = view.state, at = position(doc, selection.main.head);
    const found = await ask("renamable", ...at);
    if (doc !== view.state.doc) return;
    if (!found || found.refused) return tell(found ? sentence(found.refused) : "There is no name here");
    const input = { type: "text", name: "name", value: found.placeholder, autocomplete: "off", autocapitalize: "off", spellcheck: "false" };
    const { result } = showDialog(view, { label: `New name of ${found.placeholder}`, input, submitLabel: "Rename", focus: true, top: true, class: "rename" });
    const form = await result;
    view.focus();
    const name = form?.elements.name.value.trim();
    if (!name || name === found.placeholder || doc !== view.state.doc) return;
    const { edits, told, refused } = await ask("renamed", ...at, name);
    if (refused) return tell(sentence(refused));
    if (doc !== view.state.doc) return;
    edit(edits);
    told.forEach(tell);
  }

  const atCursor = (view) => view.state.selection.main.head;
  return [
    keymap.of([
      { key: "F2", run: (view) => (rename(view), true) },
      { key: "F12", run: (view) => (define(view, atCursor(view)), true) },
    ]),
    EditorView.domEventHandlers({
      mousedown(event, view) {
        const at = event.ctrlKey || event.metaKey ? view.posAtCoords({ x: event.clientX, y: event.clientY }) : null;
        if (at === null || event.button !== 0) return false;
        define(view, at);
        return true;
      },
    }),
  ];
}

/** The reason of the compiler, without its signs for code. */
const sentence = (text) => text.replaceAll("`", "").replace(/^./, (first) => first.toUpperCase());
