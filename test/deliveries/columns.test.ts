import { expect, test } from 'vitest'
import { type Columns, reading } from '../../relay/delivery/columns.ts'

interface Fields {
  text: string | null
  flag: boolean
  list: string[]
}
const flag = { read: Boolean }
const list = { read: (stored: unknown) => JSON.parse(String(stored)) }

test("a table of columns doesn't compile if a field or a conversion is missing, or if a reset is wrong", () => {
  const read = reading<Fields>({ text: { reset: null }, flag, list })
  expect(read({ text: 'a', flag: 0, list: '["b"]' })).toEqual({ text: 'a', flag: false, list: ['b'] })
  const refused: Columns<Fields>[] = [
    // @ts-expect-error The column of `text` is missing.
    { flag, list },
    // @ts-expect-error Nothing converts the boolean.
    { text: {}, flag: {}, list },
    // @ts-expect-error Nothing converts the JSON text.
    { text: {}, flag, list: { reset: [] } },
    // @ts-expect-error A redelivery would reset `text` to a number.
    { text: { reset: 0 }, flag, list },
  ]
  expect(refused).toHaveLength(4)
})
