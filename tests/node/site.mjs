// node site.mjs CHROMIUM URL FOLDER: what the first page of the site answers to a click; a search must find its page first.

import { onPage } from "./chromium.mjs";

const [chromium, url, folder] = process.argv.slice(2);

const seen = await onPage(chromium, url, async (page, requests) => {
  await page.locator("figure.model g.node", { has: page.locator("title", { hasText: /^s0$/ }) }).click();
  const said = await page.locator("figure.model figcaption").textContent();
  await page.screenshot({ path: `${folder}/home.png` });
  await page.locator("input.md-search__input").pressSequentially("tied embedding");
  const first = () => document.querySelector(".md-search-result__link h1")?.textContent;
  await page.waitForFunction(`(${first})() === "Tie an embedding"`);
  await page.screenshot({ path: `${folder}/search.png` });
  return { said, requests };
});
console.log(JSON.stringify(seen));
