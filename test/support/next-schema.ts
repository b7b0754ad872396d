import { MIGRATIONS } from '../../relay/store/migrations.ts'

// `node --import` loads this file into a relay and its threads, which makes the relay one of a later version.
MIGRATIONS.push(...JSON.parse(process.env.NEXT_MIGRATIONS ?? '[]'))
