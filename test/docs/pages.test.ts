import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { parse, parseAllDocuments } from 'yaml'
import { readRoutes } from '../../relay/config/routes.ts'
import { parseWorkflow } from '../../tools/simulator/runner/parser.ts'
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
