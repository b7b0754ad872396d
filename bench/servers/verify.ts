import { listen, RESPONSE, readVerified } from './listen.ts'

listen(async c => ((await readVerified(c)) ? c.json(RESPONSE, 202) : c.json({ verified: false }, 401)))
