import type { Place } from '../place.ts'

export function migrationTests(_place: Place): void {}
