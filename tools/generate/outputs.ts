/** The action's own outputs, as `action.yml` lists them: a Port input of such a name is none of its own. */
export const FIXED_OUTPUTS = [
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
]
