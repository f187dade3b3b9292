import type { Reservation } from '../../cache/space.ts'
import type { ProgressKeeper } from './progress-keeper.ts'
import { isShortage, type WaitForSpace } from './space-waiter.ts'

/** What of a reservation one attempt was granted and has not written yet. */
export interface SpaceAccount extends Disposable {
  /** Waits until at least that much more is granted; answers with how much. */
  reserve(bytes: number): Promise<number>
  /** So much was written: the filesystem counts it from now on. */
  take(bytes: number): void
}

/** Asked for at once, so that small files do not each wait for an answer. */
const STEP_BYTES = 64 * 1024 * 1024

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
      // Where a whole step does not fit any more, what is needed now may.
      for (let wanted = Math.max(bytes, STEP_BYTES); ; )
        try {
          await reservation.grow(wanted)
          grantedBytes += wanted
          progress.waitFor(undefined)
          return wanted
        } catch (error) {
          if (!isShortage(error)) throw error
          if (wanted === bytes) await waitForSpace(error)
          wanted = bytes
        }
    },
    take,
    [Symbol.dispose]: () => take(grantedBytes),
  }
}
