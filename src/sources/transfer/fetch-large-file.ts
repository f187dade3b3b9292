import { setTimeout as sleep } from 'node:timers/promises'
import type { IngestFile } from '../../cache/ingest-file.ts'
import { CkptdError, fromErrorRecord } from '../../model/errors.ts'
import { MAX_CHECKPOINT_BYTES } from '../../model/limits.ts'
import { formatBytes } from '../../model/size-text.ts'
import { isShortage } from '../archive/space-waiter.ts'
import type { LargeHead, LargeResult } from '../fetch/messages.ts'
import type { Pin } from '../fetch/pin.ts'
import type { OnFrontier } from '../fetcher.ts'
import { MAX_RESTARTS } from '../limits.ts'
import type { Engine } from './engine.ts'
import { encodeVersion, newUnpinnedVersion, parseVersion } from './file-version.ts'
import type { Grant } from './space-keeper.ts'
import { stepwiseLimit } from './stepwise-limit.ts'

/** A file that is fetched by ranges, or as one stream, behind which it is hashed. */
export interface LargeFile {
  /** Names its partial record. */
  readonly key: string
  /** Below the transfer's address. */
  readonly href: string
  /** For the log: which file of the transfer. */
  readonly name: string
  /** Told when the first answer, or an earlier run, has pinned it. */
  readonly onPinned: (pin: Pin, sizeBytes: number | undefined) => void
  /** Its own space; else it is reserved here. */
  readonly grant?: Grant
  /** The answer with its beginning, where it is at hand. */
  readonly head?: LargeHead
}

export interface FetchedFile {
  readonly pin: Pin
  readonly sizeBytes: number
}

/**
 * Fetches a file into its staging file, from where an earlier run left it where that is
 * possible, and calls `complete` when all bytes are there. A shortage of space is waited out.
 */
export async function fetchLargeFile<T>(
  engine: Engine,
  file: LargeFile,
  complete: (opened: IngestFile, fetched: FetchedFile) => Promise<T>,
): Promise<T> {
  let plain = false
  let { head } = file
  for (let restarts = 0, shortages = 0; ; ) {
    const ended: Ended<T> = await attempt(engine, file, head, plain, complete)
    head = undefined
    if (ended.kind === 'complete') return ended.value
    if (ended.kind === 'parked') {
      await engine.space.park(ended.shortage, shortages++)
      continue
    }
    const { error } = ended
    restarts += 1
    if (restarts > MAX_RESTARTS)
      throw new CkptdError(error.code, `${error.message}; given up after ${restarts} beginnings`, {
        details: { ...error.details },
      })
    plain ||= ended.plain
    engine.log(`${file.name} begins again from its first byte: ${error.message}`)
    await sleep(RESTART_PAUSE_MS * 2 ** (restarts - 1), undefined, { signal: engine.signal })
  }
}

/** Before a file begins again the first time; doubled each time. */
const RESTART_PAUSE_MS = 500

type Ended<T> =
  | { readonly kind: 'complete'; readonly value: T }
  | { readonly kind: 'parked'; readonly shortage: CkptdError }
  | { readonly kind: 'restart'; readonly plain: boolean; readonly error: CkptdError }

async function attempt<T>(
  engine: Engine,
  file: LargeFile,
  first: LargeHead | undefined,
  plain: boolean,
  complete: (opened: IngestFile, fetched: FetchedFile) => Promise<T>,
): Promise<Ended<T>> {
  const { ingest, meter, session } = engine
  const head = recordedHead(engine, file) ?? first ?? (await session.openLarge(file.href, plain))
  const { pin, sizeBytes } = head
  let opened: IngestFile | undefined
  try {
    refuseTooLarge(file, sizeBytes)
    file.onPinned(pin, sizeBytes)
    const version =
      head.ranged && sizeBytes !== undefined
        ? encodeVersion({ pin, sizeBytes })
        : newUnpinnedVersion()
    opened = await ingest.openFile(file.key, version)
    describe(engine, file, head, opened.durableBytes)
    const result = await fetchInto(engine, file, head, opened)
    if (result.kind === 'restart') {
      await opened.discard()
      return { kind: 'restart', plain: result.plain, error: fromErrorRecord(result.error) }
    }
    return { kind: 'complete', value: await complete(opened, { pin, sizeBytes: result.sizeBytes }) }
  } catch (error) {
    if (!isShortage(error)) throw error
    await keepOrFree(opened, head)
    return { kind: 'parked', shortage: error }
  } finally {
    meter.setPart(file.key, 0)
    if (!engine.signal.aborted) await session.dropLarge(head.id)
    await opened?.[Symbol.asyncDispose]()
  }
}

