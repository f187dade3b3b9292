import { statfs } from 'node:fs/promises'
import { CkptdError } from '../model/errors.ts'
import { formatBytes } from '../model/size-text.ts'

/**
 * Space set aside for work under way. `take` says that bytes of it were written: the
 * filesystem counts those from then on.
 */
export interface Reservation extends Disposable {
  readonly leftBytes: number
  take(bytes: number): void
  /** Reserves more; throws `no_space` and changes nothing where the floor would be touched. */
  grow(bytes: number): Promise<void>
}

export interface Space {
  reserve(bytes: number): Promise<Reservation>
  usage(): Promise<SpaceUsage>
}

export interface SpaceUsage {
  readonly sizeBytes: number
  readonly freeBytes: number
  readonly floorBytes: number
  readonly reservedBytes: number
}

/** The floor of a filesystem: the larger of 1 % and 1 GB, but never more than a tenth. */
export function defaultFloorBytes(sizeBytes: number): number {
  return Math.floor(Math.min(Math.max(sizeBytes * 0.01, 1e9), sizeBytes * 0.1))
}

/**
 * Keeps `min_free` bytes out of the reach of transfers, so that reads, mounts and finishing
 * still work when everything else is full.
 */
export function openSpace(directory: string, options: { minFreeBytes?: number } = {}): Space {
  const reservations = new Set<{ leftBytes: number }>()
  const reservedBytes = (): number => {
    let total = 0
    for (const { leftBytes } of reservations) total += leftBytes
    return total
  }
  const usage = async (): Promise<SpaceUsage> => {
    const stat = await statfs(directory)
    const sizeBytes = stat.blocks * stat.bsize
    return {
      sizeBytes,
      freeBytes: stat.bavail * stat.bsize,
      floorBytes: options.minFreeBytes ?? defaultFloorBytes(sizeBytes),
      reservedBytes: reservedBytes(),
    }
  }
  // One check at a time: two that both see the last free gigabyte would both get it.
  let turn: Promise<unknown> = Promise.resolve()
  const check = (bytes: number, grant: () => void): Promise<void> => {
    const mine = turn.then(async () => {
      const { freeBytes, floorBytes } = await usage()
      const availableBytes = Math.max(0, freeBytes - floorBytes - reservedBytes())
      if (bytes > availableBytes)
        throw new CkptdError(
          'no_space',
          `${formatBytes(bytes)} are needed and ${formatBytes(availableBytes)} may be used`,
          {
            details: {
              needed_bytes: bytes,
              available_bytes: availableBytes,
              floor_bytes: floorBytes,
            },
          },
        )
      grant()
    })
    turn = mine.catch(() => undefined)
    return mine
  }
  const reserve = async (bytes: number): Promise<Reservation> => {
    const held = { leftBytes: 0 }
    await check(bytes, () => {
      held.leftBytes = bytes
      reservations.add(held)
    })
    return {
      get leftBytes() {
        return held.leftBytes
      },
      take: (taken) => {
        held.leftBytes = Math.max(0, held.leftBytes - taken)
      },
      grow: (more) =>
        check(more, () => {
          held.leftBytes += more
        }),
      [Symbol.dispose]: () => void reservations.delete(held),
    }
  }
  return { reserve, usage }
}
