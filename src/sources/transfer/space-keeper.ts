import { setTimeout as sleep } from 'node:timers/promises'
import type { Reservation } from '../../cache/space.ts'
import type { CkptdError } from '../../model/errors.ts'
import { isShortage } from '../archive/space-waiter.ts'
import { PARKED_RETRY_MS } from '../limits.ts'
import type { ProgressMeter } from './progress.ts'

/** Space that was granted for some bytes and is given up as they are written. */
export interface Grant extends Disposable {
  readonly leftBytes: number
  take(bytes: number): void
  add(bytes: number): void
}

/** A transfer's way to space: where there is too little it waits, visibly, and does not fail. */
export interface SpaceKeeper {
  /** Waits until that much is granted. */
  reserve(bytes: number): Promise<Grant>
  /** Adds to a grant as much as there is, between the least and the wanted; waits for the least. */
  grow(grant: Grant, wantedBytes: number, leastBytes: number): Promise<number>
  /** Waits after a shortage; longer the more often in a row the same work met one. */
  park(shortage: CkptdError, times: number): Promise<void>
}

/** A shortage that lasts is in the log so often. */
const LOG_AGAIN_MS = 60_000
/** Work that meets a shortage again and again moves bytes each time: up to 16 times the pause. */
const MAX_DOUBLINGS = 4

export function spaceKeeper(options: {
  reservation: Reservation
  meter: ProgressMeter
  log: (line: string) => void
  signal: AbortSignal
  retryMs?: number
}): SpaceKeeper {
  const { reservation, meter, log, signal } = options
  let loggedAtMs = -Infinity
  let parked = 0

  const park = async (shortage: CkptdError, times: number): Promise<void> => {
    const nowMs = performance.now()
    if (nowMs - loggedAtMs > LOG_AGAIN_MS) {
      log(`Waiting for space: ${shortage.message}`)
      loggedAtMs = nowMs
    }
    parked += 1
    meter.setWaiting('space', `space: ${shortage.message}`)
    try {
      const retryMs = options.retryMs ?? PARKED_RETRY_MS
      await sleep(retryMs * 2 ** Math.min(times, MAX_DOUBLINGS), undefined, { signal })
    } finally {
      parked -= 1
      if (parked === 0) meter.setWaiting('space', undefined)
    }
  }
  /** Grants the largest of some amounts that fits; undefined where none does. */
  const tryGrow = async (amounts: readonly number[]): Promise<number | CkptdError> => {
    let shortage: CkptdError | undefined
    for (const bytes of amounts)
      try {
        await reservation.grow(bytes)
        return bytes
      } catch (error) {
        if (!isShortage(error)) throw error
        shortage ??= error
      }
    if (shortage === undefined) throw new Error('no amount was asked for')
    return shortage
  }
  const grow = async (amounts: readonly number[]): Promise<number> => {
    for (;;) {
      const grown = await tryGrow(amounts)
      if (typeof grown === 'number') return grown
      await park(grown, 0)
    }
  }
  return {
    park,
    reserve: async (bytes) => grantOf(reservation, await grow([bytes])),
    grow: async (grant, wantedBytes, leastBytes) => {
      const amounts: number[] = []
      for (let bytes = wantedBytes; bytes > leastBytes; bytes = Math.floor(bytes / 4))
        amounts.push(bytes)
      const grown = await grow([...amounts, leastBytes])
      grant.add(grown)
      return grown
    },
  }
}

function grantOf(reservation: Reservation, bytes: number): Grant {
  let left = bytes
  const take = (wanted: number): void => {
    const taken = Math.min(wanted, left)
    left -= taken
    reservation.take(taken)
  }
  return {
    get leftBytes() {
      return left
    },
    take,
    add: (more) => {
      left += more
    },
    [Symbol.dispose]: () => take(left),
  }
}
