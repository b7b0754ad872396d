import { existsSync, globSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { readRoutes } from '../../relay/config/routes.ts'
import { parseWorkflow } from '../../simulator/runner/parser.ts'
import { blocks, pages, root, text } from './pages.ts'

/** Returns the anchors that GitHub generates for a page's headings. */
const anchors = (file: string) =>
  [...text(file).matchAll(/^#+ (.+)$/gm)].map(([, heading]) => {
    const words = heading!.toLowerCase().replaceAll(/[^\w\s-]/g, '')
    return words.replaceAll(' ', '-')
  })

test.each(pages)('%s links to files and headings that exist', page => {
  for (const [, link] of text(page).matchAll(/\]\(([^)]+)\)/g)) {
    if (/^https?:/.test(link!)) continue
    const [path, anchor] = link!.split('#')
    const target = path ? join(page, '..', path) : page
    expect(existsSync(join(root, target)), link).toBe(true)
    if (anchor) expect(anchors(target), link).toContain(anchor)
  }
})

test('no example freezes until a time in the past', () => {
  const examples = [...pages, 'cli/freeze.ts', 'relay/admin/freezes.ts'].map(text).join('\n')
  const times = [...examples.matchAll(/(?:--until|such as|or) (\d{4}-\S*?T\d\d:\d\dZ)/g)].map(
    ([, time]) => time!,
  )
  expect(times.length).toBeGreaterThan(2)
  expect(times.filter(time => Date.parse(time) < Date.now() + 365 * 86_400_000)).toEqual([])
})

/** The folders with messages, and with files that users copy. */
const folders = 'relay,action,port,workflow-files,cli,simulator,demo,deploy,examples'
const sources = globSync([`{${folders}}/**/*.*`, 'action.yml'], {
  cwd: root,
  exclude: ['**/dist/**', '**/*.png'],
})

test('messages, comments, and examples link to pages and headings that exist', () => {
  const links = sources.flatMap(file =>
    [...text(file).matchAll(/\b(docs\/[\w-]+\.md)(?:#([\w-]+))?/g)].map(([, page, anchor]) => ({
      file,
      page,
      anchor,
    })),
  )
  expect(links.length).toBeGreaterThan(30)
  for (const { file, page, anchor } of links) {
    expect(pages, file).toContain(page)
    if (anchor) expect(anchors(page!), `${file}: ${page}`).toContain(anchor)
  }
})

describe('messages', () => {
  const files = sources.filter(file =>
    /^(relay|action|port|workflow-files|cli)\/(?!admin\/openapi)/.test(file),
  )
  const program = files
    .map(text)
    .join('\n')
    .replaceAll(/\\|^ *(?:\/?\*|\/\/).*/gm, '')

  test.each(['docs/troubleshooting.md', 'docs/runbook.md', 'docs/errors.md'])(
    'that %s quotes exist',
    page => {
      const prose = text(page)
        .replaceAll(/```.*?```/gs, '')
        .replaceAll(/\s+/g, ' ')
      // Text in quotes, and code that looks like a log message.
      const quotes = [...prose.matchAll(/"([^"`]+)"|`([^`]+)`/g)].flatMap(([, quoted, code = '']) =>
        quoted ? quoted : /^[a-z' ;]+$/i.test(code) && code.split(' ').length > 2 ? code : [],
      )
      // The program inserts names and values, and composes messages.
      const parts = quotes.flatMap(quote =>
        quote.split(/…|: |\b(?:GitHub|Port|acme\/shop|r_|[A-Z_]{5,}|\d+)\b/),
      )
      const expected = parts.map(part => part.trim().replace(/[.,]$/, ''))
      expect(expected.filter(part => !program.includes(part))).toEqual([])
    },
  )

  test('refer to exactly the sections of docs/errors.md', () => {
    const [, topics] = /type Topic =\n(.*?)\n\n/s.exec(text('action/runner/runner.ts'))!
    const names = [...topics!.matchAll(/'([\w-]+)'/g)].map(([, name]) => name!)
    expect([...text('docs/errors.md').matchAll(/^## (.*)$/gm)].map(([, heading]) => heading)).toEqual(names)
    const elsewhere = program.replace(topics!, '')
    expect(names.filter(name => !elsewhere.includes(`'${name}'`))).toEqual([])
  })
})

test.each(pages)('%s contains valid JSON and YAML, and workflows that GitHub accepts', async page => {
  for (const { language, content } of blocks(page)) {
    if (language === 'json') expect(() => JSON.parse(content), content).not.toThrow()
    if (language !== 'yaml') continue
    expect(parseAllDocuments(content).flatMap(({ errors }) => errors)).toEqual([])
    if (/^on:/m.test(content)) {
      expect((await parseWorkflow('workflow.yml', content)).errors).toEqual([])
    }
  }
})

describe('the README', () => {
  const readme = text('README.md')

  test('links to each page of docs/', () => {
    const linked = [...readme.matchAll(/\]\((docs\/[^)#]+)/g)].map(([, link]) => link)
    expect(linked).toEqual(expect.arrayContaining(pages.filter(page => page.startsWith('docs/'))))
  })

  test("contains a workflow for the example's Port action, without a Port secret", () => {
    const yaml = blocks('README.md').find(({ language }) => language === 'yaml')!.content
    const workflow = parse(yaml)
    const { identifier, trigger } = JSON.parse(text('examples/deploy/port-action.full-context.json'))
    expect(workflow.on.repository_dispatch.types).toEqual([identifier])
    const whole = parse(text('examples/deploy-oidc/deploy.yml'))
    expect(workflow.permissions).toMatchObject(whole.permissions)
    expect(workflow.jobs.deploy.steps[0]).toEqual(whole.jobs.deploy.steps[0])
    const read = [...yaml.matchAll(/steps\.port\.outputs\.([\w-]+)/g)].map(([, name]) => name)
    expect(Object.keys(trigger.userInputs.properties)).toEqual(expect.arrayContaining(read))
  })
})

test('the routing page contains routes that the relay accepts', () => {
  const problems: string[] = []
  const routes = blocks('docs/routing.md').find(({ content }) => content.startsWith('- match'))!.content
  expect(readRoutes('routes.yml', () => routes, problems)).toHaveLength(2)
  expect(problems).toEqual([])
})
