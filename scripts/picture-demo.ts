/**
 * `npm run picture`: plays the demo and draws its first act, as a terminal shows it, into docs/images/demo.svg.
 */
import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const root = join(import.meta.dirname, '..')
const file = join(root, 'docs/images/demo.svg')

const FONT = 13
const LINE = 19
const MARGIN = 18
/** Width of a character of a monospaced font, in parts of its height. */
const WIDTH = 0.602

/** Colours of what `styleText` writes, on a dark ground; a code of 0 or from 22 to 49 takes it back. */
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
writeFileSync(file, draw(act.split('\n')))
console.log(file)

/** Lines with ANSI codes as a picture. */
function draw(lines: string[]): string {
  const plain = lines.map(line => line.replaceAll(/\x1b\[\d+m/g, ''))
  const width = Math.ceil(Math.max(...plain.map(line => line.length)) * FONT * WIDTH) + 2 * MARGIN
  const height = lines.length * LINE + 2 * MARGIN
  const texts = lines.flatMap((line, index) =>
    plain[index]!.trim() === ''
      ? []
      : [`<text x="${MARGIN}" y="${MARGIN + FONT + index * LINE}">${spans(line)}</text>`],
  )
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    '<title>A deployment from Port to GitHub and back, as npm run demo prints it</title>',
    `<rect width="${width}" height="${height}" rx="8" fill="#0d1117"/>`,
    `<g font-family="ui-monospace, SFMono-Regular, Menlo, Consolas, monospace" font-size="${FONT}" fill="#c9d1d9" xml:space="preserve">`,
    ...texts,
    '</g>',
    '</svg>',
    '',
  ].join('\n')
}

/** The parts of a line, each in its colour. */
function spans(line: string): string {
  let style: string | undefined
  return line
    .split(/(\x1b\[\d+m)/)
    .map(part => {
      const [, code] = /^\x1b\[(\d+)m$/.exec(part) ?? []
      if (code !== undefined) {
        style = STYLES[code]
        return ''
      }
      const text = part.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
      return style && text ? `<tspan ${style}>${text}</tspan>` : text
    })
    .join('')
}
