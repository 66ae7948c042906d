// node site.mjs CHROMIUM URL FOLDER: what the first page of the site answers to a click and a search; pictures go to FOLDER.

import { onPage } from "./chromium.mjs";

const [chromium, url, folder] = process.argv.slice(2);

const seen = await onPage(chromium, url, async (page, requests) => {
  await page.locator("figure.model g.node", { has: page.locator("title", { hasText: /^s0$/ }) }).click();
  const said = await page.locator("figure.model figcaption").textContent();
  await page.screenshot({ path: `${folder}/home.png` });
  await page.locator("input.md-search__input").fill("mixture");
  await page.locator("a.md-search-result__link").first().waitFor();
  await page.screenshot({ path: `${folder}/search.png` });
  const found = await page.locator("a.md-search-result__link").evaluateAll((links) => links.map((link) => link.href));
  return { said, found, requests };
});
console.log(JSON.stringify(seen));
