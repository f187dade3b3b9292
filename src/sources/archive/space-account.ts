import type { Reservation } from '../../cache/space.ts'
import type { ProgressKeeper } from './progress-keeper.ts'
import { isShortage, type WaitForSpace } from './space-waiter.ts'

/** What of a reservation one attempt was granted and has not written yet. */
export interface SpaceAccount extends Disposable {
  /** Waits until that much more is granted. */
  reserve(bytes: number): Promise<void>
  /** So much was written: the filesystem counts it from now on. */
  take(bytes: number): void
}

export function spaceAccount(
  reservation: Reservation,
  progress: ProgressKeeper,
  waitForSpace: WaitForSpace,
): SpaceAccount {
  let grantedBytes = 0
  const take = (bytes: number): void => {
    const taken = Math.min(bytes, grantedBytes)
    grantedBytes -= taken
    reservation.take(taken)
  }
  return {
    reserve: async (bytes) => {
      for (;;) {
        try {
          await reservation.grow(bytes)
          break
        } catch (error) {
          if (!isShortage(error)) throw error
          await waitForSpace(error)
        }
      }
      grantedBytes += bytes
      progress.waitFor(undefined)
    },
    take,
    [Symbol.dispose]: () => take(grantedBytes),
  }
}
