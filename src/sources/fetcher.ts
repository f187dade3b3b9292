import { siblingModule, startThread } from '../os/thread.ts'
import { createAddressGuard } from './address-guard.ts'
import type { FetchHandlers, FetchThreadData } from './fetch/fetch-thread.ts'
import type {
  LargeHead,
  LargeRequest,
  LargeResult,
  ListedEntry,
  Report,
  ReportHandlers,
  SmallFile,
  SmallResult,
  TransferReport,
} from './fetch/messages.ts'
import type { Pin } from './fetch/pin.ts'
import { FETCH_LIMITS, type FetchLimits } from './limits.ts'

/** The fetch thread: all network, all transfers. */
export interface Fetcher extends AsyncDisposable {
  /** Opens a transfer from an address, secrets included; they do not leave the thread. */
  open(uri: string, watch: (report: TransferReport) => void): FetchSession
}

/**
 * Told how far a file reaches without a gap and how many of its bytes have arrived wherever;
 * answers with the new limit.
 */
export type OnFrontier = (bytes: number, arrivedBytes: number) => number

/** One transfer's part of the fetch thread. After disposal nothing of it is written any more. */
export interface FetchSession extends AsyncDisposable {
  fetchSmall(files: readonly SmallFile[]): Promise<SmallResult[]>
  openLarge(href: string, plain: boolean): Promise<LargeHead>
  /** An id for a `fetchLarge` that no `openLarge` came before. */
  newId(): number
  fetchLarge(request: LargeRequest, onFrontier: OnFrontier): Promise<LargeResult>
  /** Makes a `fetchLarge` reject with `cancelled`, once it writes no more. */
  stopLarge(id: number): Promise<void>
  /** Throws `origin_changed` where a file whose parts were fetched is another version now. */
  confirm(href: string, pin: Pin): Promise<void>
  /** The head of a file that is not fetched after all. */
  dropLarge(id: number): Promise<void>
  listDirectory(href: string, onEntries: (entries: readonly ListedEntry[]) => void): Promise<void>
}

export interface FetcherOptions extends Partial<FetchLimits> {
  /** Networks (CIDR) that may be connected to though they are not public. */
  readonly allowNetworks: readonly string[]
}

export function createFetcher({ allowNetworks, ...changed }: FetcherOptions): Fetcher {
  // A list that cannot be read is refused here, where somebody can still be told.
  createAddressGuard(allowNetworks)
  const sessions = new Map<number, Session>()
  let nextId = 1

  const report = ({ frontiers, transfers }: Report): (readonly [number, number])[] => {
    for (const transfer of transfers) sessions.get(transfer.id)?.watch(transfer)
    const limits: [number, number][] = []
    for (const session of sessions.values())
      for (const [id, bytes, arrivedBytes] of frontiers) {
        const onFrontier = session.frontiers.get(id)
        if (onFrontier !== undefined) limits.push([id, onFrontier(bytes, arrivedBytes)])
      }
    return limits
  }
  const handlers: ReportHandlers = {
    report,
    listed: (transfer, listing, entries) =>
      sessions.get(transfer)?.listings.get(listing)?.(entries),
  }
  const data: FetchThreadData = { allowNetworks, limits: { ...FETCH_LIMITS, ...changed } }
  const thread = startThread<FetchHandlers>(siblingModule(import.meta.url, 'fetch/fetch-thread'), {
    name: 'fetch',
    handlers,
    data,
    // Nothing can be filled without it: the supervisor starts the daemon anew.
    onDeath: (error) => {
      throw error
    },
  })
  const { remote } = thread

  return {
    open: (uri, watch) => {
      const id = nextId++
      const frontiers: Session['frontiers'] = new Map()
      const listings: Session['listings'] = new Map()
      sessions.set(id, { watch, frontiers, listings })
      const opened = remote.openTransfer(id, uri)
      opened.catch(() => undefined)
      const after = async <T>(call: () => Promise<T>): Promise<T> => {
        await opened
        return call()
      }
      return {
        newId: () => nextId++,
        fetchSmall: (files) => after(() => remote.fetchSmall(id, files)),
        openLarge: (href, plain) => after(() => remote.openLarge(id, nextId++, href, plain)),
        stopLarge: (file) => remote.stopLarge(id, file),
        confirm: (href, pin) => remote.confirm(id, href, pin),
        dropLarge: (file) => remote.dropLarge(id, file),
        fetchLarge: async (request, onFrontier) => {
          frontiers.set(request.id, onFrontier)
          try {
            return await remote.fetchLarge(id, request)
          } finally {
            frontiers.delete(request.id)
          }
        },
        listDirectory: async (href, onEntries) => {
          const listing = nextId++
          listings.set(listing, onEntries)
          try {
            await after(() => remote.listDirectory(id, listing, href))
          } finally {
            listings.delete(listing)
          }
        },
        [Symbol.asyncDispose]: async () => {
          await remote.closeTransfer(id)
          sessions.delete(id)
        },
      }
    },
    [Symbol.asyncDispose]: () => thread[Symbol.asyncDispose](),
  }
}

interface Session {
  readonly watch: (report: TransferReport) => void
  readonly frontiers: Map<number, OnFrontier>
  readonly listings: Map<number, (entries: readonly ListedEntry[]) => void>
}
