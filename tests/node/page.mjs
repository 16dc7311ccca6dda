// Drives the chat page as a patient would. Arguments: the page's address, a directory for pictures.
import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { chromium } from "playwright-core";

const [url, pictures] = process.argv.slice(2);
const executablePath = [process.env.BEDSIDE_CHROMIUM, "/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"]
  .find((it) => it && existsSync(it));
assert(executablePath, "Chromium is missing: apt-get install chromium, or name it in BEDSIDE_CHROMIUM");

const browser = await chromium.launch({
  executablePath,
  args: ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-proxy-server"],
});
try {
  const context = await browser.newContext({ viewport: { width: 1000, height: 900 }, locale: "en-GB" });
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (it) => it.type() === "error" && complaints.push(it.text()));
  page.on("pageerror", (it) => complaints.push(String(it)));
  page.on("request", (it) => it.url().startsWith(url) || complaints.push(`a request to another host: ${it.url()}`));
  page.setDefaultTimeout(60_000);

  const by = (name) => page.getByTestId(name);
  const say = async (text) => {
    await by("input").fill(text);
    await by("send").click();
  };

  await page.goto(url);
  await page.locator('[data-testid="quick-reply"][data-choice="consent:yes"]').last().click();
  await page.getByText("What would you like to know?").waitFor();

  await say("I have had a runny nose and a sore throat for two days. What helps against a common cold?");
  const answer = page.locator('[data-kind="answer"]').last();
  await answer.waitFor({ timeout: 120_000 });
  assert((await answer.getByTestId("source").count()) > 0, "the answer names its sources");
  assert.match(await answer.getByTestId("ai-label").innerText(), /AI/);
  assert((await answer.getByTestId("disposition").count()) === 1, "the answer says how urgent it is");
  await by("typing").waitFor({ state: "hidden" });
  await page.screenshot({ path: `${pictures}/conversation.png` });

  const words = async () => (await page.locator('[data-testid="log"] > *').allInnerTexts()).map((it) => it.trim());
  const before = await words();
  await page.reload();
  await page.locator('[data-kind="answer"]').last().waitFor();
  await page.waitForFunction((count) => document.querySelector('[data-testid="log"]').children.length >= count, before.length);
  assert.deepEqual(await words(), before, "a reload shows the same conversation");

  await page.setViewportSize({ width: 390, height: 844 });
  const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert(overflow <= 0, `the page is ${overflow} px wider than a phone`);
  await page.screenshot({ path: `${pictures}/phone.png` });

  assert(await by("emergency-banner").isHidden(), "no banner without an emergency");
  const started = Date.now();
  await say("我胸口剧痛，喘不上气");
  await by("emergency-banner").waitFor();
  assert(Date.now() - started < 2000, "the banner comes at once");
  await by("emergency").last().waitFor();
  const [red, green, blue] = await by("emergency-banner").evaluate((it) => getComputedStyle(it).backgroundColor.match(/[\d.]+/g).map(Number));
  assert(red > 120 && green < 100 && blue < 100, `the banner is red, not rgb(${red}, ${green}, ${blue})`);
  assert.match(await by("emergency-banner").innerText(), /120/);
  assert((await page.locator('a[href="tel:120"]').count()) > 0, "the number can be called");
  await page.screenshot({ path: `${pictures}/emergency.png` });

  // What a patient writes is shown as words, never as markup.
  await say("/help <img src=x onerror=document.title='hacked'>");
  await page.getByText("<img src=x").first().waitFor();
  assert.notEqual(await page.title(), "hacked");

  const other = await (await browser.newContext()).newPage();
  await other.goto(url);
  await other.getByTestId("bot-message").first().waitFor();
  assert(!(await other.getByTestId("log").innerText()).includes("common cold"), "another browser has its own conversation");
  assert.deepEqual(complaints, [], "the browser complained");
} finally {
  await browser.close();
}
