import { expect, test } from 'vitest'
import { annotations, openStage, ownSteps, payloadFor } from './play.ts'

test('an input named as a fixed output, or as none can be, stays in the output inputs, with a warning', async () => {
  const { play } = await openStage()
  const inputs = {
    Action: 'mine',
    size: 'L',
    Size: 'XL',
    'a=b': 1,
    'c<<d': 2,
    'at@b\\c': 'kept',
    __proto__x: 'kept',
  }
  const played = await play({ clientPayload: payloadFor('r_Q0YotCZMKxDLdlaU', inputs) })

  expect(played.conclusion).toBe('success')
  const { main } = ownSteps(played.jobs[0]!)
  expect(main.outputs).toMatchObject({
    action: 'deploy_service',
    size: 'L',
    'at@b\\c': 'kept',
    __proto__x: 'kept',
  })
  expect(Object.keys(main.outputs)).not.toContain('a')
  expect(JSON.parse(main.outputs.inputs!)).toEqual(inputs)
  expect(annotations(main)).toEqual([
    'warning: "Action", "Size": an output of this action or another input has that name, so read the Port input from ' +
      "the output inputs: fromJSON(steps.<id>.outputs.inputs)['Action'].",
    'warning: "a=b", "c<<d": an output cannot have such a name, so read the Port input from the output inputs: ' +
      'fromJSON(steps.<id>.outputs.inputs).',
  ])
})
