import { workerData } from 'node:worker_threads'
import { CkptdError } from '../../model/errors.ts'
import { serveThread } from '../../os/thread.ts'
import { createAddressGuard } from '../address-guard.ts'
import type { FetchLimits } from '../limits.ts'
import { confirmPin } from './confirm-pin.ts'
import { connectionSlots } from './connection-slots.ts'
import type { FetchContext } from './fetch-context.ts'
import { guardedAgent, guardedDial } from './guarded-agent.ts'
import type { HeldAnswer } from './held-answer.ts'
import { fetchLarge, type LargeFetch, openLarge } from './large-file.ts'
import { listDirectory } from './list-directory.ts'
import {
  ENTRIES_PER_MESSAGE,
  type LargeHead,
  type LargeRequest,
  type LargeResult,
  type Report,
  type ReportHandlers,
  type SmallFile,
  type SmallResult,
} from './messages.ts'
import type { Pin } from './pin.ts'
import { fetchSmallFile } from './small-file.ts'
import { transferOrigin } from './transfer-origin.ts'

/** What the thread is started with. */
export interface FetchThreadData {
  readonly allowNetworks: readonly string[]
  readonly limits: FetchLimits
}

interface OpenTransfer extends FetchContext {
  /** What was received at the last report. */
  reportedBytes: number
  readonly stop: AbortController
  readonly held: Map<number, HeldAnswer>
  readonly large: Map<number, LargeFetch>
  /** Everything that may still write. */
  readonly running: Set<Promise<unknown>>
}

const { allowNetworks, limits } = workerData as FetchThreadData
const guard = createAddressGuard(allowNetworks)
const network = { agent: guardedAgent(guard, limits), dial: guardedDial(guard, limits) }
const slots = connectionSlots(limits)
const transfers = new Map<number, OpenTransfer>()

/** All of the network and all writing of what comes from there. */
export const fetchHandlers = {
  openTransfer: (id: number, uri: string): void => {
    const stop = new AbortController()
    const { origin, urlOf } = transferOrigin(network, uri, limits)
    transfers.set(id, {
      id,
      origin,
      urlOf,
      slots,
      limits,
      stop,
      signal: stop.signal,
      receivedBytes: 0,
      reportedBytes: 0,
      waitingFor: undefined,
      waitLoggedAtMs: 0,
      lines: [],
      held: new Map(),
      large: new Map(),
      running: new Set(),
    })
    timer ??= setInterval(() => void report(), limits.reportMs)
  },

  /** Ends whatever the transfer does; after it nothing is written any more. */
  closeTransfer: async (id: number): Promise<void> => {
    const transfer = transfers.get(id)
    if (transfer === undefined) return
    transfer.stop.abort(new CkptdError('cancelled', 'the transfer was ended'))
    await Promise.allSettled(transfer.running)
    for (const { release } of transfer.held.values()) release()
    await reporting
    await report()
    transfers.delete(id)
    if (transfers.size > 0) return
    clearInterval(timer)
    timer = undefined
  },

  fetchSmall: (id: number, files: readonly SmallFile[]): Promise<SmallResult[]> =>
    run(id, (transfer) => fetchBatch(transfer, files)),

  openLarge: (id: number, file: number, href: string, plain: boolean): Promise<LargeHead> =>
    run(id, async (transfer) => {
      const { head, held } = await openLarge(transfer, file, href, plain)
      transfer.held.set(file, held)
      return head
    }),

  fetchLarge: (id: number, request: LargeRequest): Promise<LargeResult> =>
    run(id, async (transfer) => {
      const held = transfer.held.get(request.id)
      transfer.held.delete(request.id)
      try {
        return await fetchLarge(transfer, request, held, (fetch) =>
          transfer.large.set(request.id, fetch),
        )
      } finally {
        transfer.large.delete(request.id)
      }
    }),

  /** Makes a `fetchLarge` reject with `cancelled`, once it writes no more. */
  stopLarge: (id: number, file: number): void => transfers.get(id)?.large.get(file)?.stop(),

  /** Whether a file whose parts were fetched is the pinned version still; throws if not. */
  confirm: (id: number, href: string, pin: Pin): Promise<void> =>
    run(id, (transfer) => confirmPin(transfer, { url: transfer.urlOf(href), pin, ranged: true })),

  /** The head of a file that is not fetched after all. */
  dropLarge: (id: number, file: number): void => {
    const transfer = transfers.get(id)
    const held = transfer?.held.get(file)
    transfer?.held.delete(file)
    held?.first.answer.discard()
    held?.release()
  },

  /** Calls `listed` with the entries, some at a time; resolves when all were taken. */
  listDirectory: (id: number, listing: number, href: string): Promise<void> =>
    run(id, async (transfer) => {
      const entries = await listDirectory(transfer, href)
      for (let at = 0; at < entries.length; at += ENTRIES_PER_MESSAGE)
        await parent.listed(id, listing, entries.slice(at, at + ENTRIES_PER_MESSAGE))
    }),
}

export type FetchHandlers = typeof fetchHandlers

async function run<T>(id: number, work: (transfer: OpenTransfer) => Promise<T>): Promise<T> {
  const transfer = transfers.get(id)
  if (transfer === undefined || transfer.signal.aborted)
    throw new CkptdError('cancelled', 'the transfer was ended')
  const running = work(transfer)
  transfer.running.add(running)
  try {
    return await running
  } catch (error) {
    throw transfer.signal.aborted ? transfer.signal.reason : error
  } finally {
    transfer.running.delete(running)
  }
}

async function fetchBatch(
  transfer: FetchContext,
  files: readonly SmallFile[],
): Promise<SmallResult[]> {
  const results: SmallResult[] = []
  let next = 0
  const work = async (): Promise<void> => {
    for (let index = next++; index < files.length; index = next++) {
      const file = files[index]
      if (file !== undefined) results[index] = await fetchSmallFile(transfer, file)
    }
  }
  const width = Math.min(transfer.limits.filesPerTransfer, files.length)
  await Promise.all(Array.from({ length: width }, work))
  return results
}

let timer: NodeJS.Timeout | undefined
let reporting: Promise<void> | undefined

function report(): Promise<void> {
  reporting ??= sendReport().finally(() => {
    reporting = undefined
  })
  return reporting
}

async function sendReport(): Promise<void> {
  const nowMs = Date.now()
  const frontiers: [number, number, number][] = []
  const fetches = new Map<number, LargeFetch>()
  const message: Report = {
    frontiers,
    transfers: [...transfers.values()].map((transfer) => {
      for (const [id, fetch] of transfer.large) {
        frontiers.push([id, fetch.frontierBytes(), fetch.arrivedBytes()])
        fetches.set(id, fetch)
      }
      const { waitingFor, receivedBytes } = transfer
      // Where one range waits and others arrive, the transfer does not wait.
      const waits = waitingFor !== undefined && waitingFor.untilMs > nowMs
      const moves = receivedBytes > transfer.reportedBytes
      transfer.reportedBytes = receivedBytes
      return {
        id: transfer.id,
        receivedBytes,
        waitingFor: waits && !moves ? waitingFor.text : undefined,
        lines: transfer.lines.splice(0),
      }
    }),
  }
  for (const [id, limitBytes] of await parent.report(message)) fetches.get(id)?.setLimit(limitBytes)
}

const parent = serveThread<ReportHandlers>(fetchHandlers)
