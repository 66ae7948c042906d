// Makes the picture of a model answer: a click on a stored tensor, or Enter, lights its uses, on a layer what it reads;
// Escape ends it. `svg` is what `wsdl graph` draws, `said` the element that names what is lit. Gives the function that
// lights nodes by their names in the graph; the event `light` on `svg` tells which ones are lit.
function light(svg, said) {
  const titled = (kind) => [...svg.querySelectorAll("g." + kind)].map((g) => [g.querySelector("title").textContent, g]);
  const nodes = new Map(titled("node"));
  const label = (name) => nodes.get(name).querySelector("text").textContent.trim();
  // Reads go from stored tensors (s0) and formulas (c0, c0p1) to layers (n3); flows of data from one n to another.
  const reads = titled("edge").map(([name, g]) => [...name.split("->"), g]).filter(([from]) => !from.startsWith("n"));
  const readers = new Set(reads.flatMap(([from, to]) => [from, to]));

  function lit(name) {
    const on = new Set([nodes.get(name)]), ends = new Set();
    const follow = (at, here, there) => {
      for (const read of reads) {
        if (read[here] !== at || on.has(read[2])) continue;
        on.add(read[2]).add(nodes.get(read[there]));
        ends.add(read[there]);
        follow(read[there], here, there);
      }
    };
    const isLayer = name.startsWith("n");
    follow(name, isLayer ? 1 : 0, isLayer ? 0 : 1);
    if (!isLayer) follow(name, 1, 0);
    return [on, [...ends].filter((end) => isLayer || end.startsWith("n")).map(label)];
  }

  function show(...names) {
    const known = names.filter((name) => readers.has(name)), found = known.map(lit);
    svg.querySelectorAll(".on").forEach((g) => g.classList.remove("on"));
    svg.classList.toggle("lit", known.length > 0);
    readers.forEach((other) => nodes.get(other).setAttribute("aria-pressed", String(known.includes(other))));
    for (const [on] of found) on.forEach((g) => g.classList.add("on"));
    const says = (name, ends) => `${label(name)}: ${name.startsWith("n") ? "reads" : "read by"} ${ends.join(", ")}`;
    said.textContent = known.map((name, n) => says(name, found[n][1])).join("; ");
    svg.dispatchEvent(new CustomEvent("light", { detail: known }));
  }

  for (const name of readers) {
    const node = nodes.get(name);
    node.setAttribute("role", "button");
    node.setAttribute("tabindex", "0");
    node.setAttribute("aria-label", [...node.querySelectorAll("text")].map((t) => t.textContent.trim()).join(", "));
    node.addEventListener("click", (event) => {
      event.stopPropagation();
      if (node.getAttribute("aria-pressed") === "true") show();
      else show(name);
    });
    node.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        show(name);
      }
    });
  }
  const end = (event) => {
    if (!svg.isConnected) ["click", "keydown"].forEach((kind) => document.removeEventListener(kind, end));
    else if (event.type === "click" || event.key === "Escape") show();
  };
  ["click", "keydown"].forEach((kind) => document.addEventListener(kind, end));
  return show;
}
