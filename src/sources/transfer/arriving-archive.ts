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

/** Before a part is asked for again the first time; doubled each time. */
const RESTART_PAUSE_MS = 500

export interface ArrivingArchive extends ArchiveSource {
  /** The server answered otherwise than with parts of the pinned version. */
  readonly partsRefused: boolean
}

/** What the readings of one archive share. */
interface Context {
  readonly engine: Engine
  readonly name: string
  readonly record: ArchiveRecord
  /** The answer with the archive's beginning, until it is used. */
  headId: number | undefined
  partsRefused: boolean
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
  const context: Context = { engine, name, record, headId: head?.id, partsRefused: false }
  return {
    sizeBytes: record.version.sizeBytes,
    version: JSON.stringify(record.version),
    arrives: true,
    open: () => openArriving(context),
    stored: (place) => record.setPlace(place),
    get partsRefused() {
      return context.partsRefused
    },
  }
}

interface Part {
  readonly startOffset: number
  readonly endOffset: number
  readonly arrival: Arrival
  stopped: boolean
  /** Of its request under way. */
  requestId?: number
}

async function openArriving(context: Context): Promise<OpenArchive> {
  const { engine, record } = context
  const window = await reserveWindow(context)
  const file = await openUnnamed(engine.ingest).catch((error: unknown) => {
    window[Symbol.dispose]()
    throw error
  })
  const path = `/proc/self/fd/${file.fd}`
  const { promise: failed, reject: fail } = Promise.withResolvers<never>()
  failed.catch(() => undefined)
  let part: Part | undefined
  let closed = false
  /** One part after another: what was stopped has ended before the next one begins. */
  let turn: Promise<void> = Promise.resolve()

  const stopPart = (): void => {
    if (part === undefined) return
    part.stopped = true
    if (part.requestId !== undefined && !engine.signal.aborted)
      engine.session.stopLarge(part.requestId).catch(engine.fail)
  }
  const begin = async (own: Part): Promise<void> => {
    if (closed) return own.arrival.stop()
    part = own
    try {
      await fetchPart(context, own, path, window.bytes)
    } catch (error) {
      // Whoever stopped it has the bytes from elsewhere.
      if (!own.stopped) fail(error)
    }
  }
  return {
    path,
    from: record.place(),
    arriving: {
      failed,
      want: (startOffset, endOffset, arrival) => {
        stopPart()
        turn = turn.then(() => begin({ startOffset, endOffset, arrival, stopped: false }))
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
      window[Symbol.dispose]()
    },
  }
}

/** Space for what is there ahead of the reader; waits where there is none. */
async function reserveWindow({
  engine: { limits, space },
  record: { version },
}: Context): Promise<{ readonly bytes: number } & Disposable> {
  const share = Math.max(SMALL_WINDOW_BYTES, Math.floor(version.sizeBytes / WINDOWS))
  const wanted = Math.min(limits.windowBytes, share)
  const grant = await space.reserve(0)
  const bytes = await space.grow(grant, wanted, LEAST_WINDOW_BYTES)
  return { bytes, [Symbol.dispose]: () => grant[Symbol.dispose]() }
}

/** Fetches a part until its end or until it is stopped, from where it is after each failure. */
async function fetchPart(
  context: Context,
  part: Part,
  path: string,
  windowBytes: number,
): Promise<void> {
  const { engine, name, record } = context
  const { arrival, endOffset, startOffset } = part
  const { pin, sizeBytes } = record.version
  const limitAt = (): number => {
    const { positionBytes } = arrival
    const grown = FIRST_WINDOW_BYTES + WINDOW_GROWTH * (positionBytes - startOffset)
    return positionBytes + Math.min(windowBytes, grown)
  }
  for (let restarts = 0; !part.stopped; restarts++) {
    const fromBytes = arrival.reachedBytes
    const id = takeRequestId(context, fromBytes)
    part.requestId = id
    const result = await engine.session.fetchLarge(
      {
        id,
        href: '',
        path,
        pin,
        sizeBytes,
        ranged: true,
        fromBytes,
        limitBytes: limitAt(),
        part: { endBytes: endOffset, arrival: arrival.memory },
      },
      limitAt,
    )
    if (result.kind === 'whole') return
    const error = fromErrorRecord(result.error)
    context.partsRefused = result.plain
    if (result.plain || restarts === MAX_RESTARTS) throw error
    engine.log(`${name} goes on at byte ${arrival.reachedBytes}: ${error.message}`)
    await sleep(RESTART_PAUSE_MS * 2 ** restarts, undefined, { signal: engine.signal })
  }
}

/** The answer with the archive's beginning serves once, whoever begins there. */
function takeRequestId(context: Context, fromBytes: number): number {
  const id = fromBytes === 0 ? context.headId : undefined
  if (id === undefined) return context.engine.session.newId()
  context.headId = undefined
  return id
}
