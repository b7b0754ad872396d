/**
 * Rejects constructions that a native reader has to read twice, in pages, comments, and strings.
 *
 * `node scripts/check-language.ts [FILE…]`. Without files: everything except the changelog.
 */

import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import {
  isIdentifier,
  isNoSubstitutionTemplateLiteral,
  isStringLiteral,
  isTemplateHead,
  isTemplateMiddleOrTemplateTail,
  type Node,
  type SourceFile,
} from 'typescript/unstable/ast'
import { parse } from './parse.ts'

const root = join(import.meta.dirname, '..')

type Rule = [pattern: RegExp, instead: string]

/** Pattern → replacement, for pages, comments, and strings. */
const RULES: Rule[] = [
  [/\bfor ever\b/i, '"forever"'],
  [/\bin clear\b(?! text)/i, '"in clear text"'],
  [/\bsince the epoch\b/i, '"since 1970"'],
  [/(?:^|[.:;] )Of (?:the|several|two|all|those|these) /, 'the subject first'],
  [/\bhands? (?:it |them )?on\b|\bhanded on\b/i, '"pass"'],
  [/\bthie(?:f|ves)\b/i, '"attacker"'],
  [/\bgives? back\b/i, '"return"'],
  [/\bcompanion\b/i, '"progress reporter"'],
  [/\bstraight to\b/i, '"directly to"'],
  [/\bhonoured\b|\brecognis|\bcolour|\bbehaviour|\bmisspelt\b|\borganis/i, 'the American spelling'],
  [/\bbut for (?!(?:the|a|an|each|every|all|both) \w+(?:\.|,)? (?:only|alone))/i, '"except for"'],
  [
    /(?<!there )\b(?:is|are) no (?!longer|more|less|different|later|sooner|earlier|match)/i,
    '"isn\'t a", "doesn\'t"',
  ],
  [/\bstands? in (?!for)/i, '"is in"'],
  [/\bbeside\b/i, '"next to", "besides"'],
  [/\b(?:some|no|any)body\b/i, '"a user", "an operator", "nobody" without "where"'],
  [/\bpeople\b|\b(?:a|the|this|which) person\b/i, '"users", "operators", "authors"'],
  [/\bstand-ins?\b/i, '"fake GitHub", "fake Port"'],
  [/\b(?:the|a|closed) gate\b/i, '"rate-limit pause"'],
  [/\btrouble\b/i, '"error", "failure"'],
  [/\bplayer\b/i, '"simulator"'],
  [/\banswer(?:s|ed|ing)?\b(?! (?:the|this|that|what|which|how|where) )/i, '"response", "responds with"'],
]

/** Rejected words in identifiers → the glossary's terms. The identifier `answerFor` has the words "answer" and "for". */
const IDENTIFIERS = new Map([
  ...(['answer', 'answers', 'answered'] as const).map(word => [word, '"response"'] as const),
  ['beside', '"next to"'],
  ['companion', '"progress reporter"'],
  ['gate', '"rate-limit pause"'],
  ['trouble', '"error"'],
  ['doubt', '"ambiguous"'],
  ['thief', '"attacker"'],
])
const wordsOf = (identifier: string) =>
  identifier.split(/(?<=[a-z\d])(?=[A-Z])|_/).map(word => word.toLowerCase())

/** Returns a page's text, or a source file's comments and strings, by line. Reports identifiers with rejected words. */
function proseOf(
  file: string,
  source: SourceFile | undefined,
  report: (line: number, found: string, instead: string) => void,
): [line: number, text: string][] {
  const text = source?.text ?? readFileSync(join(root, file), 'utf8')
  if (!source) return text.split('\n').map((line, index) => [index + 1, line])
  const lineAt = (position: number) => source.getLineAndCharacterOfPosition(position).line + 1
  const found: [number, string][] = []
  const add = (position: number, prose: string) => {
    for (const [index, line] of prose.split('\n').entries()) found.push([lineAt(position) + index, line])
  }
  for (const { 0: comment, index } of text.matchAll(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/ .*$/gm))
    add(index, comment)
  const visit = (node: Node): void => {
    if (
      isStringLiteral(node) ||
      isNoSubstitutionTemplateLiteral(node) ||
      isTemplateHead(node) ||
      isTemplateMiddleOrTemplateTail(node)
    ) {
      if (/\w \w+ \w/.test(node.text)) add(node.getStart(), node.text)
    }
    if (isIdentifier(node)) {
      identifiers++
      const old = wordsOf(node.text).find(word => IDENTIFIERS.has(word))
      if (old) report(lineAt(node.getStart()), node.text, IDENTIFIERS.get(old)!)
    }
    node.forEachChild(visit)
  }
  visit(source)
  return found
}

const given = process.argv.slice(2)
const files =
  given.length > 0
    ? given
    : globSync(
        [
          '*.md',
          'docs/*.md',
          'examples/**/*.md',
          '{relay,action,port,workflow-files,simulator,cli,bench,demo}/**/*.ts',
        ],
        {
          cwd: root,
          exclude: ['**/dist/**', 'CHANGELOG.md'],
        },
      )
const sources = parse(files.filter(file => file.endsWith('.ts')))
let count = 0
let identifiers = 0
for (const file of files.toSorted()) {
  const report = (line: number, found: string, instead: string) => {
    console.error(`${file}:${line}: ${found.trim().slice(0, 120)}\n  write ${instead}`)
    count++
  }
  for (const [line, prose] of proseOf(file, sources.get(file), report)) {
    for (const [pattern, instead] of RULES) if (pattern.test(prose)) report(line, prose, instead)
  }
}
console.log(`${count} constructions to rewrite in ${files.length} files with ${identifiers} identifiers`)
// Without any identifier, the check fails, because a new version of TypeScript may hide identifiers from it.
if (count > 0 || (sources.size > 0 && identifiers === 0)) process.exitCode = 1
