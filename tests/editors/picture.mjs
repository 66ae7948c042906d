// The page of the picture in Chromium, with a host of its own: what lights when tensors and layers are clicked, what the
// cursor marks, what is sent to the editor. Arguments: Chromium, the address, the folder for a screenshot.

import { onPage } from "../node/chromium.mjs";

const [executable, address, folder] = process.argv.slice(2);
const seen = await onPage(executable, address, async (page) => {
  const post = (message) => page.evaluate((message) => window.postMessage(message), message);
  const titles = (kind) => page.$$eval(`.node.${kind}, .cluster.${kind}`, (parts) =>
    parts.map((part) => [...part.querySelectorAll("text")].map((line) => line.textContent.trim()).find(Boolean)).sort());
  const click = (text) => page.locator(".node", { hasText: text }).first().click();

  await post({ svg: await page.evaluate(() => fetch("picture.svg").then((answer) => answer.text())), file: "a.wsd" });
  await page.waitForSelector("svg");
  await post({ word: "tok" });
  await page.waitForSelector(".cursor");
  const cursor = await titles("cursor");
  await click(/embedding/);
  const uses = await titles("lit");
  await page.screenshot({ path: `${folder}/picture.png`, fullPage: true });
  await click(/head/);
  const siblings = await titles("lit");
  await page.keyboard.press("Escape");
  const cleared = await titles("lit");
  await post({ error: "error[E0201]: there is no `y`", file: "a.wsd" });
  await page.waitForSelector("#error:not([hidden])");
  const kept = await page.locator("svg").count();
  await post({ error: "error[E0201]: there is no `y`", file: "b.wsd" });
  await page.waitForSelector("svg", { state: "detached" });
  return { cursor, uses, siblings, cleared, kept, sent: await page.evaluate(() => window.sent) };
});
console.log(JSON.stringify(seen));
