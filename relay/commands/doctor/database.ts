import { openStore } from '../../store/open.ts'
import { type Check, ok } from './check.ts'

/** Opens the database as the relay does, which makes its tables. */
export const database: Check = {
  name: 'database',
  async run({ config }) {
    const name =
      config.database.kind === 'sqlite' ? `The database ${config.database.path}` : 'The PostgreSQL database'
    try {
      const store = await openStore(config.database, 0)
      await store.ping()
      await store.close()
      return [ok(`${name} can be written to.`)]
    } catch (error) {
      // Where a relay runs on it, it works.
      if (/^Another relay is running/.test((error as Error).message))
        return [ok(`${name} is in use by a relay.`)]
      throw error
    }
  },
}
