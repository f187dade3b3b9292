import { fileError } from '../../os/errno.ts'
import { siblingModule, startThread } from '../../os/thread.ts'
import { admitMembers } from './admit-members.ts'
import { arrivalAt } from './arrival.ts'
import type { ExtractionParent } from './extraction-protocol.ts'
import type { ExtractionRequest } from './extraction-request.ts'
import type { ExtractionHandlers } from './extraction-thread.ts'
import { largeFiles } from './large-files.ts'
import { storedMembers } from './member-plan.ts'
import type { ProgressKeeper } from './progress-keeper.ts'
import { spaceAccount } from './space-account.ts'
import { cancelled, type WaitForSpace } from './space-waiter.ts'
import { storeQueue } from './store-queue.ts'
import { storedFrontier } from './stored-frontier.ts'

/**
 * One reading of the archive: a thread writes members into staging files named after `prefix`,
 * and what it reports is planned and stored here while it goes on. Nothing is under way any
 * more when this ends, however it ends.
 */
export async function extractOnce(
  request: ExtractionRequest,
  attempt: { prefix: string; progress: ProgressKeeper; waitForSpace: WaitForSpace },
): Promise<void> {
  const { format, ingest, name, reservation, signal, source } = request
  const { prefix, progress } = attempt
  ingest.dropPlanned()
  const stored = await storedMembers(ingest)

  const open = await source.open()
  const { arriving, from, path } = open

  const { promise: stopped, reject: stop } = Promise.withResolvers<never>()
  // It may stop after nobody waits any more.
  stopped.catch(() => undefined)
  const onAbort = (): void => stop(cancelled(signal))
  signal.addEventListener('abort', onAbort)
  if (signal.aborted) onAbort()

  using space = spaceAccount(reservation, progress, attempt.waitForSpace)
  arriving?.failed.catch(stop)
  const queue = storeQueue(stop)
  const context = {
    request,
    progress,
    queue,
    space,
    frontier: storedFrontier((place) => source.stored(place)),
  }
  const large = largeFiles(context)
  const handlers: ExtractionParent = {
    report: admitMembers(context),
    reserve: (bytes) => space.reserve(bytes),
    log: request.log,
    want: (offset, end, memory) => arriving?.want(offset, end, arrivalAt(memory)),
    ...large.handlers,
  }
  const thread = startThread<ExtractionHandlers>(
    siblingModule(import.meta.url, 'extraction-thread'),
    { name: 'extract', handlers },
  )
  try {
    const { directory } = ingest
    const { sizeBytes } = source
    const job = {
      format,
      name,
      source: { path, sizeBytes, arriving: arriving !== undefined, from },
      directory,
      prefix,
      stored,
    }
    await Promise.race([thread.remote.extract(job), stopped])
    await Promise.race([queue.drained(), stopped])
  } catch (error) {
    throw fileError(error, `extracting ${name}`)
  } finally {
    signal.removeEventListener('abort', onAbort)
    // A thread that waits for bytes hears nothing else.
    arriving?.stop()
    await thread[Symbol.asyncDispose]()
    await open[Symbol.asyncDispose]()
    await queue.settled()
    await large.close()
  }
}
