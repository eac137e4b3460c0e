// What is wrong with how a page is shown: a list of sentences. Evaluated in the page by tests/browser.py.
(() => {
  const wide = document.documentElement.clientWidth, faults = [];
  const name = (one) => `${one.closest("section")?.id ?? ""} ${one.tagName} "${(one.textContent || one.alt || "").trim().slice(0, 40)}"`;
  if (document.documentElement.scrollWidth > wide) faults.push(`the page is ${document.documentElement.scrollWidth} px wide in ${wide}`);
  const scroller = (one) => { for (let up = one.parentElement; up; up = up.parentElement) if (/auto|scroll/.test(getComputedStyle(up).overflowX)) return up; return null; };
  const seen = (one) => one.getClientRects().length && getComputedStyle(one).visibility !== "hidden";
  const inside = (one, box) => box.left >= -0.5 && box.right <= wide + 0.5;
  for (const one of document.querySelectorAll("table, svg, svg text, img, pre, p, li, h1, h2, h3, dd, figcaption, input, select, button, canvas")) {
    if (!seen(one)) continue;
    if (one.tagName === "IMG" && !(one.complete && one.naturalWidth)) faults.push(`not drawn: ${name(one)}`);
    const box = one.getBoundingClientRect(), within = scroller(one);
    if (!within) { if (!inside(one, box)) faults.push(`cut: ${name(one)} ${Math.round(box.left)} to ${Math.round(box.right)} of ${wide}`); continue; }
    const frame = within.getBoundingClientRect();
    if (!inside(within, frame)) faults.push(`scroller cut: ${name(one)}`);
    const from = box.left - frame.left + within.scrollLeft, to = from + box.width;
    if (from < -0.5 || to > within.scrollWidth + 0.5) faults.push(`not reached by scrolling: ${name(one)}`);
    if (wide >= 1400 && one.tagName === "TABLE" && within.scrollWidth > within.clientWidth) faults.push(`scrolls in a wide window: ${name(one)} ${within.scrollWidth} of ${within.clientWidth}`);
    if (within.scrollWidth > within.clientWidth && within.tabIndex < 0) faults.push(`not reached by keys: ${name(one)}`);
  }
  const rgb = (text) => { const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number); return [r, g, b, a]; };
  const over = (top, under) => top.slice(0, 3).map((c, k) => c * top[3] + under[k] * (1 - top[3]));
  const light = (c) => { const [r, g, b] = c.map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const ground = (one) => { const stack = []; for (let up = one; up; up = up.parentElement) { const c = rgb(getComputedStyle(up).backgroundColor); stack.push(c); if (c[3] === 1) break; } let c = [255, 255, 255]; for (const layer of stack.reverse()) c = over(layer, c); return c; };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const low = new Map();
  for (let node; (node = walk.nextNode()); ) {
    const one = node.parentElement;
    if (!node.data.trim() || !seen(one) || one.closest("option, script, style")) continue;
    const style = getComputedStyle(one), svg = one.namespaceURI.endsWith("svg");
    const under = ground(one), ink = over(rgb(svg ? style.fill : style.color), under);
    const [a, b] = [light(ink), light(under)].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) low.set(`${name(one)}: ${ratio.toFixed(2)}`, 1);
  }
  for (const words of low.keys()) faults.push(`contrast ${words}`);
  return faults;
})()
