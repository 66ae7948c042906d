// Chromium without a window: whatever goes wrong on the page ends the script with what the page said.

import { chromium } from "playwright-core";

const QUIET = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync",
];

/** What `use(page, requests)` gives for the page at `url`; `requests` are the addresses that were asked for so far. */
export async function onPage(executablePath, url, use) {
  const browser = await chromium.launch({ executablePath, args: QUIET });
  try {
    const page = await browser.newPage({ viewport: { width: 1280, height: 880 } });
    const requests = [];
    page.on("request", (request) => requests.push(request.url()));
    const broken = new Promise((_, reject) => {
      page.on("pageerror", reject);
      page.on("requestfailed", (request) => {
        const why = request.failure().errorText;
        if (why !== "net::ERR_ABORTED") reject(new Error(`${request.url()}: ${why}`)); // as when the page is left
      });
      page.on("response", (response) => {
        if (response.status() >= 400) reject(new Error(`${response.url()}: ${response.status()}`));
      });
      page.on("console", (message) => {
        if (message.type() === "error") reject(new Error(message.text()));
      });
    });
    const used = page.goto(url).then(() => use(page, requests));
    return await Promise.race([used, broken]);
  } finally {
    await browser.close();
  }
}
