import { openBrowser } from '../test/support/browser.ts'

interface DrawnText {
  textContent: string
  getBBox(): { x: number; y: number; width: number }
  ownerSVGElement: { width: { baseVal: { value: number } } }
}

/**
 * Finds layout mistakes in a picture of a terminal, with Chromium: text that overlaps or leaves the picture, and lines
 * with several columns in one text element, whose positions depend on the font.
 *
 * @returns the reason if no browser can be started
 */
export async function layoutProblems(svg: string): Promise<string[] | string> {
  const browser = await openBrowser()
  if (typeof browser === 'string') return browser
  try {
    const page = await browser.newPage()
    await page.setContent(svg)
    return await page.$$eval('text', texts =>
      (texts as unknown as DrawnText[]).flatMap((text, index, all) => {
        const { x, y, width } = text.getBBox()
        const next = all[index + 1]?.getBBox()
        const end = next && Math.abs(next.y - y) < 5 ? next.x : text.ownerSVGElement.width.baseVal.value
        return [
          ...(x + width > end + 0.5 ? [`"${text.textContent}" ends at ${x + width}, beyond ${end}`] : []),
          ...(/\s{2}/.test(text.textContent) ? [`"${text.textContent}" has columns`] : []),
        ]
      }),
    )
  } finally {
    await browser.close()
  }
}
