// Models in pages answer to clicks as they do in the pages that `wsdl graph -o g.html` writes.
document.querySelectorAll("figure.model").forEach((figure) =>
  light(figure.querySelector("svg"), figure.querySelector("figcaption")));
