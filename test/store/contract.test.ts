import { describe } from 'vitest'
import { usePlace } from './place.ts'
import { claimTests } from './suites/claims.ts'
import { intakeTests } from './suites/intake.ts'
import { planTests } from './suites/plans.ts'
import { runTests } from './suites/runs.ts'
import { schemaTests } from './suites/schema.ts'
import { sharedTests } from './suites/shared.ts'
import { stepTests } from './suites/steps.ts'
import { tellingTests } from './suites/telling.ts'
import { troubleTests } from './suites/trouble.ts'
import { upkeepTests } from './suites/upkeep.ts'

describe.each(['sqlite', 'postgres'] as const)('The store on %s', kind => {
  const place = usePlace(kind)
  intakeTests(place)
  claimTests(place)
  stepTests(place)
  tellingTests(place)
  runTests(place)
  upkeepTests(place)
  schemaTests(place)
  planTests(place)
  if (kind === 'postgres') sharedTests(place)
  troubleTests(place)
})
