// Drives Chromium: reads what to do from standard input, as JSON, and prints what came of it.
// {chromium, arguments, visits: [{locale, width, height, cookies, steps: [[step, ..], ..]}]} -> [[result of each step, ..], ..]
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { chromium } from 'playwright-core';

const axe = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const asked = JSON.parse(readFileSync(0, 'utf8'));

// A few words for an element, for whoever reads a failure.
const NAME = `(element) => element.outerHTML.replace(/\\s+/g, ' ').slice(0, 160)`;
const ACTIONS = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex]:not([tabindex="-1"])';

const steps = {
  goto: async (page, url) => { await page.goto(url); return page.url(); },
  fill: (page, where, text) => page.fill(where, text),
  select: (page, where, value) => page.selectOption(where, value),
  click: async (page, where) => { await page.click(where); await page.waitForLoadState('load'); return page.url(); },
  // Until it is there, whatever pages lead to it.
  wait: async (page, where) => { await page.waitForSelector(where); return page.url(); },
  text: (page, where) => page.textContent(where),
  picture: (page, path) => page.screenshot({ path, fullPage: true }).then(() => path),
  // What axe-core finds wrong; pages' own policies let no script in, which this is not.
  axe: async (page) => {
    await page.evaluate(axe);
    const { violations, passes } = await page.evaluate(`axe.run()`);
    const found = violations.map(({ id, impact, nodes }) => ({ id, impact, nodes: nodes.map(({ html }) => html) }));
    return { violations: found, passes: passes.length };
  },
  // How much wider the page is than the window.
  overflow: (page) => page.evaluate(`document.documentElement.scrollWidth - window.innerWidth`),
  // What the Tab key does not reach, and what is not marked when it does. That the order is the page's own is axe's matter.
  keyboard: async (page) => {
    const all = await page.evaluate(`(() => {
      window.all = [...document.querySelectorAll('${ACTIONS}')].filter((element) => !element.disabled);
      window.reached = [];
      document.activeElement?.blur();
      return window.all.length;
    })()`);
    for (let n = 0; n < 2 * all + 2; n++) {
      await page.keyboard.press('Tab');
      await page.evaluate(`(() => {
        const element = document.activeElement;
        const at = window.all.indexOf(element);
        if (at < 0 || window.reached.some((seen) => seen.at === at)) return;
        const { outlineStyle, outlineWidth } = getComputedStyle(element);
        const { width, height } = element.getBoundingClientRect();
        // What is "auto" is the browser's own, which shows.
        const drawn = outlineStyle === 'auto' || (outlineStyle !== 'none' && parseFloat(outlineWidth) >= 2);
        const marked = drawn && width > 0 && height > 0;
        window.reached.push({ at, marked });
      })()`);
    }
    return page.evaluate(`(() => {
      const name = ${NAME};
      const order = window.reached.map(({ at }) => at);
      return {
        reached: order.length,
        missed: window.all.filter((_, at) => !order.includes(at)).map(name),
        unmarked: window.reached.filter(({ marked }) => !marked).map(({ at }) => name(window.all[at])),
      };
    })()`);
  },
};

async function visit(browser, { locale, width, height, steps: asked }) {
  const context = await browser.newContext({ locale, viewport: { width, height } });
  context.setDefaultTimeout(60_000);
  const page = await context.newPage();
  const results = [];
  for (const [step, ...rest] of asked) {
    try {
      results.push((await steps[step](page, ...rest)) ?? null);
    } catch (error) {
      const shown = await page.content().catch(() => '');
      throw new Error(`${step} ${rest.join(' ')} at ${page.url()}: ${error.message}\n${shown.slice(0, 4000)}`);
    }
  }
  await context.close();
  return results;
}

const browser = await chromium.launch({ executablePath: asked.chromium, args: asked.arguments });
try {
  const results = [];
  for (const one of asked.visits) results.push(await visit(browser, one));
  console.log(JSON.stringify(results));
} finally {
  await browser.close();
}