/** While there is too little space, what cannot be gone on with does not take any. */
async function keepOrFree(opened: IngestFile | undefined, head: LargeHead): Promise<void> {
  if (!head.ranged) return opened?.discard()
  try {
    await opened?.flush()
  } catch (error) {
    if (!(error instanceof CkptdError)) throw error
    await opened?.discard()
  }
}

async function fetchInto(
  engine: Engine,
  file: LargeFile,
  head: LargeHead,
  opened: IngestFile,
): Promise<LargeResult> {
  const { meter, session, space } = engine
  const { pin, ranged, sizeBytes } = head
  const fromBytes = opened.durableBytes
  const missingBytes = sizeBytes === undefined ? 0 : sizeBytes - fromBytes
  if (sizeBytes !== undefined && missingBytes === 0) return { kind: 'whole', sizeBytes }
  const own = file.grant === undefined ? await space.reserve(missingBytes) : undefined
  const grant = own ?? file.grant
  const limit = stepwiseLimit(engine, grant, sizeBytes)
  try {
    await limit.ready
    let takenBytes = fromBytes
    const onFrontier: OnFrontier = (bytes, arrivedBytes) => {
      grant?.take(bytes - takenBytes)
      takenBytes = bytes
      refuseLongStream(engine, file, bytes)
      meter.setPart(file.key, arrivedBytes)
      opened.advance(bytes).catch(engine.fail)
      return limit.at(bytes, opened.hashedBytes)
    }
    const limitBytes = limit.at(fromBytes, fromBytes)
    const { id } = head
    const request = {
      id,
      href: file.href,
      path: opened.path,
      pin,
      sizeBytes,
      ranged,
      fromBytes,
      limitBytes,
    }
    const result = await session.fetchLarge(request, onFrontier)
    if (result.kind === 'whole') grant?.take(result.sizeBytes - takenBytes)
    return result
  } finally {
    own?.[Symbol.dispose]()
  }
}

/** What an earlier run pinned, where bytes of it are there. */
function recordedHead({ ingest, session }: Engine, file: LargeFile): LargeHead | undefined {
  const partial = ingest.findPartial(file.key)
  const version = partial === undefined ? undefined : parseVersion(partial.version)
  if (partial === undefined || version === undefined || partial.durableBytes === 0) return undefined
  return { id: session.newId(), ...version, ranged: true, endUnknown: false }
}

function describe(engine: Engine, file: LargeFile, head: LargeHead, durableBytes: number): void {
  const size = head.sizeBytes === undefined ? 'unknown size' : formatBytes(head.sizeBytes)
  if (durableBytes > 0)
    engine.log(`Going on with ${file.name} at ${formatBytes(durableBytes)} of ${size}`)
  else if (head.ranged) engine.log(`Fetching ${file.name} (${size}) in parts`)
  else if ((head.sizeBytes ?? Infinity) <= engine.limits.smallFileBytes)
    engine.log(`Fetching ${file.name} (${size})`)
  else {
    const why = head.pin.kind === 'none' ? head.pin.why : 'the server does not send parts of it'
    engine.log(`Fetching ${file.name} (${size}) as one stream that cannot be resumed: ${why}`)
  }
  if (head.endUnknown)
    engine.log(
      `The server does not tell the length of ${file.name}: that it is whole cannot be checked`,
    )
}

export function refuseTooLarge(file: Pick<LargeFile, 'name'>, sizeBytes: number | undefined): void {
  if (sizeBytes !== undefined && sizeBytes > MAX_CHECKPOINT_BYTES)
    throw new CkptdError(
      'too_large',
      `${file.name} has ${formatBytes(sizeBytes)} and a checkpoint holds at most ${formatBytes(MAX_CHECKPOINT_BYTES)}`,
      { details: { size_bytes: sizeBytes } },
    )
}

function refuseLongStream(engine: Engine, file: LargeFile, bytes: number): void {
  try {
    refuseTooLarge(file, bytes)
  } catch (error) {
    engine.fail(error)
  }
}
