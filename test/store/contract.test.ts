import { describe } from 'vitest'
import { usePlace } from './place.ts'
import { applyTests } from './suites/apply.ts'
import { claimTests } from './suites/claims.ts'
import { failureTests } from './suites/failures.ts'
import { intakeTests } from './suites/intake.ts'
import { lookupTests } from './suites/lookups.ts'
import { maintenanceTests } from './suites/maintenance.ts'
import { outboxTests } from './suites/outbox.ts'
import { planTests } from './suites/plans.ts'
import { sharedTests } from './suites/shared.ts'

describe.each(['sqlite', 'postgres'] as const)('the store on %s', kind => {
  const place = usePlace(kind)
  intakeTests(place)
  claimTests(place)
  applyTests(place)
  outboxTests(place)
  lookupTests(place)
  maintenanceTests(place)
  planTests(place)
  if (kind === 'postgres') sharedTests(place)
  failureTests(place)
})
