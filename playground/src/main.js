// The page: what is written goes to the compiler, and what it says goes into the page.

import { Prec } from "@codemirror/state";
import { keymap } from "@codemirror/view";
import { startCompiler } from "./compiler.js";
import { completing } from "./completion.js";
import { createEditor, showChecked, showLights, withCursorInView } from "./editor.js";
import { areFiles, filesIn, written } from "./files.js";
import { LONGEST, filesIn as filesInLink, linkTo } from "./link.js";
import { colored, element, rendered } from "./markdown.js";
import { naming } from "./names.js";
import { pictureIn, showNothing, showProblems, showSharing, tabs } from "./panels.js";
import { offset, position } from "./places.js";

const $ = (id) => document.getElementById(id);
const DRAFT = "wsdl.files", THEME = "wsdl.theme";
const PAUSE = 40; // milliseconds after a change before the text is checked

// -- the compiler ---------------------------------------------------------------------------------------------------

let failed = false;
const compiler = startCompiler(({ progress, failed: why }) => {
  if (progress) say(`${progress}…`);
  if (why) (failed = true), say(`The compiler could not be started: ${why}`, "error");
});

function say(text, severity = "") {
  $("state").textContent = text;
  $("state").dataset.severity = severity;
}

let fading;
/** What has been done, for some seconds; longer with a button that takes it back. */
function note(text, undo) {
  $("notice").textContent = text;
  if (undo) {
    const button = $("notice").appendChild(element("button", "", "Undo"));
    button.type = "button";
    button.addEventListener("click", undo);
  }
  clearTimeout(fading);
  fading = setTimeout(() => ($("notice").textContent = ""), undo ? 20_000 : 8000);
}

// -- the program -----------------------------------------------------------------------------------------------------

let timer, checking = false, changed = false, checked = null, first = true;
let linked = null; // the files of the link in the address bar, as `written` gives them

const editor = createEditor($("editor"), {
  onText,
  onPlace,
  hover: (line, character) => ask("hover", line, character),
  more: [Prec.high(keymap.of([
    { key: "Mod-z", run: () => broughtBack(files.undo()) },
    { key: "Mod-y", run: () => files.redo() },
    { key: "Mod-Shift-z", run: () => files.redo() },
  ])), completing(ask, (name) => compiler.ask("documentation", name)), naming({ ask, go, tell: note, edit: (edits) => files.edit(edits, "input.rename") })],
});
const view = editor.view;
const files = filesIn($("files"), editor, {
  tell: note,
  onChange: onText,
  onShow() {
    onText();
    markExample();
    picture.clear();
    for (const name of Object.keys(panels)) delete $(name).dataset.shown;
    $("sharing").replaceChildren();
    $("formatted").replaceChildren();
  },
});

function onText() {
  checked = null;
  $("state").ariaBusy = "true";
  clearTimeout(timer);
  timer = setTimeout(check, PAUSE);
}

/** Asks about the file in the editor, as it is now. */
async function ask(method, ...args) {
  const [, answer] = await Promise.all([compiler.ask("write", JSON.stringify(files.texts())), compiler.ask(method, files.current(), ...args)]);
  return answer;
}

async function check() {
  if (checking) return void (changed = true);
  checking = true;
  const doc = view.state.doc, began = performance.now(), texts = files.texts();
  store(DRAFT, JSON.stringify({ files: texts, shown: files.current() }));
  if (linked !== null && linked !== written(texts)) address(null, ""); // another program than that of the link
  const slow = setTimeout(() => first || say("Checking…"), 250);
  try {
    const answer = await ask("check").finally(() => clearTimeout(slow));
    if (doc === view.state.doc) show(answer, performance.now() - began);
  } catch (error) {
    if (!failed) say(`The compiler failed: ${error.message}`);
  }
  checking = false;
  if (changed) (changed = false), check();
}

