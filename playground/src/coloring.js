// Colors by regular expressions, as in wsdl/highlighting: the first rule of a region that matches counts.

/** The function that finds the tokens of a line, by the rules of each region. */
export function coloring(regions) {
  const rules = Object.fromEntries(
    Object.entries(regions).map(([region, list]) => [
      region,
      list.map((rule) => ({ ...rule, pattern: new RegExp(rule.pattern, "uyd") })),
    ]),
  );

  /** The tokens of a line, `[start, end, kind]`; `stack` are the regions at its start, and then those at its end. */
  function tokens(line, stack) {
    const found = [];
    for (let at = 0; at < line.length; ) {
      const [rule, match] = first(line, at, stack.at(-1));
      if (rule === undefined) {
        at += 1;
        continue;
      }
      const [, ...groups] = rule.kinds.length > 1 ? match.indices : [null, match.indices[0]];
      rule.kinds.forEach((kind, n) => kind !== "space" && groups[n] && found.push([...groups[n], kind]));
      at = match.indices[0][1];
      if (rule.pop) stack.pop();
      if (rule.push) stack.push(rule.push);
    }
    if (stack.at(-1) === "string") stack.pop(); // strings end with their line
    return found;
  }

  /** The first rule of a region that matches at a place, and its match. */
  function first(line, at, region) {
    for (const rule of rules[region]) {
      rule.pattern.lastIndex = at;
      const match = rule.pattern.exec(line);
      if (match) return [rule, match];
    }
    return [];
  }

  return tokens;
}
