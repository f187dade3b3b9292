import { setTimeout as sleep } from 'node:timers/promises'
import { CkptdError } from '../../model/errors.ts'
import { formatDuration } from '../../model/size-text.ts'
import type { FetchLimits } from '../limits.ts'
import type { TransientFault } from './transient-fault.ts'

/** Counts failures in a row of one piece of work and waits longer after each. */
export interface Patience {
  /** Something arrived: failures are counted anew. */
  progress(): void
  /** Waits before the next attempt; throws the fault's error when there were too many. */
  wait(fault: TransientFault): Promise<void>
}

export interface PatienceOptions {
  readonly limits: FetchLimits
  readonly signal: AbortSignal
  /** Told what is waited for, and for how long. */
  readonly onWait: (what: string, ms: number) => void
}

export function patience({ limits, signal, onWait }: PatienceOptions): Patience {
  let failures = 0
  return {
    progress: () => {
      failures = 0
    },
    wait: async (fault) => {
      failures += 1
      const { error } = fault
      const allowed = Math.min(fault.attempts ?? limits.attempts, limits.attempts)
      if (failures >= allowed)
        throw new CkptdError(error.code, `${error.message}; given up after ${failures} attempts`, {
          details: { ...error.details },
        })
      const ms = pauseMs(failures, fault.retryAfterMs, limits)
      onWait(`${error.message}; asked again in ${formatDuration(Math.ceil(ms / 1000))}`, ms)
      await sleep(ms, undefined, { signal })
    },
  }
}

/** Doubled each time, with a random part so that many do not come back at once. */
function pauseMs(failures: number, retryAfterMs: number | undefined, limits: FetchLimits): number {
  const full = Math.min(limits.backoffMs * 2 ** (failures - 1), limits.maxBackoffMs)
  const backoff = full * (0.5 + Math.random() / 2)
  return Math.max(backoff, Math.min(retryAfterMs ?? 0, limits.maxRetryAfterMs))
}
