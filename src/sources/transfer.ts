import type { Ingest } from '../cache/ingest.ts'
import type { Space } from '../cache/space.ts'
import { CkptdError } from '../model/errors.ts'
import type { ExtractionRequest } from './archive/extraction-request.ts'
import type { Fetcher } from './fetcher.ts'
import { FETCH_LIMITS, type FetchLimits } from './limits.ts'
import { fullUri, type SourceLocation } from './location.ts'
import type { Engine } from './transfer/engine.ts'
import { progressMeter, type TransferProgress } from './transfer/progress.ts'
import { spaceKeeper } from './transfer/space-keeper.ts'
import { type ArchiveTransfer, transferArchive } from './transfer/web-archive.ts'
import { transferDirectory } from './transfer/web-directory.ts'
import { transferFile } from './transfer/web-file.ts'

export interface TransferContext {
  readonly ingest: Ingest
  readonly location: SourceLocation
  readonly space: Space
  readonly fetcher: Fetcher
  /** A line for the checkpoint's log; never holds a secret. */
  readonly log: (line: string) => void
  readonly onProgress: (progress: TransferProgress) => void
  readonly signal: AbortSignal
  readonly extract: (request: ExtractionRequest) => Promise<void>
  /** Between two looks at the free space while there is too little. */
  readonly spaceRetryMs?: number
  readonly limits?: Partial<Pick<FetchLimits, 'smallFileBytes' | 'windowBytes'>>
}

/**
 * Fills an ingest from its source: resolves when every entry is stored, with what exactly was
 * fetched. Begun again after a crash it goes on where it was. Rejects with one `CkptdError`; a
 * shortage of space is no failure and is waited out.
 */
export async function runTransfer(context: TransferContext): Promise<{ pinnedSource: string }> {
  const { fetcher, ingest, location, log, space } = context
  const stop = new AbortController()
  let failure: unknown
  const fail = (error: unknown): void => {
    failure ??= error
    stop.abort(error)
  }
  const cancel = (): void => fail(cancelledBy(context.signal))
  if (context.signal.aborted) throw cancelledBy(context.signal)
  context.signal.addEventListener('abort', cancel, { once: true })

  using meter = progressMeter(context.onProgress)
  using reservation = await space.reserve(0)
  await using session = fetcher.open(fullUri(location), ({ receivedBytes, waitingFor, lines }) => {
    meter.setReceived(receivedBytes)
    meter.setWaiting('origin', waitingFor)
    for (const line of lines) log(line)
  })
  // Whatever waits for the fetch thread fails when its session ends.
  const end = (): void => void Promise.resolve(session[Symbol.asyncDispose]()).catch(fail)
  stop.signal.addEventListener('abort', end, { once: true })

  const { signal } = stop
  const retry = context.spaceRetryMs === undefined ? {} : { retryMs: context.spaceRetryMs }
  const engine: Engine = {
    ingest,
    session,
    meter,
    log,
    signal,
    fail,
    displayUri: location.displayUri,
    limits: { ...FETCH_LIMITS, ...context.limits },
    space: spaceKeeper({ reservation, meter, log, signal, ...retry }),
  }
  const archive = { reservation, extract: context.extract }
  try {
    return { pinnedSource: await transferShape(engine, location, archive) }
  } catch (error) {
    throw failure ?? error
  } finally {
    context.signal.removeEventListener('abort', cancel)
  }
}

function transferShape(
  engine: Engine,
  location: SourceLocation,
  archive: Pick<ArchiveTransfer, 'reservation' | 'extract'>,
): Promise<string> {
  if (location.shape === 'file') return transferFile(engine, location.name)
  if (location.shape === 'archive') return transferArchive(engine, { ...location, ...archive })
  return transferDirectory(engine)
}

function cancelledBy(signal: AbortSignal): CkptdError {
  const reason: unknown = signal.reason
  return reason instanceof CkptdError
    ? reason
    : new CkptdError('cancelled', 'the transfer was cancelled', { cause: reason })
}
