import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export const root = join(import.meta.dirname, '../..')

/** Reads a project file by its path from the root. */
export const text = (file: string): string => readFileSync(join(root, file), 'utf8')

/** Every page, as a path from the project's root. */
export const pages: string[] = globSync(['*.md', '{docs,examples,bench}/**/*.md'], { cwd: root }).sort()

/** A fenced code block on a page. */
export interface Block {
  language: string
  /** The content, without the indentation of a list item. */
  content: string
}

/** Returns a page's fenced code blocks. */
export const blocks = (page: string): Block[] =>
  [...text(page).matchAll(/^( *)```(\w*)\n([\s\S]*?)^ *```$/gm)].map(([, indent, language, block]) => ({
    language: language!,
    content: block!.replaceAll(new RegExp(`^${indent}`, 'gm'), ''),
  }))

/** Returns the rows of the first table below a heading, without the header row. Each row is a list of cells. */
export function rows(page: string, heading: string): string[][] {
  const section = text(page)
    .split(/^#{2,3} /m)
    .find(part => part.startsWith(`${heading}\n`))
  if (!section) throw new Error(`${page} has no heading "${heading}"`)
  const [, table] = /(?:^|\n)((?:\|.*\n)+)/.exec(`${section}\n`) ?? []
  if (!table) throw new Error(`${page}: there is no table below "${heading}"`)
  return table
    .trimEnd()
    .split('\n')
    .slice(2)
    .map(line =>
      line
        .replaceAll('\\|', '\0')
        .split('|')
        .slice(1, -1)
        .map(cell => cell.trim().replaceAll('\0', '|')),
    )
}

/** Returns the text between backticks in a cell. */
export const codes = (cell: string): string[] => [...cell.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)

/** Returns the text between backticks if the cell contains nothing else. */
export const code = (cell: string): string | undefined => /^`([^`]+)`$/.exec(cell)?.[1]
