import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { OUTPUT_PREFIX } from '../cache/recovery.ts'
import type { Store } from '../cache/store.ts'
import { isUuid, parseJobId } from '../model/ids.ts'

/**
 * Removes the output directories that were handed over and are wanted no more: their worker is
 * finished, and if its capture left something out, the time is over for which they are kept.
 */
export async function cleanOutputs(store: Store, nowMs: number): Promise<void> {
  for (const name of await readdir(store.layout.staging)) {
    if (!name.startsWith(OUTPUT_PREFIX)) continue
    const [job = '', worker = ''] = name.slice(OUTPUT_PREFIX.length).split('.')
    const row = isUuid(job)
      ? store.database.jobs.findWorker(parseJobId(job), Number(worker))
      : undefined
    const wanted =
      row !== undefined && (row.state !== 'finished' || (row.output_kept_until_ms ?? 0) > nowMs)
    if (!wanted)
      await store.threads.use((remote) => remote.removeTree(join(store.layout.staging, name)))
  }
}
