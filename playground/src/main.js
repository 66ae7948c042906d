// The page: what is written goes to the compiler, and what it says goes into the page.

import { startCompiler } from "./compiler.js";
import { applyFix, changes, createEditor, offset, position, showChecked, showLights } from "./editor.js";
import { LONGEST, linkTo, programIn } from "./link.js";
import { colored, element, rendered } from "./markdown.js";
import { pictureIn, showProblems, showSharing, tabs } from "./panels.js";

const $ = (id) => document.getElementById(id);
const DRAFT = "wsdl.program", THEME = "wsdl.theme";
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
/** What has been done, for some seconds. */
function note(text) {
  $("notice").textContent = text;
  clearTimeout(fading);
  fading = setTimeout(() => ($("notice").textContent = ""), 8000);
}

// -- the program -----------------------------------------------------------------------------------------------------

let timer, checking = false, changed = false, checked = null, first = true;
let linked = null; // the program of the link in the address bar

const view = createEditor($("editor"), {
  onText() {
    checked = null;
    clearTimeout(timer);
    timer = setTimeout(check, PAUSE);
  },
  onPlace,
  hover: (line, character) => (checked ? compiler.ask("hover", line, character) : null),
});

const text = () => view.state.doc.toString();

function open(program) {
  view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: program }, selection: { anchor: 0 }, scrollIntoView: true });
}

async function check() {
  if (checking) return void (changed = true);
  checking = true;
  const doc = view.state.doc, began = performance.now();
  store(DRAFT, doc.toString());
  if (linked !== null && linked !== doc.toString()) address(null, ""); // another program than that of the link
  const slow = setTimeout(() => first || say("Checking…"), 250);
  try {
    const answer = await compiler.ask("check", doc.toString()).finally(() => clearTimeout(slow));
    if (doc === view.state.doc) show(answer, performance.now() - began);
  } catch (error) {
    if (!failed) say(`The compiler failed: ${error.message}`);
  }
  checking = false;
  if (changed) (changed = false), check();
}

function show(answer, took) {
  checked = answer;
  showChecked(view, answer);
  showProblems($("problems"), answer.diagnostics, { go, fix: (fix) => applyFix(view, fix), explain });
  const counted = [1, 2, 3].map((severity) => answer.diagnostics.filter((d) => d.severity === severity).length);
  const named = counted.map((n, i) => n && `${n} ${["error", "warning", "note"][i]}${n > 1 ? "s" : ""}`).filter(Boolean);
  const severity = counted[0] ? "error" : counted[1] ? "warning" : "good";
  say(`${named.join(", ") || "No problems"}${first ? "" : ` · ${Math.round(took)} ms`}`, severity);
  first = false;
  stale = new Set(["picture", "sharing", "formatted"]);
  showPanel();
}

function go(range) {
  const doc = view.state.doc;
  view.dispatch({ selection: { anchor: offset(doc, range.start), head: offset(doc, range.end) }, scrollIntoView: true });
  view.focus();
}

async function explain(code) {
  $("page-text").replaceChildren(rendered(await compiler.ask("explain", code), "explained"));
  $("page-text").querySelector("h2").id = "page-title";
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
    apply.addEventListener("click", () => view.dispatch({ changes: changes(view.state.doc, answer.edits), userEvent: "input.format" }));
    $("formatted").replaceChildren(apply, colored(answer.text));
  },
};

async function showPanel() {
  const name = chosen(), of = checked;
  const kept = () => ($("stale").hidden = !checked || !$(name).dataset.shown || !stale.has(name) );
  if (!of || !stale.has(name)) return kept();
  const answer = await compiler.ask(name);
  if (of !== checked) return undefined;
  if (answer !== null) {
    stale.delete(name);
    panels[name](answer);
    $(name).dataset.shown = "yes";
  }
  return kept();
}

async function onPlace(at) {
  const of = checked;
  if (!of) return;
  if (at === null) return showLights(view, picture.unpoint());
  const [line, character] = position(view.state.doc, at);
  const places = await compiler.ask("highlights", line, character);
  if (of !== checked) return;
  const inPicture = picture.point(line, character);
  showLights(view, places?.map(({ range }) => range) ?? inPicture);
}

// -- examples, links, files ---------------------------------------------------------------------------------------------

const examples = fetch("examples.json").then((response) => response.json());
let name = "program";

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
  if (example === undefined) return;
  name = example.name;
  open(example.text);
});

$("link").addEventListener("click", async () => {
  const link = await linkTo(text());
  if (link === null) return note(`The program is too long for a link of ${LONGEST.toLocaleString("en")} characters: download it instead`);
  address(text(), link);
  const copied = await navigator.clipboard?.writeText(link).then(() => true, () => false);
  return note(copied ? `Copied a link of ${link.length.toLocaleString("en")} characters` : "The link is in the address bar");
});

$("download").addEventListener("click", () => {
  const file = Object.assign(element("a"), {
    href: URL.createObjectURL(new Blob([text()], { type: "text/plain" })),
    download: `${name.split("/").at(-1)}.wsd`,
  });
  file.click();
  setTimeout(() => URL.revokeObjectURL(file.href), 10_000);
});

function address(program, link) {
  linked = program;
  history.replaceState(null, "", link || location.pathname + location.search);
}

/** Opens the program of the link; false if there is none. */
async function openLinked() {
  try {
    linked = await programIn(location.hash);
  } catch {
    note("The program in this link isn't whole: it may have been cut off");
    return false;
  }
  if (linked !== null) open(linked);
  return linked !== null;
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

if (!(await openLinked())) open(stored(DRAFT) ?? Object.values(await examples)[0][0].text);
if (/Mac|iPhone|iPad/.test(navigator.platform)) $("modifier").textContent = "⌘";
