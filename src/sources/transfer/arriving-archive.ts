import { setTimeout as sleep } from 'node:timers/promises'
import { fromErrorRecord } from '../../model/errors.ts'
import type { ArchiveSource, OpenArchive } from '../archive/archive-source.ts'
import type { Arrival } from '../archive/arrival.ts'
import type { LargeHead } from '../fetch/messages.ts'
import { MAX_RESTARTS } from '../limits.ts'
import type { ArchiveRecord } from './archive-record.ts'
import type { Engine } from './engine.ts'
import { openUnnamed } from './unnamed-file.ts'

/** How far ahead of its reader an archive is fetched at first; more the further it is read on. */
const FIRST_WINDOW_BYTES = 8 * 1024 * 1024
const WINDOW_GROWTH = 4
/** Of a small archive, how much is ahead: most of the space is for what is extracted. */
const SMALL_WINDOW_BYTES = 8 * 1024 * 1024
const WINDOWS = 8
/** The least window that is worth going on with. */
const LEAST_WINDOW_BYTES = 1024 * 1024

/** Before a part begins again the first time; doubled each time. */
const RESTART_PAUSE_MS = 500

interface Part {
  readonly arrival: Arrival
  stopped: boolean
  /** Of its request under way. */
  id?: number
}

export interface ArrivingArchive extends ArchiveSource {
  /** The server answered otherwise than with parts of the pinned version. */
  readonly partsRefused: boolean
}

/**
 * An archive that is extracted while it arrives: its reader says from where on it wants bytes,
 * they are fetched in parts into a file without a name, and given back to the filesystem behind
 * the reader. Nothing of it survives but what was recorded: which members are stored.
 */
export function arrivingArchive(
  engine: Engine,
  name: string,
  record: ArchiveRecord,
  /** The answer with the archive's beginning, where it is at hand. */
  head?: LargeHead,
): ArrivingArchive {
  const { ingest, limits, session, space } = engine
  const { pin, sizeBytes } = record.version
  const wantedWindow = Math.min(
    limits.windowBytes,
    Math.max(SMALL_WINDOW_BYTES, Math.floor(sizeBytes / WINDOWS)),
  )
  let partsRefused = false
  let held = head?.id

  const takeId = (offset: number): number => {
    const id = offset === 0 ? held : undefined
    if (id === undefined) return session.newId()
    held = undefined
    return id
  }
  const openOnce = async (): Promise<OpenArchive> => {
    const grant = await space.reserve(0)
    const windowBytes = await space.grow(grant, wantedWindow, LEAST_WINDOW_BYTES)
    const file = await openUnnamed(ingest).catch((error: unknown) => {
      grant[Symbol.dispose]()
      throw error
    })
    const { promise: failed, reject: fail } = Promise.withResolvers<never>()
    failed.catch(() => undefined)
    let part: Part | undefined
    let closed = false
    /** One part after another: what was stopped has ended before the next one begins. */
    let turn: Promise<void> = Promise.resolve()

    const begin = async (offset: number, endBytes: number, arrival: Arrival): Promise<void> => {
      if (closed) return arrival.stop()
      const own: Part = { arrival, stopped: false }
      part = own
      try {
        await fetchPart(own, offset, endBytes)
      } catch (error) {
        // Whoever stopped it has the bytes from elsewhere.
        if (!own.stopped) fail(error)
      }
    }
    const fetchPart = async (own: Part, offset: number, endBytes: number): Promise<void> => {
      const { arrival } = own
      const limitAt = (): number => {
        const { positionBytes } = arrival
        const grown = FIRST_WINDOW_BYTES + WINDOW_GROWTH * (positionBytes - offset)
        return positionBytes + Math.min(windowBytes, grown)
      }
      for (let restarts = 0; !own.stopped; restarts++) {
        const fromBytes = arrival.reachedBytes
        const id = takeId(fromBytes)
        own.id = id
        const result = await session.fetchLarge(
          {
            id,
            href: '',
            path: `/proc/self/fd/${file.fd}`,
            pin,
            sizeBytes,
            ranged: true,
            fromBytes,
            limitBytes: limitAt(),
            part: { endBytes, arrival: arrival.memory },
          },
          limitAt,
        )
        if (result.kind !== 'restart') return
        const error = fromErrorRecord(result.error)
        partsRefused = result.plain
        if (result.plain || restarts === MAX_RESTARTS) throw error
        engine.log(`${name} goes on at byte ${arrival.reachedBytes}: ${error.message}`)
        await sleep(RESTART_PAUSE_MS * 2 ** restarts, undefined, { signal: engine.signal })
      }
    }
    const stopPart = (): void => {
      if (part === undefined) return
      part.stopped = true
      if (part.id !== undefined && !engine.signal.aborted)
        session.stopLarge(part.id).catch(engine.fail)
    }
    return {
      path: `/proc/self/fd/${file.fd}`,
      from: record.place(),
      arriving: {
        failed,
        want: (offset, endOffset, arrival) => {
          stopPart()
          turn = turn.then(() => begin(offset, endOffset, arrival))
        },
        stop: () => {
          closed = true
          part?.arrival.stop()
          stopPart()
        },
      },
      [Symbol.asyncDispose]: async () => {
        await turn
        await file.close()
        grant[Symbol.dispose]()
      },
    }
  }
  return {
    sizeBytes,
    version: JSON.stringify(record.version),
    arrives: true,
    open: openOnce,
    stored: (place) => record.setPlace(place),
    get partsRefused() {
      return partsRefused
    },
  }
}
