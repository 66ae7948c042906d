// The page of the picture. Graphviz titles each node `n4`, a shared tensor `s0`, what is computed of it `c0`, and an edge
// `s0->n4`. A click on a shared tensor lights all of its uses; a click on a layer lights what it reads and who else does.

const host = acquireVsCodeApi();
const picture = document.getElementById("picture");
const failure = document.getElementById("error");
let word = "";
let drawn = "";

addEventListener("message", ({ data }) => {
  if ("word" in data) return follow(data.word);
  failure.hidden = !data.error;
  failure.textContent = data.error ?? "";
  if (data.svg) draw(data.svg);
  else if (data.file !== drawn) picture.replaceChildren(); // that of another program would mislead
  drawn = data.file;
});
host.postMessage({ loaded: true });

function draw(text) {
  const svg = new DOMParser().parseFromString(text, "image/svg+xml").documentElement;
  picture.replaceChildren(document.importNode(svg, true));
  for (const node of picture.querySelectorAll(".node")) {
    node.tabIndex = 0;
    node.setAttribute("role", "button");
    node.setAttribute("aria-label", [...node.querySelectorAll("text")].map((line) => line.textContent).join(", "));
  }
  follow(word);
}

picture.addEventListener("click", ({ target }) => choose(target.closest(".node, .cluster")));
picture.addEventListener("keydown", (event) => {
  if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    choose(event.target.closest(".node"));
  }
  if (event.key === "Escape") choose(null);
});

/** Lights a node with its shared tensors and their uses; nothing lights all. */
function choose(node) {
  const svg = picture.querySelector("svg");
  for (const part of svg.querySelectorAll(".lit")) part.classList.remove("lit");
  const chosen = node && id(node);
  const reads = [...svg.querySelectorAll(".edge")]
    .map((edge) => ({ edge, ends: id(edge).split("->") }))
    .filter(({ ends }) => /^[sc]/.test(ends[0]));
  const shared = new Set(/^[sc]/.test(chosen) ? [chosen] : reads.filter(({ ends }) => ends[1] === chosen).map(({ ends }) => ends[0]));
  const lit = new Set([chosen, ...shared]);
  for (const { edge, ends } of reads) {
    if (!shared.has(ends[0])) continue;
    edge.classList.add("lit");
    lit.add(ends[1]);
  }
  for (const part of svg.querySelectorAll(".node")) part.classList.toggle("lit", lit.has(id(part)));
  svg.classList.toggle("dimmed", shared.size > 0);
  if (node) host.postMessage({ name: name(node) });
}

/** Marks the layers and tensors that have the name at the cursor. */
function follow(at) {
  word = at;
  for (const part of picture.querySelectorAll(".node, .cluster")) part.classList.toggle("cursor", word !== "" && name(part) === word);
}

function id(part) {
  return part.querySelector("title").textContent;
}

/** `blocks` of `blocks[0:12]`, `embedding` of `lm.embedding`. */
function name(part) {
  const title = [...part.querySelectorAll("text")].map((line) => line.textContent.trim()).find(Boolean) ?? "";
  return title.replace(/\[.*?\]/g, "").split(/[\s(]/)[0].split(".").pop();
}
