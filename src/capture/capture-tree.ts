import { join } from 'node:path'
import type { Ingest } from '../cache/ingest.ts'
import type { StoreThreads } from '../cache/store-threads.ts'
import type { WalkedEntry } from '../cache/thread/walk.ts'
import { failpoint } from '../os/failpoint.ts'

export interface CaptureProgress {
  filesDone: number
  bytesDone: number
}

export interface CaptureResult {
  /** Entries that no checkpoint can hold; the log names the first of them. */
  readonly leftOut: number
}

/** Files on their way into the store at once, so that it never waits; their names are in memory. */
const MAX_UNDER_WAY = 4096
/** Entries left out that the log names; the rest is counted. */
const MAX_NAMED = 100

type WalkedFile = WalkedEntry & { kind: 'file' }

/**
 * Puts a tree that was handed over into the store without copying bytes: its files are hashed
 * where they are and linked. Never fails because of an entry: what a checkpoint cannot hold is
 * left out, counted and named. A file that somebody still writes throws `worker_running`;
 * asked again, it goes on where it was. Once it has ended, also by the signal, nothing of it is
 * under way.
 */
export async function captureTree(context: {
  ingest: Ingest
  threads: StoreThreads
  /** Absolute. */
  root: string
  log: (line: string) => void
  onProgress: (progress: CaptureProgress) => void
  signal: AbortSignal
}): Promise<CaptureResult> {
  const { ingest, threads, root, log, signal } = context
  const progress: CaptureProgress = { filesDone: 0, bytesDone: 0 }
  let leftOut = 0
  const leave = (why: string): void => {
    leftOut += 1
    if (leftOut <= MAX_NAMED) log(`Left out: ${why}`)
  }
  const done = (files: number, bytes: number): void => {
    progress.filesDone += files
    progress.bytesDone += bytes
    context.onProgress(progress)
  }

  ingest.dropPlanned()
  const underWay = new Set<Promise<void>>()
  let failure: Error | undefined
  const store = async (file: WalkedFile): Promise<void> => {
    try {
      const { path, sizeBytes, executable } = file
      let hashedBytes = 0
      const onHashed = (bytes: number): void => {
        done(0, bytes - hashedBytes)
        hashedBytes = bytes
      }
      const staged = { path, sizeBytes, executable, file: join(root, path), foreign: true }
      await ingest.storeFile({ ...staged, onHashed })
      done(1, sizeBytes - hashedBytes)
    } catch (error) {
      failure ??= error instanceof Error ? error : new Error(String(error))
    }
  }

  const capturePage = (page: readonly WalkedEntry[]): void => {
    const files: WalkedFile[] = []
    for (const entry of page) {
      if (entry.kind === 'left-out') leave(entry.why)
      else if (entry.kind === 'directory') ingest.addDirectory(entry.path)
      else if (ingest.hasStored(entry.path)) {
        if (entry.kind === 'file') done(1, entry.sizeBytes)
      } else if (entry.kind === 'symlink') ingest.addSymlink(entry.path, entry.target)
      else files.push(entry)
    }
    ingest.planFiles(files.map(({ path, sizeBytes }) => ({ path, sizeBytes, plan: null })))
    for (const file of files) {
      const stored: Promise<void> = store(file).finally(() => underWay.delete(stored))
      underWay.add(stored)
    }
  }

  try {
    for await (const page of pages(threads, root)) {
      signal.throwIfAborted()
      capturePage(page)
      while (underWay.size > MAX_UNDER_WAY) await Promise.race(underWay)
      if (failure !== undefined) break
    }
  } finally {
    // Whoever is told that it ended may take the ingest away.
    await Promise.all(underWay)
  }
  if (failure !== undefined) throw failure
  for (const { why } of ingest.dropEscapingSymlinks()) leave(why)
  if (leftOut > MAX_NAMED) log(`Left out: ${leftOut - MAX_NAMED} more entries`)
  failpoint('capture.ingested')
  return { leftOut }
}

async function* pages(threads: StoreThreads, root: string): AsyncGenerator<WalkedEntry[]> {
  const { remote, release } = threads.acquire()
  try {
    const walk = await remote.walkOpen(root)
    for (;;) {
      const page = await remote.walkNext(walk)
      if (page.length === 0) return
      yield page
    }
  } finally {
    release()
  }
}
