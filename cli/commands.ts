import { backup } from './backup.ts'
import type { Command } from './command.ts'
import { createCompletion } from './completion.ts'
import { deliveries } from './deliveries.ts'
import { doctor } from './doctor.ts'
import { freeze, freezes, unfreeze } from './freeze.ts'
import { generate } from './generate.ts'
import { migrate } from './migrate.ts'
import { cancel, redeliver } from './redeliver.ts'
import { send } from './send.ts'
import { serve } from './serve.ts'
import { setup } from './setup.ts'
import { simulate } from './simulate.ts'

const all: Command[] = [
  serve,
  doctor,
  send,
  deliveries,
  redeliver,
  cancel,
  freeze,
  unfreeze,
  freezes,
  setup,
  generate,
  migrate,
  simulate,
  backup,
]

export const commands = [...all, createCompletion(all)]
