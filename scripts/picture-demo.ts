/**
 * `npm run picture`: runs the demo, draws its first act as terminal output in docs/images/demo.svg, and checks the
 * columns' alignment in Chromium.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { layoutProblems } from './layout-problems.ts'

const root = join(import.meta.dirname, '..')
const file = join(root, 'docs/images/demo.svg')

const FONT = 13
const LINE = 19
const MARGIN = 18
/** The width of a monospaced character, as a fraction of the font size. */
const WIDTH = 0.602
/** The maximum line length, in characters. A longer line is wrapped, and its rest is indented to the last column. */
const LONGEST = 118

/** SVG attributes for the codes that `styleText` writes, on a dark background. Any other code resets the style. */
const STYLES: Record<string, string> = {
  1: 'font-weight="bold" fill="#ffffff"',
  2: 'fill="#8b949e"',
  31: 'fill="#ff7b72"',
  32: 'fill="#7ee787"',
  33: 'fill="#e3b341"',
  34: 'fill="#79c0ff"',
  35: 'fill="#d2a8ff"',
  36: 'fill="#56d4dd"',
}

const env = { ...process.env, FORCE_COLOR: '1' }
const printed = execFileSync(process.execPath, ['demo/main.ts'], { cwd: root, env, encoding: 'utf8' })
const [, act = ''] = /(^.*Act one[\s\S]*?)\n\n.*Act two/m.exec(printed) ?? []
if (!act) throw new Error('The demo has no act one and two.')
mkdirSync(join(file, '..'), { recursive: true })
const picture = draw(act.split('\n').flatMap(wrap))
writeFileSync(file, picture)
const problems = await layoutProblems(picture)
if (typeof problems === 'string') console.log(`Not checked: ${problems}`)
else if (problems.length > 0) throw new Error(`In Chromium ${problems.join('; ')}.`)
console.log(file)

/** Wraps a long line. Never wraps a line with colors. */
function wrap(line: string): string[] {
  if (line.includes('\x1b') || line.length <= LONGEST) return [line]
  const end = line.lastIndexOf(' ', LONGEST)
  const indent = /^.{0,36} {2}(?=\S)/.exec(line)?.[0].length ?? 0
  return [line.slice(0, end), ...wrap(' '.repeat(indent) + line.slice(end + 1))]
}

/** Renders text lines that contain ANSI codes as an SVG image. */
function draw(lines: string[]): string {
  const plain = lines.map(line => line.replaceAll(/\x1b\[\d+m/g, ''))
  const width = Math.ceil(Math.max(...plain.map(line => line.length)) * FONT * WIDTH) + 2 * MARGIN
  const height = lines.length * LINE + 2 * MARGIN
  const texts = lines.flatMap((line, index) => segments(line, MARGIN + FONT + index * LINE))
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    '<title>A deployment from Port to GitHub and back, as npm run demo prints it</title>',
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="${FONT}" fill="#c9d1d9">`,
    ...texts,
    '</g>',
    '</svg>',
    '',
  ].join('\n')
}

/** Draws a line as segments, each with its color, column, and width. A renderer may lack monospaced fonts, and collapse spaces. */
function segments(line: string, y: number): string[] {
  let style = ''
  let column = 0
  return line.split(/(\x1b\[\d+m|\s{2,})/).flatMap(part => {
    const [, code] = /^\x1b\[(\d+)m$/.exec(part) ?? []
    if (code !== undefined) {
      style = STYLES[code] ?? ''
      return []
    }
    const text = part.trimStart()
    const start = column + part.length - text.length
    column += part.length
    const shown = text.trimEnd()
    if (shown === '') return []
    const [x, length] = [MARGIN + start * FONT * WIDTH, shown.length * FONT * WIDTH].map(n => n.toFixed(1))
    const size = `x="${x}" y="${y}" textLength="${length}" lengthAdjust="spacingAndGlyphs"`
    const escaped = shown.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
    return [`<text ${[size, style].filter(Boolean).join(' ')}>${escaped}</text>`]
  })
}
