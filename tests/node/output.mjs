// Wait until the <output> of a page shows a text, in which ... stands for anything: node output.mjs CHROMIUM URL TEXT

import { onPage } from "./chromium.mjs";

const [executable, url, shown] = process.argv.slice(2);
const literal = (text) => text.replace(/[^\w\s]/g, "\\$&");
const pattern = `^${shown.split("...").map(literal).join(".*")}$`;

await onPage(executable, url, async (page) => {
  const matches = (pattern) => new RegExp(pattern).test(document.querySelector("output").textContent);
  await page.waitForFunction(matches, pattern, { timeout: 30_000 }).catch(async () => {
    throw new Error(`it shows: ${await page.textContent("output")}`);
  });
});
