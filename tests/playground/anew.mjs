// node anew.mjs CHROMIUM URL: the playground where the snapshot of Python's memory can't be restored.

import { onPage } from "../node/chromium.mjs";

const [chromium, url] = process.argv.slice(2);

const seen = await onPage(chromium, "about:blank", async (page) => {
  const warned = page.waitForEvent("console", (message) => message.type() === "warning");
  await page.goto(url);
  await page.waitForFunction(() => document.getElementById("state").dataset.severity, null, { timeout: 100_000 });
  return { state: await page.textContent("#state"), warned: (await warned).text() };
});
console.log(JSON.stringify(seen));
