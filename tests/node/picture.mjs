// node picture.mjs CHROMIUM URL FOLDER TENSOR LAYER: what a page of `wsdl graph -o g.html` says and lights; pictures go to FOLDER.

import { onPage } from "./chromium.mjs";

const [chromium, url, folder, tensor, layer] = process.argv.slice(2);

const seen = await onPage(chromium, url, async (page, requests) => {
  const state = () =>
    page.evaluate(() => ({
      said: document.getElementById("said").textContent,
      lit: [...document.querySelectorAll(".node.on title")].map((title) => title.textContent).sort(),
      edges: document.querySelectorAll(".edge.on").length,
    }));
  const node = (name) => page.locator("g.node", { has: page.locator("title", { hasText: new RegExp(`^${name}$`) }) });
  const states = {};
  await node(tensor).click();
  states.clicked = await state();
  await page.screenshot({ path: `${folder}/light.png` });
  await page.keyboard.press("Escape");
  states.ended = await state();
  await page.emulateMedia({ colorScheme: "dark" });
  await node(layer).focus();
  await page.keyboard.press("Enter");
  states.layer = await state();
  await page.waitForTimeout(300);
  await page.screenshot({ path: `${folder}/dark.png` });
  return { ...states, requests };
});
console.log(JSON.stringify(seen));
