// What stands beside the program: the picture, what is stored, the formatted text; and below it the problems.

import { colored, element, inline } from "./markdown.js";

// -- tabs ----------------------------------------------------------------------------------------------------------

/** Tabs as the ARIA pattern has them: arrows move, the chosen one is in the order of the Tab key. `onShow(name)` */
export function tabs(list, onShow) {
  const all = [...list.querySelectorAll("[role=tab]")];
  const show = (tab) => {
    for (const other of all) {
      const chosen = other === tab;
      other.setAttribute("aria-selected", String(chosen));
      other.tabIndex = chosen ? 0 : -1;
      document.getElementById(other.getAttribute("aria-controls")).hidden = !chosen;
    }
    onShow(tab.dataset.panel);
  };
  for (const tab of all) tab.addEventListener("click", () => show(tab));
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    const to = { Home: 0, End: all.length - 1 }[event.key] ?? (step && (all.indexOf(document.activeElement) + step + all.length) % all.length);
    if (to === undefined) return;
    event.preventDefault();
    all[to].focus();
    show(all[to]);
  });
  return () => all.find((tab) => tab.getAttribute("aria-selected") === "true").dataset.panel;
}

// -- the picture -------------------------------------------------------------------------------------------------

/** The picture in `box`. `onLight(places)` gets the places in the program that read what is lit. */
export function pictureIn(box, said, onLight) {
  let show = () => {}, places = {}, pinned = [], pointed = [], quiet = false;
  const named = (target) => [target.closest?.("g.node[role=button]")].filter(Boolean).map((node) => node.querySelector("title").textContent);
  const lit = () => [...box.querySelectorAll(".node.on title")].flatMap((title) => places[title.textContent] ?? []);
  const here = () => (pointed.length ? pointed : pinned); // before all that the editor points at
  const quietly = (names) => ((quiet = true), show(...names), (quiet = false));
  const pointAt = (names) => ((pointed = names), show(...here()));
  box.addEventListener("pointerover", ({ target }) => pointAt(named(target)));
  box.addEventListener("pointerleave", () => pointAt([]));
  box.addEventListener("click", (event) => {
    if (!event.target.closest("svg")) return;
    const names = named(event.target);
    pinned = names[0] === pinned[0] ? [] : names;
    show(...pinned);
    event.stopPropagation();
  }, true);
  box.addEventListener("keydown", ({ key, target }) => {
    if (key === "Enter" || key === " ") pinned = named(target);
  }, true);
  return {
    clear() {
      [show, places, pinned, pointed] = [() => {}, {}, [], []];
      box.textContent = "";
    },
    draw(picture) {
      places = picture.places;
      [pinned, pointed] = [[], []];
      box.innerHTML = picture.svg.slice(picture.svg.indexOf("<svg"));
      const svg = box.querySelector("svg");
      svg.setAttribute("role", "group");
      svg.setAttribute("aria-label", "Picture of the program");
      svg.querySelector("g.graph > title")?.remove();
      show = light(svg, said);
      svg.addEventListener("light", ({ detail }) => {
        if (quiet) return;
        if (!detail.length) pinned = [];
        onLight(lit());
      });
    },
    /** Lights the tensors that a place in the program reads, or else what was clicked; gives the places of what is lit. */
    point(line, character) {
      const around = ({ start, end }) => start.line === line && start.character <= character && character <= end.character;
      const names = Object.keys(places).filter((node) => places[node].some(around));
      quietly(names.length && !pointed.length ? names : here());
      return lit();
    },
    unpoint() {
      quietly(here());
      return lit();
    },
  };
}

// -- nothing to show -------------------------------------------------------------------------------------------------

const MODEL = "model name(x: f32[n, 8]) -> f32[n, 4] {\n    return x |> Dense(4)\n}";

/** Why a panel is empty, and what to do: the program has errors, or `file` has no model. `models` are files that have one;
 * `show(file)` puts one into the editor. */
export function showNothing(box, file, models, show) {
  const why = element("div", "nothing"), say = (text) => why.append(element("p", "", text));
  if (models === null) say("Nothing can be shown before the errors are mended, which are listed below the program.");
  else {
    say(`There is no model in ${file}. What is shown here are models, with the blocks that they apply.`);
    if (!models.length) say("This is one:"), why.append(colored(MODEL));
    for (const other of models) {
      const open = why.appendChild(element("button", "", `Show ${other}`));
      open.type = "button";
      open.addEventListener("click", () => show(other));
    }
  }
  box.replaceChildren(why);
}

// -- what is stored ----------------------------------------------------------------------------------------------

export function showSharing(box, { head, tables, totals }) {
  box.replaceChildren(
    ...head.map((line) => colored(line)),
    ...tables.map(({ headers, rows, text }) => {
      const table = element("table");
      const row = (tag, cells) => {
        const made = element("tr", cells[0].startsWith(" ") ? "inner" : "");
        cells.forEach((cell, column) => {
          const one = made.appendChild(element(tag, text.includes(column) ? "" : "figure"));
          cell.trim().split(/(?<=\.)(?=\p{L})/u).forEach((part, n) => one.append(...(n ? [element("wbr")] : []), part)); // paths break behind dots
          if (tag === "th") one.scope = "col";
        });
        return made;
      };
      table.createTHead().append(row("th", headers));
      table.createTBody().append(...rows.map((cells) => row("td", cells)));
      const wide = element("div", "wide");
      Object.assign(wide, { tabIndex: 0, role: "region", ariaLabel: headers[0] });
      wide.append(table);
      return wide;
    }),
    ...totals.map((line) => element("p", "", line)),
  );
}

// -- problems ------------------------------------------------------------------------------------------------------

/** The list of diagnostics, by file; those of the file `current` come first. `go({ file, range })`, `fix(fix)`, `explain(code)` are
 * what its buttons do. */
export function showProblems(list, diagnostics, current, { go, fix, explain }) {
  const button = (text, kind, act) => {
    const made = element("button", kind, text);
    made.type = "button";
    made.addEventListener("click", act);
    return made;
  };
  const shown = (file, diagnostic) => {
    const severity = { 1: "error", 2: "warning", 3: "note" }[diagnostic.severity];
    const item = element("li", severity);
    const [message, ...more] = diagnostic.message.split("\n");
    const where = `${file === current ? "" : `${file}:`}${diagnostic.range.start.line + 1}:${diagnostic.range.start.character + 1}`;
    const title = item.appendChild(button("", "go", () => go({ file, range: diagnostic.range })));
    title.append(element("span", "severity", severity), " ", inline(element("span", "message"), message), " ", element("span", "where", where));
    for (const line of more) item.append(inline(element("p"), line));
    for (const related of diagnostic.related_information) {
      const one = item.appendChild(button("", "related", () => go(related)));
      inline(one, `${related.file === file ? "" : `${related.file}, `}line ${related.range.start.line + 1}: ${related.message}`);
    }
    const actions = item.appendChild(element("div", "actions"));
    for (const one of diagnostic.fixes) actions.append(button(one.title, "fix", () => fix(one)));
    if (diagnostic.code_description) actions.append(button(`Explain ${diagnostic.code}`, "explain", () => explain(diagnostic.code)));
    return item;
  };
  const files = Object.keys(diagnostics).sort((a, b) => (b === current) - (a === current));
  list.replaceChildren(...files.flatMap((file) => diagnostics[file].map((diagnostic) => shown(file, diagnostic))));
}
