import { setImmediate as turn } from 'node:timers/promises'
import type { Ingest } from '../../cache/ingest.ts'
import { MAX_TREE_ENTRIES } from '../../model/limits.ts'

/**
 * What is recorded as the plan of every file of an archive: its place in it. It stays with the
 * entry when the file is stored, and so tells, after a crash, which members need not be
 * extracted again, and a second member of the same name from the one that is stored.
 */
export interface MemberPlan {
  readonly member: number
}

export function memberPlan(index: number): MemberPlan {
  return { member: index }
}

/** Recorded entries that are read before others get their turn on the main thread. */
const TURN_ENTRIES = 2_048

/** A bit for each member, by its index: whether it is stored. */
export async function storedMembers(ingest: Ingest): Promise<Uint8Array> {
  const stored = new Uint8Array(MAX_TREE_ENTRIES / 8)
  let count = 0
  for (const { kind, plan, state } of ingest.iterate()) {
    count += 1
    if (count % TURN_ENTRIES === 0) await turn()
    if (kind !== 'file' || state !== 'stored' || plan === null) continue
    const { member } = JSON.parse(plan) as MemberPlan
    stored[member >>> 3] = (stored[member >>> 3] ?? 0) | (1 << (member & 7))
  }
  return stored
}
