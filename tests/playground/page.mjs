// node page.mjs CHROMIUM URL FOLDER LINK AXE: a visit to the playground, by the mouse and by the keyboard; pictures go to FOLDER.

import { readFileSync } from "node:fs";
import { onPage } from "../node/chromium.mjs";

const [chromium, url, folder, link, axe] = process.argv.slice(2);
const WRONG = "model two(x: f32[n, 4]) -> f32[n, 4] {\n    return x |> rellu\n}\n";

const seen = await onPage(chromium, url, async (page, requests) => {
  page.setDefaultTimeout(90_000); // of a busy machine
  const began = Date.now();
  const checked = (severity) => page.waitForFunction((wanted) => document.getElementById("state").dataset.severity === wanted, severity);
  const text = () => page.evaluate(() => document.querySelector(".cm-content").cmTile.view.state.doc.toString());
  const said = (pattern) => page.waitForFunction((source) => new RegExp(source).test(document.getElementById("notice").textContent), pattern);
  const state = () => page.textContent("#state");
  const all = (selector) => page.evaluate((s) => [...document.querySelectorAll(s)].map((e) => e.textContent), selector);
  const replace = async (program) => {
    await page.focus(".cm-content");
    await page.keyboard.press("Control+A");
    await page.keyboard.insertText(program);
  };
  const violations = async () => {
    await page.evaluate(readFileSync(axe, "utf8"));
    const found = await page.evaluate(() => window.axe.run());
    return found.violations.map(({ id, nodes }) => [id, ...nodes.map((node) => node.html)]);
  };
  const node = (name) => page.locator("g.node", { has: page.locator("title", { hasText: new RegExp(`^${name}$`) }) });
  const lit = () => all("#drawing .node.on title");
  const seen = {};

  await checked("good");
  seen.ready = Date.now() - began;
  await page.waitForSelector("#drawing svg");
  seen.examples = (await all("#examples option")).length;
  seen.hints = await all(".hint");
  seen.lenses = await all(".lens");
  await page.screenshot({ path: `${folder}/light.png` });

  // Lights: a tensor of the picture, then a name in the program.
  await node("s0").hover();
  seen.fromPicture = { nodes: await lit(), uses: await all(".lit-use"), said: await page.textContent("#said") };
  await page.locator(".cm-line", { hasText: "tower(left)" }).getByText("tower", { exact: true }).hover();
  await page.waitForFunction(() => document.querySelectorAll("#drawing .node.on").length > 3);
  await page.screenshot({ path: `${folder}/lit.png` });
  seen.fromProgram = { nodes: await lit(), uses: await all(".lit-use") };
  await page.mouse.move(2, 2);
  await node("s0").click();
  await page.locator(".cm-line", { hasText: "Are two digits" }).hover({ position: { x: 300, y: 8 } });
  await page.waitForTimeout(200);
  seen.kept = { nodes: await lit(), uses: await all(".lit-use") };
  await page.keyboard.press("Escape");
  seen.ended = await lit();

  // Break it, and mend it by the quick fix.
  const good = await text();
  await replace(good + WRONG);
  await checked("error");
  await page.waitForSelector("#problems li");
  seen.problem = { state: await state(), list: await all("#problems .message"), fixes: await all("#problems .fix") };
  seen.stale = await page.isVisible("#stale");
  await page.emulateMedia({ colorScheme: "dark" });
  seen.dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.locator(".cm-lintRange-error").first().hover();
  await page.waitForSelector(".cm-tooltip .cm-diagnosticAction");
  await page.screenshot({ path: `${folder}/dark.png` });
  seen.darkViolations = await violations();
  await page.click("#problems .explain");
  seen.explained = await page.textContent("#page-title");
  await page.keyboard.press("Escape");
  await page.click("#problems .fix");
  await checked("good");
  seen.mended = await text();
  await page.waitForFunction(() => document.querySelector("#drawing").textContent.includes("two"));
  seen.notStale = await page.isVisible("#stale");

  // The same by the keyboard alone: the problem, its fix, out of the text, to the next tabs.
  await replace(good + WRONG);
  await checked("error");
  await page.keyboard.press("F8");
  await page.keyboard.press("Control+.");
  await checked("good");
  seen.mendedByKeys = await text();
  await page.keyboard.press("Escape");
  const focused = () => page.evaluate(() => document.activeElement.id || document.activeElement.className);
  for (let n = 0; n < 5 && (await focused()) !== "tab-picture"; n++) await page.keyboard.press("Tab");
  await page.keyboard.press("ArrowRight");
  seen.focused = await focused();
  await page.waitForSelector("#sharing td");
  seen.cells = await page.evaluate(() => [...document.querySelectorAll("#sharing tr")].map((row) => [...row.cells].map((cell) => cell.textContent)));
  seen.totals = await all("#sharing p");
  await page.keyboard.press("ArrowRight");
  await page.waitForSelector("#formatted pre");
  seen.formatted = await page.textContent("#formatted pre");
  await page.keyboard.press("Home");

  // Links: one that is taken, one that comes, ones that aren't whole or would be too long.
  await page.emulateMedia({ colorScheme: "light" });
  await page.click("#link");
  await said("link");
  seen.link = { notice: await page.textContent("#notice"), ...(await page.evaluate(() => ({ hash: location.hash, href: location.href }))), text: await text() };
  await replace("# nothing\n");
  await page.waitForFunction(() => location.hash === "");
  await checked("good");
  await page.goto("about:blank");
  await page.goto(url + link);
  await checked("good");
  await page.waitForFunction(() => document.querySelector(".cm-content").textContent.includes("arrived"));
  seen.arrived = await text();
  await page.goto(url + link.slice(0, -20));
  await said("cut off");
  seen.draft = await text();
  await replace("# " + Array.from({ length: 9000 }, (_, n) => ((n * 7919) % 9973).toString(36)).join(""));
  await page.click("#link");
  await said("too long");
  await page.selectOption("#examples", "lm");
  await checked("good");
  await page.waitForFunction(() => document.querySelector("#drawing").textContent.includes("embedding"));
  seen.violations = await violations();

  const saved = page.waitForEvent("download");
  await page.click("#download");
  seen.download = [(await saved).suggestedFilename(), readFileSync(await (await saved).path(), "utf8")];

  await page.setViewportSize({ width: 360, height: 740 });
  await page.waitForTimeout(200);
  seen.phone = await page.evaluate(() => document.documentElement.scrollWidth);
  await page.screenshot({ path: `${folder}/phone.png`, fullPage: true });

  return { ...seen, foreign: requests.filter((address) => !address.startsWith(url) && !address.startsWith("blob:" + new URL(url).origin)) };
});
console.log(JSON.stringify(seen));
