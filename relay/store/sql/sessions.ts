import type { Statement } from '../database.ts'

export const revoke = (id: string, expiresAt: number): Statement => ({
  sql: 'INSERT INTO revoked_sessions (id, expires_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING',
  params: [id, expiresAt],
})

export const isRevoked = (id: string): Statement => ({
  sql: 'SELECT id FROM revoked_sessions WHERE id = ?1',
  params: [id],
})