function show(answer, took) {
  checked = answer;
  $("state").ariaBusy = "false";
  showChecked(view, { ...answer, diagnostics: answer.diagnostics[files.current()] }, fix);
  withCursorInView(view, () => showProblems($("problems"), answer.diagnostics, files.current(), { go, fix, explain }));
  const counted = [1, 2, 3].map((severity) => Object.values(answer.diagnostics).flat().filter((d) => d.severity === severity).length);
  const named = counted.map((n, i) => n && `${n} ${["error", "warning", "note"][i]}${n > 1 ? "s" : ""}`).filter(Boolean);
  const severity = counted[0] ? "error" : counted[1] ? "warning" : "good";
  say(`${named.join(", ") || "No problems"}${first ? "" : ` · ${Math.round(took)} ms`}`, severity);
  first = false;
  stale = new Set(["picture", "sharing", "formatted"]);
  markExample();
  showPanel().then(editor.tellPlace);
}

function fix({ edits }) {
  files.edit(edits, "input.fix");
  view.focus();
}

/** Shows a place in a file; one in the standard library, which comes with its text, on a page. */
function go({ file, range, text }) {
  if (text !== undefined) return showPage(element("h2", "", `${file}, in the standard library`), colored(declaration(text.split("\n"), range.start.line)));
  files.show(file);
  const doc = view.state.doc;
  view.dispatch({ selection: { anchor: offset(doc, range.start), head: offset(doc, range.end) }, scrollIntoView: true });
  return view.focus();
}

