import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { OUTPUT_PREFIX } from '../cache/layout.ts'
import type { Store } from '../cache/store.ts'
import { isUuid, parseJobId } from '../model/ids.ts'

/**
 * Removes the output directories that were handed over and are wanted no more: their worker is
 * finished, and if its capture left something out, the time is over for which they are kept.
 */
async function cleanOutputs(store: Store, nowMs: number): Promise<void> {
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

const CLEAN_EVERY_MS = 3_600_000

/** Cleans now and from time to time until `signal` is aborted; a failure is logged and tried again. */
export async function keepOutputsClean(
  { log, now, store }: { store: Store; now: () => number; log: Logger },
  signal: AbortSignal,
  everyMs = CLEAN_EVERY_MS,
): Promise<void> {
  while (!signal.aborted) {
    try {
      await cleanOutputs(store, now())
    } catch (error) {
      log.warn({ err: error }, 'removing output directories that are wanted no more failed')
    }
    await sleep(everyMs, undefined, { signal, ref: false }).catch(() => undefined)
  }
}
