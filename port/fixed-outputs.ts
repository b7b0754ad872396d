/** The action's outputs that are no Port input: an input of such a name is the output `input-NAME`. */
export const FIXED_OUTPUTS = new Set([
  'inputs',
  'entity',
  'event',
  'trigger',
  'payload',
  'run-id',
  'action',
  'operation',
  'blueprint',
  'entity-id',
  'triggered-by',
  'delivery',
])

/** GitHub compares names of outputs without regard to case. */
export const isFixedOutput = (name: string): boolean => FIXED_OUTPUTS.has(name.toLowerCase())

/** The output that holds a Port input. */
export const outputName = (input: string): string => (isFixedOutput(input) ? `input-${input}` : input)
