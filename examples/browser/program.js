// A `.wsd` program as HTML: comments, words of the language, and the layer that is shared stand out.

const TOKENS = /(#.*)|\b(block|model|train|layer|return|loss|optimizer)\b|\b([Tt]ower)\b|([^#\w]+|\w+)/g;

export function highlighted(text) {
  const escaped = (part) => part.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
  return text.replace(TOKENS, (part, comment, word, shared) => {
    const mark = comment ? "i" : word ? "b" : shared ? "mark" : null;
    return mark ? `<${mark}>${escaped(part)}</${mark}>` : escaped(part);
  });
}
