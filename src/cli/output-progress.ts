import type { Progress } from '../agent-protocol/checkpoint.ts'
import type { Job } from '../agent-protocol/job.ts'
import { outputCheckpointName } from '../model/checkpoint-name.ts'
import { getCheckpoint } from './api/checkpoint-calls.ts'
import { CommandError } from './command-error.ts'
import type { Session } from './session.ts'

const INTERVAL_MS = 500
/** More of them than anybody could follow at once. */
const MAX_WATCHED = 16

/**
 * Does `work`, which finishes these workers, and tells meanwhile how far their outputs are
 * saved; undefined when one is not being saved, yet or any more.
 */
export async function watchingOutputs<T>(
  session: Session,
  job: Pick<Job, 'id' | 'name' | 'worker_count' | 'data'>,
  workers: readonly number[],
  onProgress: (worker: number, progress: Progress | undefined) => void,
  work: () => Promise<T>,
): Promise<T> {
  if (job.data.output_uri === undefined) return work()
  const done = new AbortController()
  const watching = (async () => {
    while (await slept(session, done.signal))
      for (const worker of workers.slice(0, MAX_WATCHED)) {
        const progress = await outputProgress(session, job, worker)
        if (done.signal.aborted) return
        onProgress(worker, progress)
      }
  })()
  try {
    return await work()
  } finally {
    done.abort()
    await watching
  }
}

async function slept({ io }: Session, signal: AbortSignal): Promise<boolean> {
  try {
    await io.clock.sleep(INTERVAL_MS, signal)
    return true
  } catch (error) {
    if (signal.aborted) return false
    throw error
  }
}

/** By its name, until its id is told; another job's output may have the same one. */
async function outputProgress(
  { api }: Session,
  { id, name, worker_count }: Pick<Job, 'id' | 'name' | 'worker_count'>,
  worker: number,
): Promise<Progress | undefined> {
  try {
    const checkpoint = await getCheckpoint(api, outputCheckpointName(name, worker, worker_count))
    return checkpoint.source_uri === id ? checkpoint.progress : undefined
  } catch (error) {
    // There is none yet, or nobody answers: the finishing itself says what is wrong.
    if (error instanceof CommandError) return undefined
    throw error
  }
}
