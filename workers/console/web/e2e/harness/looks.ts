/**
 * What a person would see at once and no assistive technology reports: text that is cut off or stands over an edge,
 * things on top of each other, a page that drew nothing.
 *
 * Of section 8 of the console's specification. Contrast belongs to axe.
 */
import type { Browser, Page } from "playwright-core";

/** The most of a page that may be of one colour. */
export const MOST_OF_ONE = 0.97;

/** Whatever is wider than the window, cut off, over an edge or on top of another, each with the start of its markup. */
export async function misplaced(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    interface Box {
      left: number;
      top: number;
      right: number;
      bottom: number;
    }
    /** Of rounding, and of glyphs that lean over their box. */
    const SLACK = 1.5;
    /** Line boxes of tight headings touch by so much. */
    const TOUCH = 3;
    const CONTROLS = 'a[href], button, input, select, textarea, summary, [role="button"], [role="tab"], [role="menuitem"], [role="option"], [role="combobox"]';
    const FLOATING = '[role="dialog"], [role="menu"], [role="listbox"], [role="tooltip"], [role="alertdialog"]';

    const styles = new Map<Element, CSSStyleDeclaration>();
    const styleOf = (element: Element): CSSStyleDeclaration => {
      const known = styles.get(element) ?? getComputedStyle(element);
      styles.set(element, known);
      return known;
    };
    const told = (element: Element) => element.outerHTML.replaceAll(/\s+/g, " ").slice(0, 140);
    const boxOf = (element: Element): Box => {
      const { left, top, right, bottom } = element.getBoundingClientRect();
      return { left, top, right, bottom };
    };
    const isThere = (box: Box) => box.right - box.left > 1.5 && box.bottom - box.top > 1.5;
    const common = (a: Box, b: Box): Box => ({
      left: Math.max(a.left, b.left), top: Math.max(a.top, b.top), right: Math.min(a.right, b.right), bottom: Math.min(a.bottom, b.bottom),
    });
    const isShown = (element: Element): boolean =>
      element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) && element.closest("[data-base-ui-inert], [inert]") === null;
    /** For those who hear the page. */
    const isSpoken = (element: Element): boolean => {
      for (let at: Element | null = element; at !== null; at = at.parentElement) {
        const style = styleOf(at);
        const clip = style.getPropertyValue("clip");
        if (style.position === "absolute" && (clip.startsWith("rect(0") || clip.startsWith("rect(1") || style.clipPath.startsWith("inset(50%"))) return true;
      }
      return false;
    };
    /** As much of a box as its scrolling and cutting ancestors let through. */
    const visiblePart = (box: Box, from: Element | null): Box => {
      let part = box;
      for (let at = from; at !== null && at !== document.documentElement; at = at.parentElement) {
        const style = styleOf(at);
        if (style.overflowX !== "visible" || style.overflowY !== "visible") part = common(part, boxOf(at));
        if (style.position === "fixed") break;
      }
      return part;
    };
    /** What stays where it is while the page moves, or lies above it, is meant to cover things. */
    const layerOf = (element: Element): Element => {
      for (let at: Element | null = element; at !== null; at = at.parentElement) {
        const { position } = styleOf(at);
        if (position === "fixed" || position === "sticky" || at.matches(FLOATING)) return at;
      }
      return document.documentElement;
    };

    const faults: string[] = [];
    const limit = document.documentElement.clientWidth;
    const scrolls = (element: Element | null): boolean => {
      for (let at = element; at !== null && at !== document.body; at = at.parentElement) {
        if (styleOf(at).overflowX !== "visible") return true;
      }
      return false;
    };
    if (document.documentElement.scrollWidth > limit) {
      for (const element of document.querySelectorAll("body *")) {
        if (boxOf(element).right > limit + 0.5 && !scrolls(element.parentElement)) faults.push(`wider than the window: ${told(element)}`);
      }
    }

    interface Placed {
      box: Box;
      element: Element;
      layer: Element;
    }
    const placed: Placed[] = [];

    const hasSurface = (style: CSSStyleDeclaration): boolean =>
      style.display !== "inline" && (Number.parseFloat(style.borderRightWidth) > 0 || !/^rgba\(.*, 0\)$|^transparent$/.test(style.backgroundColor));
    /** The first ancestor that cuts, or whose edge is seen: text belongs inside of it. Nothing when it can be scrolled to. */
    const holderOf = (element: Element): { holder: Element; cuts: boolean } | null => {
      for (let at: Element | null = element; at !== null && at !== document.body; at = at.parentElement) {
        const style = styleOf(at);
        if (/auto|scroll/.test(style.overflowX)) return null;
        if (/hidden|clip/.test(style.overflowX)) return { holder: at, cuts: true };
        if (hasSurface(style)) return { holder: at, cuts: false };
      }
      return null;
    };
    const isMeant = (element: Element, holder: Element): boolean => {
      const shortened = [element, holder].some((one) => styleOf(one).textOverflow === "ellipsis" || styleOf(one).getPropertyValue("-webkit-line-clamp") !== "none");
      return shortened && (element.closest("[title], [data-full-text]") !== null || holder.closest("[title]") !== null);
    };

    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = texts.nextNode(); node !== null; node = texts.nextNode()) {
      const element = node.parentElement;
      if (element === null || (node.textContent ?? "").trim() === "" || element.closest("script, style, noscript, svg, select, textarea") !== null) continue;
      if (!isShown(element) || isSpoken(element)) continue;
      const range = document.createRange();
      range.selectNodeContents(node);
      const lines = [...range.getClientRects()].map(({ left, top, right, bottom }) => ({ left, top, right, bottom })).filter(isThere);
      const held = holderOf(element);
      if (held !== null) {
        const edge = boxOf(held.holder);
        const over = lines.some((line) => line.right > edge.right + SLACK || line.left < edge.left - SLACK || (held.cuts && line.bottom > edge.bottom + TOUCH));
        if (over && !isMeant(element, held.holder)) faults.push(`${held.cuts ? "cut off" : "over an edge"}: "${(node.textContent ?? "").trim().slice(0, 60)}" in ${told(held.holder)}`);
      }
      if (element.closest(CONTROLS) !== null) continue;
      const layer = layerOf(element);
      for (const line of lines) placed.push({ box: visiblePart(line, element), element, layer });
    }

    for (const element of document.querySelectorAll(CONTROLS)) {
      if (!isShown(element) || isSpoken(element) || (element.parentElement?.closest(CONTROLS) ?? null) !== null) continue;
      const box = boxOf(element);
      // A button may stand in the padding of its field.
      if (element.matches("input, textarea, select")) {
        const style = styleOf(element);
        box.left += Number.parseFloat(style.paddingLeft);
        box.right -= Number.parseFloat(style.paddingRight);
      }
      // A link in a sentence has a box a line; its text is what can lie on something.
      if (styleOf(element).display === "inline") {
        for (const { left, top, right, bottom } of element.getClientRects()) placed.push({ box: visiblePart({ left, top, right, bottom }, element), element, layer: layerOf(element) });
        continue;
      }
      placed.push({ box: visiblePart(box, element.parentElement), element, layer: layerOf(element) });
    }

    /** The whole label of a radio button may be its target. */
    const isLabelOf = (text: Element, control: Element) => text.closest("label")?.control === control;
    const sorted = placed.filter(({ box }) => isThere(box)).sort((a, b) => a.box.top - b.box.top);
    for (const [at, one] of sorted.entries()) {
      for (let next = at + 1; next < sorted.length; next += 1) {
        const other = sorted[next];
        if (other === undefined || other.box.top >= one.box.bottom - TOUCH) break;
        if (one.layer !== other.layer || one.element === other.element || one.element.contains(other.element) || other.element.contains(one.element)) continue;
        if (isLabelOf(one.element, other.element) || isLabelOf(other.element, one.element)) continue;
        const both = common(one.box, other.box);
        if (both.right - both.left > TOUCH && both.bottom - both.top > TOUCH) faults.push(`on top of each other: ${told(one.element)} and ${told(other.element)}`);
      }
    }
    return [...new Set(faults)];
  });
}

