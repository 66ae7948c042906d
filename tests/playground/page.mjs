// node page.mjs CHROMIUM URL FOLDER LINK AXE: a visit to the playground, by the mouse and by the keyboard; pictures go to FOLDER.

import { readFileSync } from "node:fs";
import { onPage } from "../node/chromium.mjs";

const [chromium, url, folder, link, axe] = process.argv.slice(2);
const TWO = "model two(x: f32[n, 4]) -> f32[n, 4] {\n    return x |> relu\n}\n";
const WRONG = TWO.replace("relu", "rellu");

const seen = await onPage(chromium, url, async (page, requests) => {
  page.setDefaultTimeout(90_000); // of a busy machine
  const began = Date.now();
  const checked = (severity) => page.waitForFunction((wanted) => {
      const { dataset, ariaBusy } = document.getElementById("state");
      return dataset.severity === wanted && ariaBusy === "false";
    }, severity);
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

  // What the pointer is on now counts, not where it was or where the cursor is: from the program into the picture, and out of it
  // before there is an answer.
  await page.locator(".cm-line", { hasText: "Are two digits" }).click();
  await node("s1").hover();
  await page.waitForTimeout(300);
  seen.stays = await page.textContent("#said");
  await page.evaluate(() => {
    const { postMessage } = Worker.prototype;
    Worker.prototype.postMessage = function (message) {
      const late = message.method === "hover" && (window.asked = true);
      setTimeout(() => postMessage.call(this, message), late ? 500 : 0);
    };
    window.inTime = () => (Worker.prototype.postMessage = postMessage);
  });
  await page.locator(".cm-line", { hasText: "flatten" }).getByText("Dense", { exact: true }).hover();
  await page.waitForFunction(() => window.asked);
  await page.mouse.move(2, 2);
  await page.waitForTimeout(1000);
  seen.late = await all(".cm-tooltip");
  await page.evaluate(() => window.inTime());

  // Break it, and mend it by the quick fix.
  const good = await text();
  await page.setViewportSize({ width: 1280, height: 560 });
  await replace(good + WRONG);
  await checked("error");
  await page.waitForSelector("#problems li");
  seen.problem = { state: await state(), list: await all("#problems .message"), fixes: await all("#problems .fix") };
  await page.waitForFunction(() => {
    const bottom = (selector) => document.querySelector(selector).getBoundingClientRect().bottom;
    return bottom(".cm-cursor-primary") <= bottom("#editor"); // though the list of problems has come below it
  });
  await page.setViewportSize({ width: 1280, height: 880 });
  seen.stale = await page.isVisible("#stale");
  await page.emulateMedia({ colorScheme: "dark" });
  seen.dark = await page.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.mouse.move(2, 2); // a tooltip about what is under the pointer may cover the text
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

  // Completion, the parameters of a call, a definition in the library.
  await replace("model m(x: f32[n, 8]) -> f32[n, 4] {\n    h = x\n    return h |> Den");
  await page.keyboard.type("s");
  const proposed = page.locator(".cm-tooltip-autocomplete li");
  await proposed.first().waitFor();
  await page.waitForSelector(".cm-completionInfo .about");
  seen.proposed = await all(".cm-tooltip-autocomplete li");
  seen.documentation = await page.textContent(".cm-completionInfo .about");
  await page.waitForTimeout(200); // CodeMirror doesn't take keys at once
  await page.screenshot({ path: `${folder}/completion.png` });
  await page.keyboard.press("Tab");
  await page.waitForSelector(".signature");
  seen.signature = [await page.textContent(".signature"), await page.textContent(".signature strong")];
  await page.keyboard.type("4, ");
  await page.waitForFunction(() => document.querySelector(".signature strong")?.textContent.startsWith("bias"));
  await page.keyboard.press("Escape");
  await page.keyboard.press("Escape");
  await page.keyboard.press("Backspace");
  await page.keyboard.press("Backspace");
  await page.keyboard.press("End");
  await page.keyboard.type("\n}");
  await checked("good");
  seen.completed = await text();
  await page.mouse.move(2, 2);
  await page.locator(".cm-line", { hasText: "Dense" }).getByText("Dense", { exact: true }).click({ modifiers: ["Control"] });
  await page.waitForSelector("#page[open]");
  seen.defined = [await page.textContent("#page-title"), await page.textContent("#page pre")];
  await page.keyboard.press("Escape");

  await page.emulateMedia({ colorScheme: "light" });

  // Two files: a new one, its name, an import, a name in both, a problem in the other one.
  await page.click("#files [aria-label='New file']");
  await page.keyboard.type("tower");
  await page.keyboard.press("Enter");
  await page.keyboard.insertText("block Tower()(x: f32[n, 8]) -> f32[n, 8] {\n    return x |> Dense(8) |> relu\n}\n");
  await page.click("#files .file:not(.current) button");
  await page.focus(".cm-content");
  await page.keyboard.press("Control+Home");
  await page.keyboard.insertText('from "./tower.wsd" import Tower\n\n');
  await page.keyboard.press("Control+Home");
  await replace((await text()).replace("h = x", "h = Tower()(x)"));
  await checked("good");
  const files = () => all("#files .file button:first-child");
  seen.files = [await files(), await page.textContent("#files [aria-current]")];
  await page.locator(".cm-line", { hasText: "Tower()" }).getByText("Tower", { exact: true }).click();
  await page.keyboard.press("F2");
  await page.waitForSelector(".rename input");
  await page.keyboard.type("relu");
  await page.keyboard.press("Enter");
  await said("must start");
  await page.keyboard.press("F2");
  await page.waitForSelector(".rename input");
  await page.keyboard.type("Trunk");
  await page.keyboard.press("Enter");
  await page.waitForFunction(() => document.querySelector(".cm-content").textContent.includes("Trunk"));
  await checked("good");
  await page.keyboard.press("F12");
  await page.waitForFunction(() => document.querySelector("#files [aria-current]").textContent === "tower.wsd");
  await checked("good");
  seen.renamed = await text();
  await replace(seen.renamed.replace("relu", "rellu"));
  await checked("error");
  await page.click("#files .file:not(.current) button");
  await page.locator("#problems .where", { hasText: "tower.wsd" }).waitFor();
  seen.elsewhere = await all("#problems .where");
  await page.click("#problems .fix");
  await checked("good");
  await page.click("#files .file:not(.current) button");
  await page.click("#files [aria-label='Rename tower.wsd']");
  await page.keyboard.type("base");
  await page.keyboard.press("Enter");
  await checked("good");
  seen.both = [await files(), await page.evaluate(() => JSON.parse(localStorage.getItem("wsdl.files")).files)];
  await page.waitForSelector("#drawing .nothing");
  await page.screenshot({ path: `${folder}/nothing.png` });
  seen.nothing = [await all("#drawing p"), await all("#drawing button"), await page.isVisible("#stale")];
  seen.violations = await violations();
  await page.click("#drawing button");
  seen.toModel = await page.textContent("#files [aria-current]");
  await page.waitForSelector("#drawing svg");
  await page.click("#files .file:not(.current) button");
  await checked("good");
  await page.click("#link");
  await said("link");
  seen.linkOfBoth = await page.evaluate(() => location.hash);
  const zip = page.waitForEvent("download");
  await page.click("#download");
  seen.zip = [(await zip).suggestedFilename(), readFileSync(await (await zip).path()).toString("base64")];
  page.once("dialog", (dialog) => dialog.accept());
  await page.click("#files [aria-label='Remove base.wsd']");
  await checked("error");
  seen.removed = [await files(), await all("#problems .message")];
  await page.evaluate((hash) => void (location.hash = hash), seen.linkOfBoth);
  await checked("good");
  seen.bothArrived = await files();
  // Another program: it is undone as a whole, and comes again.
  await page.selectOption("#examples", "siamese");
  await said("Replaced");
  seen.replaced = [await page.textContent("#notice"), await files(), await text()];
  await page.focus(".cm-content");
  await page.keyboard.type("# mine");
  await page.click("#notice button");
  seen.broughtBack = [await files(), await page.textContent("#files [aria-current]"), await page.inputValue("#examples")];
  await page.focus(".cm-content");
  await page.keyboard.press("Control+y");
  seen.again = [await files(), (await text()).startsWith("# mine")];
  for (let n = 0; n < 20 && (await files()).length < 2; n++) await page.keyboard.press("Control+z");
  await checked("good");
  seen.undone = [await files(), await page.evaluate(() => JSON.parse(localStorage.getItem("wsdl.files")).files)];
  await page.selectOption("#examples", "siamese");
  await said("Replaced");
  await page.selectOption("#examples", "lenet");
  await page.waitForFunction(() => !document.getElementById("notice").textContent); // nobody's work was replaced
  await page.selectOption("#examples", "siamese");
  await checked("good");
  seen.chosen = await page.inputValue("#examples");
  await replace(good + TWO);
  await checked("good");

  // Links: one that is taken, one that comes, ones that aren't whole or would be too long.
  await page.evaluate(() => (document.getElementById("notice").textContent = ""));
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
  await page.focus(".cm-content");
  await page.keyboard.press("Control+z");
  await page.waitForFunction(() => document.querySelector(".cm-content").textContent.includes("# nothing"));
  await page.keyboard.press("Control+y");
  await page.waitForFunction(() => document.querySelector(".cm-content").textContent.includes("arrived"));
  await checked("good");
  await page.goto(url + link.slice(0, -20));
  await said("cut off");
  seen.draft = await text();
  await replace("# " + Array.from({ length: 9000 }, (_, n) => ((n * 7919) % 9973).toString(36)).join(""));
  await page.click("#link");
  await said("too long");
  await page.selectOption("#examples", "lm");
  await checked("good");
  await page.waitForFunction(() => document.querySelector("#drawing").textContent.includes("embedding"));

  const saved = page.waitForEvent("download");
  await page.click("#download");
  seen.download = [(await saved).suggestedFilename(), readFileSync(await (await saved).path(), "utf8")];

  await page.setViewportSize({ width: 360, height: 740 });
  await page.waitForTimeout(200);
  seen.phone = await page.evaluate(() => document.documentElement.scrollWidth);
  await page.screenshot({ path: `${folder}/phone.png`, fullPage: true });
  await replace("model");
  await checked("error");
  await page.waitForSelector("#stale");
  seen.apart = await page.evaluate(() => {
    const box = (id) => document.getElementById(id).getBoundingClientRect();
    return box("tabs").bottom <= box("stale").top && box("stale").bottom <= box("picture").top;
  });

  return { ...seen, foreign: requests.filter((address) => !address.startsWith(url) && !address.startsWith("blob:" + new URL(url).origin)) };
});
console.log(JSON.stringify(seen));
