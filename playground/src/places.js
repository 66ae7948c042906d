// Places in a text: positions of the protocol, which count lines from 0, and offsets of a document of CodeMirror.

/** An offset of the document from a position of the protocol. */
export function offset(doc, { line, character }) {
  if (line >= doc.lines) return doc.length;
  const at = doc.line(line + 1);
  return Math.min(at.from + character, at.to);
}

/** The line and the character of an offset. */
export function position(doc, at) {
  const line = doc.lineAt(at);
  return [line.number - 1, at - line.from];
}

export const span = (doc, { start, end }) => [offset(doc, start), offset(doc, end)];

/** Edits of the protocol as changes of a document. */
export const changes = (doc, edits) => edits.map(({ range, new_text: insert }) => ({ from: offset(doc, range.start), to: offset(doc, range.end), insert }));
