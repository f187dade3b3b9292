import { CkptdError } from '../model/errors.ts'
import type { WorkerRef } from './mount-host.ts'
import { describeWorker } from './worker-ref.ts'

/**
 * Long verbs give way to others while they run: this keeps any other verb off the same worker
 * meanwhile, and lets the same one, asked again, join.
 */
export interface Exclusive {
  /** Throws `conflict` while a long verb runs for the worker. */
  assertFree(ref: WorkerRef): void
  run<T>(ref: WorkerRef, verb: string, action: () => Promise<T>): Promise<T>
  /** Waits for everything that runs. */
  settle(): Promise<void>
}

export function createExclusive(): Exclusive {
  const running = new Map<string, { verb: string; result: Promise<unknown> }>()
  const conflict = (ref: WorkerRef, verb: string): CkptdError =>
    new CkptdError('conflict', `${verb} is under way for ${describeWorker(ref)}`)
  return {
    assertFree: (ref) => {
      const other = running.get(ref.key)
      if (other !== undefined) throw conflict(ref, other.verb)
    },
    run: <T>(ref: WorkerRef, verb: string, action: () => Promise<T>): Promise<T> => {
      const other = running.get(ref.key)
      // The verb is the same, and so is the type of its answer.
      if (other?.verb === verb) return other.result as Promise<T>
      if (other !== undefined) return Promise.reject(conflict(ref, other.verb))
      const result = action().finally(() => running.delete(ref.key))
      running.set(ref.key, { verb, result })
      return result
    },
    settle: async () => {
      await Promise.allSettled([...running.values()].map(({ result }) => result))
    },
  }
}