/** The declaration around a line, with its comment. */
function declaration(lines, line) {
  const end = lines.indexOf("}", line);
  let start = line;
  while (start && (/^ /.test(lines[start]) || /^##/.test(lines[start - 1]))) start -= 1;
  return lines.slice(start, end + 1).join("\n");
}

async function explain(code) {
  showPage(...rendered(await compiler.ask("explain", code)).childNodes);
}

function showPage(...nodes) {
  const text = element("div", "explained");
  text.append(...nodes);
  text.querySelector("h2").id = "page-title";
  $("page-text").replaceChildren(text);
  $("page").showModal();
}

// -- what stands beside it ---------------------------------------------------------------------------------------------

let stale = new Set(); // the panels that show another version
const picture = pictureIn($("drawing"), $("said"), (places) => showLights(view, checked ? places : []));
const chosen = tabs($("tabs"), () => showPanel());

const panels = {
  picture: (answer) => picture.draw(answer),
  sharing: (answer) => showSharing($("sharing"), answer),
  formatted(answer) {
    const apply = element("button", "", answer.edits.length ? "Format the program" : "The program is formatted");
    apply.type = "button";
    apply.disabled = !answer.edits.length;
    apply.addEventListener("click", () => files.edit({ [files.current()]: answer.edits }, "input.format"));
    $("formatted").replaceChildren(apply, colored(answer.text));
  },
};

async function showPanel() {
  const name = chosen(), of = checked;
  const kept = () => ($("stale").hidden = !checked || !$(name).dataset.shown || !stale.has(name));
  if (!of || !stale.has(name)) return kept();
  const answer = await ask(name);
  if (of !== checked) return undefined;
  if (answer?.models || (answer === null && !$(name).dataset.shown)) {
    if (name === "picture") picture.clear();
    delete $(name).dataset.shown;
    showNothing($(name === "picture" ? "drawing" : name), files.current(), answer && answer.models, files.show);
  } else if (answer !== null) {
    stale.delete(name);
    panels[name](answer);
    $(name).dataset.shown = "yes";
  }
  return kept();
}

let places = 0; // at which something was asked
async function onPlace(at) {
  const of = checked, asked = ++places;
  if (!of) return; // it is told again when this text is checked
  if (at === null) return showLights(view, picture.unpoint());
  const [line, character] = position(view.state.doc, at);
  const found = await ask("highlights", line, character);
  if (of !== checked || asked !== places) return;
  const inPicture = picture.point(line, character);
  showLights(view, found?.map(({ range }) => range) ?? inPicture);
}

// -- examples, links, files ---------------------------------------------------------------------------------------------

const examples = fetch("examples.json").then((response) => response.json());
examples.then((groups) => {
  for (const [label, programs] of Object.entries(groups)) {
    const group = $("examples").appendChild(element("optgroup"));
    group.label = label;
    for (const { name, about } of programs) group.append(new Option(about ? `${name}: ${about}` : name, name));
  }
});

$("examples").addEventListener("change", async ({ target }) => {
  const all = Object.values(await examples).flat();
  const example = all.find((one) => one.name === target.value);
  if (example !== undefined) open(example.files);
});

const exampleNames = examples.then((groups) => new Map(Object.values(groups).flat().map(({ name, files: texts }) => [written(texts), name])));

/** The list shows which example this is, so that one that was changed can be chosen again. */
async function markExample() {
  $("examples").value = (await exampleNames).get(written(files.texts())) ?? "";
}

/** Puts other files in place of these, and tells how to bring them back if they are somebody's work. */
async function open(texts) {
  const before = files.texts(), [name, ...others] = Object.keys(before);
  note(""); // what it says may be about another program
  if (!files.open(texts) || (await exampleNames).has(written(before)) || !Object.values(before).some((text) => text.trim())) return;
  note(`Replaced ${name}${others.length ? ` and ${others.length} more` : ""}`, () => broughtBack(files.bringBack()));
}

function broughtBack(done) {
  if (done) note(`${files.current()} is back`);
  return done;
}

$("link").addEventListener("click", async () => {
  const texts = files.texts(), link = await linkTo(files.texts(true));
  if (link === null) return note(`The program is too long for a link of ${LONGEST.toLocaleString("en")} characters: download it instead`);
  address(written(texts), link);
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
  return note(copied ? `Copied a link of ${link.length.toLocaleString("en")} characters` : "The link is in the address bar");
});

/** The file, or an archive of several. */
$("download").addEventListener("click", async () => {
  const texts = files.texts(), [name, ...others] = Object.keys(texts);
  const packed = others.length ? atob(await compiler.ask("archive", JSON.stringify(texts))) : null;
  const blob = packed === null ? new Blob([texts[name]]) : new Blob([Uint8Array.from(packed, (char) => char.charCodeAt(0))]);
  const download = packed === null ? name : name.replace(/\.wsd$/, ".zip");
  const file = Object.assign(element("a"), { href: URL.createObjectURL(blob), download });
  file.click();
  setTimeout(() => URL.revokeObjectURL(file.href), 10_000);
});

function address(texts, link) {
  linked = texts;
  history.replaceState(null, "", link || location.pathname + location.search);
}

/** Opens the files of the link; false if there are none. */
async function openLinked() {
  let found;
  try {
    found = await filesInLink(location.hash);
  } catch {
    note("The program in this link isn't whole: it may have been cut off");
    return false;
  }
  linked = found && written(found);
  if (found) open(found);
  return found !== null;
}

addEventListener("hashchange", openLinked);

// -- the theme ------------------------------------------------------------------------------------------------------------

$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  store(THEME, root.dataset.theme);
});

function store(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {} // a browser may keep nothing
}

function stored(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

// -- the beginning --------------------------------------------------------------------------------------------------------

/** The files that were here last. */
function draft() {
  const { files: texts, shown } = JSON.parse(stored(DRAFT) ?? "{}");
  return areFiles(texts ?? null) ? [texts, shown in texts ? shown : undefined] : null;
}

const kept = draft();
if (kept) files.open(...kept);
if (!(await openLinked()) && !kept) files.open(Object.values(await examples)[0][0].files);
if (/Mac|iPhone|iPad/.test(navigator.platform)) $("modifier").textContent = "⌘";
