// The files of the program: one is in the editor, and each keeps its history.

import { redoDepth, undoDepth } from "@codemirror/commands";
import { element } from "./markdown.js";
import { changes } from "./places.js";

const NAME = /^[\p{L}\d_-]+(\.[\p{L}\d_-]+)*\.wsd$/u; // as in wsdl/playground/link.py
export const FIRST = "program.wsd"; // the name of a file that has none

/** Whether an object is one of texts by names of files. */
export const areFiles = (found) =>
  found !== null && typeof found === "object" && Object.keys(found).length > 0 &&
  Object.entries(found).every(([name, text]) => NAME.test(name) && typeof text === "string"); // prettier-ignore

/** Texts by names, in one text. */
export const written = (texts) => JSON.stringify(Object.entries(texts).sort());

/** The files, with a button for each in `bar`. `onShow()` is called when another one is in the editor, `onChange()` when one
 * has come, gone, or got another name or text; `tell(text)` says what can't be done. */
export function filesIn(bar, { view, stateOf }, { onShow, onChange, tell }) {
  let names = [FIRST], current = FIRST, naming = null;
  let states = new Map(); // of all files but the current one
  let begun = false, past = [], future = []; // programs before this one, and behind it; of those the texts that they are behind
  const program = () => ({ names, current, states: new Map(states).set(current, view.state) });
  const stateIn = (name) => (name === current ? view.state : states.get(name));
  const files = {
    current: () => current,
    /** The texts by name; `shownFirst` begins with the file in the editor. */
    texts(shownFirst = false) {
      const ordered = shownFirst ? [current, ...names.filter((name) => name !== current)] : names;
      return Object.fromEntries(ordered.map((name) => [name, stateIn(name).doc.toString()]));
    },
    /** Another program in place of this one, which `undo` brings back; false if it is the same. */
    open(texts, shown = Object.keys(texts)[0]) {
      if (begun && written(texts) === written(files.texts())) return false;
      if (begun) past.push(program());
      [begun, future] = [true, []];
      put({ names: Object.keys(texts), current: shown, states: new Map(Object.entries(texts).map(([name, text]) => [name, stateOf(text)])) });
      return true;
    },
    show(name) {
      if (name !== current && states.has(name)) put({ ...program(), current: name });
    },
    /** Brings back the program before this one when nothing is left to be undone in this one; true if it did. */
    undo() {
      if (undoDepth(view.state) || !past.length) return false;
      const changed = names.find((name) => undoDepth(stateIn(name)));
      if (changed) return tell(`Before that, ${changed} was changed: undo that first`), false;
      return files.bringBack();
    },
    /** Brings back the program before this one, with the histories of its files; false if there is none. */
    bringBack() {
      if (!past.length) return false;
      const next = program();
      put(past.pop());
      future.push({ next, behind: written(files.texts()) });
      return true;
    },
    /** Goes on to the program in whose place this one was brought back, if nothing was changed since then. */
    redo() {
      if (redoDepth(view.state) || future.at(-1)?.behind !== written(files.texts())) return false;
      past.push(program());
      put(future.pop().next);
      return true;
    },
    /** Changes files; `edits` are those of the protocol by name. */
    edit(edits, userEvent) {
      for (const [name, listed] of Object.entries(edits)) {
        if (!names.includes(name)) continue;
        const change = { changes: changes(stateIn(name).doc, listed), userEvent };
        if (name === current) view.dispatch(change);
        else states.set(name, states.get(name).update(change).state);
      }
      onChange();
    },
  };

  function put(program) {
    ({ names, current } = program);
    states = new Map(program.states);
    view.setState(states.get(current));
    view.dispatch({ scrollIntoView: true });
    states.delete(current);
    draw();
    onShow();
  }

  function add() {
    let name = "module.wsd";
    for (let n = 2; names.includes(name); n++) name = `module${n}.wsd`;
    names = [...names, name];
    states.set(name, stateOf(""));
    files.show(name);
    onChange();
    rename();
  }

  function remove() {
    if (view.state.doc.length && !confirm(`Remove ${current}?`)) return;
    const gone = current, next = names[names.indexOf(gone) - 1] ?? names[names.indexOf(gone) + 1];
    files.show(next);
    states.delete(gone);
    names = names.filter((name) => name !== gone);
    draw();
    onChange();
    view.focus();
  }

  function rename() {
    naming = current;
    draw();
    const input = bar.querySelector("input");
    input.focus();
    input.setSelectionRange(0, current.length - ".wsd".length);
  }

  /** Gives the file that is being named its name, also where others import it. */
  function named(written) {
    const old = naming, name = /\.wsd$/.test(written) ? written : `${written}.wsd`;
    naming = null;
    if (!written || name === old) return draw();
    if (names.includes(name)) tell(`There is a file ${name} already`);
    else if (!NAME.test(name)) tell("Names of files have letters, digits, _, - and dots");
    else {
      names = names.map((other) => (other === old ? name : other));
      if (current === old) current = name;
      else states.set(name, states.get(old)), states.delete(old);
      for (const other of names) {
        const found = [...stateIn(other).doc.toString().matchAll(/^from "(?:\.\/)?([^"\n]*)"/gm)].filter(([, imported]) => imported === old);
        const change = { changes: found.map(({ index, 0: { length } }) => ({ from: index + length - 1 - old.length, to: index + length - 1, insert: name })) };
        if (other === current) view.dispatch(change);
        else states.set(other, states.get(other).update(change).state);
      }
      onChange();
    }
    draw();
  }

  function draw() {
    bar.replaceChildren(...names.map(drawn), button("+", "New file", add));
    bar.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  function drawn(name) {
    const one = element("span", name === current ? "file current" : "file");
    if (name === naming) {
      const input = Object.assign(one.appendChild(element("input")), { value: name, ariaLabel: "Name of the file", size: 16, spellcheck: false, autocomplete: "off" });
      input.addEventListener("keydown", (event) => {
        if (event.key !== "Enter" && event.key !== "Escape") return;
        event.preventDefault(); // else the editor, which is focused now, gets it
        named(event.key === "Enter" ? input.value.trim() : "");
        view.focus();
      });
      input.addEventListener("blur", () => naming && named(input.value.trim()));
      return one;
    }
    const show = one.appendChild(button(name, "", () => files.show(name)));
    if (name !== current) return one;
    show.setAttribute("aria-current", "true");
    one.append(button("✎", `Rename ${name}`, rename));
    if (names.length > 1) one.append(button("✕", `Remove ${name}`, remove));
    return one;
  }

  return files;
}

function button(text, label, act) {
  const made = Object.assign(element("button", "", text), { type: "button" });
  if (label) Object.assign(made, { ariaLabel: label, title: label });
  made.addEventListener("click", act);
  return made;
}
