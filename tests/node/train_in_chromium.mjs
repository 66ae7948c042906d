// Train in Chromium: node train_in_chromium.mjs CHROMIUM URL-OF-TRAIN.HTML > losses.json

import { onPage } from "./chromium.mjs";

const [executable, url] = process.argv.slice(2);
const losses = await onPage(executable, url, async (page) => {
  await page.waitForFunction(() => window.losses, null, { timeout: 60_000 });
  return page.evaluate(() => window.losses);
});
console.log(JSON.stringify(losses));
