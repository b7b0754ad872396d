import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { migrateAll, remarksOf } from './migrated.ts'
import { playWorkflows, RUN_ID, type Scene } from './play-workflows.ts'

const root = join(import.meta.dirname, '../..')
const FOLDER = join(root, 'test/fixtures/migrate/workflows')
const guide = (name: string) => readFileSync(join(FOLDER, name), 'utf8')

describe('workflows in the style of guides', () => {
  const called = ['called.yml', 'caller.yml']
  const alone = readdirSync(FOLDER).filter(name => /^[a-z]+\.yml$/.test(name) && !called.includes(name))
  test.each([...alone.map(name => [name]), called])('%s migrates to the expected file', async (...names) => {
    const results = await migrateAll(Object.fromEntries(names.map(name => [name, guide(name)])))
    for (const [name, result] of results) {
      const remarks = remarksOf(result).map(line => `# ${line}\n`)
      await expect(result.text + remarks.join('')).toMatchFileSnapshot(
        join(FOLDER, name.replace('.', '.after.')),
      )
    }
  })
})

const echo = { 'actions/checkout@*': join(root, 'test/fixtures/simulator/echo-action') }
const cluster = (action: string, number = '17'): Omit<Scene, 'files'> => ({
  context: { runId: RUN_ID, action, entity: { identifier: 'shop' } },
  inputs: { 'cluster-name': 'eu' },
  vars: { NUMBER: number },
})
const call = (exit: string) => ({ inputs: { version: '2' }, vars: { EXIT: exit } })
const remove = (exit: string) => ({ inputs: { names: 'cart' }, vars: { EXIT: exit } })
const assign = (assignee: string) => ({ inputs: { assignee } })
const created = ['Created eu by create_new_cluster']
const nobody = ['There is no such user: nobody is assigned', 'Not done']
test.each<[string, string, Omit<Scene, 'files'>, string, string[]?]>([
  ['a step that writes an entity', 'cluster', cluster('request_new_cluster'), 'SUCCESS', ['Waiting for']],
  ['an action derived by Port, in jobs', 'cluster', cluster('create_new_cluster'), 'SUCCESS', created],
  ['a later job that fails', 'cluster', cluster('create_new_cluster', '18'), 'FAILURE'],
  ['an entity, a link and a summary', 'ticket', assign('ada'), 'SUCCESS', ['Done']],
  ['a successful job that fails the Port run with a reason', 'ticket', assign(''), 'FAILURE', nobody],
  ['several entities and a delete', 'remove', remove('0'), 'SUCCESS'],
  ['a job that fails between entities', 'remove', remove('1'), 'FAILURE', ['since work was failure']],
  ['a called workflow with a matrix', 'caller called', call('0'), 'SUCCESS', ['2 is in eu', '2 is in us']],
  ['a called workflow that is skipped', 'caller called', call('1'), 'FAILURE'],
])('%s: the outcome is the same before and after migration', async (_, names, scene, status, log = []) => {
  const files = names.split(' ').map(name => `${name}.yml`)
  const before = Object.fromEntries(files.map(name => [name, guide(name)]))
  const after = Object.fromEntries([...(await migrateAll(before))].map(([name, { text }]) => [name, text]))
  const was = await playWorkflows({ ...scene, files: before, actions: echo })
  const now = await playWorkflows({ ...scene, files: after, actions: echo })
  expect(was.status).toBe(status)
  const same = ({ conclusion, entities, links, status, summary }: typeof was) => {
    return { conclusion, entities, links, status, summary: was.summary && summary }
  }
  expect(same(now)).toEqual(same(was))
  const own = (steps: string[]) => steps.filter(step => /Ask|Create|Look|Work|Test|Roll/.test(step))
  expect(own(now.steps)).toEqual(own(was.steps))
  for (const line of log)
    expect([was.log, now.log]).toEqual([expect.stringContaining(line), expect.stringContaining(line)])
})