/** One page for each browser that reads pictures; it belongs to no test, and ends with the browser. */
const readers = new WeakMap<Browser, Promise<Page>>();

function readerIn(page: Page): Promise<Page> {
  const browser = page.context().browser();
  if (browser === null) throw new Error("a page without a browser");
  const known = readers.get(browser) ?? browser.newPage();
  readers.set(browser, known);
  return known;
}

/** The share of the window that is of its commonest colour, counted outside of the page, whose policy lets no picture be read. `file` keeps what was counted. */
export async function shareOfOneColour(page: Page, file?: string): Promise<number> {
  const picture = (await page.screenshot(file === undefined ? {} : { path: file })).toString("base64");
  const reader = await readerIn(page);
  return reader.evaluate(async (base64) => {
    /** Of so many pixels one is counted: a prime, so that no pattern of the page hides in it. */
    const STEP = 7;
    const image = new Image();
    image.src = `data:image/png;base64,${base64}`;
    await image.decode();
    const canvas = new OffscreenCanvas(image.width, image.height);
    const context = canvas.getContext("2d");
    if (context === null) throw new Error("no canvas");
    context.drawImage(image, 0, 0);
    const pixels = new Uint32Array(context.getImageData(0, 0, image.width, image.height).data.buffer);
    const counts = new Map<number, number>();
    let counted = 0;
    for (let at = 0; at < pixels.length; at += STEP) {
      const pixel = pixels[at] ?? 0;
      counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
      counted += 1;
    }
    return Math.max(...counts.values()) / counted;
  }, picture);
}

/** Buttons and fields of the open dialog that cannot be brought under the pointer: outside of the window, or beneath something. */
export async function unreachable(page: Page): Promise<string[]> {
  return page.getByRole("dialog").last().evaluate((dialog) => {
    const faults: string[] = [];
    for (const control of dialog.querySelectorAll("button, input, textarea, select, a[href]")) {
      if (!control.checkVisibility({ opacityProperty: true, visibilityProperty: true })) continue;
      control.scrollIntoView({ block: "center", inline: "nearest" });
      const { left, top, right, bottom } = control.getBoundingClientRect();
      const told = control.outerHTML.replaceAll(/\s+/g, " ").slice(0, 140);
      if (left < -0.5 || right > innerWidth + 0.5 || top < -0.5 || bottom > innerHeight + 0.5) faults.push(`outside of the window: ${told}`);
      const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
      const label = control.closest("label");
      if (hit === null || !(control.contains(hit) || label?.contains(hit) === true)) faults.push(`beneath something: ${told}`);
    }
    return faults;
  });
}
