import { type Dir, type Dirent, lstatSync, opendirSync, readlinkSync } from 'node:fs'
import { CkptdError } from '../../model/errors.ts'
import { decodeName, parseRelativePath, type RelativePath } from '../../model/relative-path.ts'

/** One entry of a foreign tree, or why it cannot be one of a checkpoint's. */
export type WalkedEntry =
  | {
      readonly kind: 'file'
      readonly path: RelativePath
      readonly sizeBytes: number
      readonly executable: boolean
    }
  | { readonly kind: 'directory'; readonly path: RelativePath }
  | { readonly kind: 'symlink'; readonly path: RelativePath; readonly target: string }
  | { readonly kind: 'left-out'; readonly why: string }

/** Entries handed over at once. */
const PAGE_ENTRIES = 512

const walks = new Map<number, Generator<WalkedEntry>>()
let nextId = 1

/** Walks a tree that nobody may change any more, a page at a time; an empty page is the last. */
export const walkHandlers = {
  walkOpen: (root: string): number => {
    const id = nextId++
    walks.set(id, walk(Buffer.from(root), ''))
    return id
  },
  walkNext: (id: number): WalkedEntry[] => {
    const page: WalkedEntry[] = []
    const walking = walks.get(id)
    while (page.length < PAGE_ENTRIES) {
      const next = walking?.next()
      if (next === undefined || next.done) break
      page.push(next.value)
    }
    if (page.length === 0) walks.delete(id)
    return page
  },
}

function* walk(directory: Buffer, prefix: string): Generator<WalkedEntry> {
  const reader: Dir = opendirSync(directory, {
    encoding: 'buffer' as BufferEncoding,
    bufferSize: 256,
  })
  try {
    for (let entry = reader.readSync(); entry !== null; entry = reader.readSync())
      yield* walkEntry(entry, directory, prefix)
  } finally {
    reader.closeSync()
  }
}

function* walkEntry(entry: Dirent, directory: Buffer, prefix: string): Generator<WalkedEntry> {
  const name = entry.name as unknown as Buffer
  const file = Buffer.concat([directory, Buffer.from('/'), name])
  let path: RelativePath
  try {
    path = parseRelativePath(prefix + decodeName(name))
  } catch (error) {
    if (!(error instanceof CkptdError)) throw error
    yield {
      kind: 'left-out',
      why: prefix === '' ? error.message : `below ${prefix}: ${error.message}`,
    }
    return
  }
  const stat = lstatSync(file)
  if (stat.isFile())
    yield { kind: 'file', path, sizeBytes: stat.size, executable: (stat.mode & 0o100) !== 0 }
  else if (stat.isSymbolicLink()) {
    const target = readlinkSync(file, 'buffer')
    try {
      yield { kind: 'symlink', path, target: decodeName(target) }
    } catch {
      yield { kind: 'left-out', why: `${path} is a link whose target is not valid UTF-8` }
    }
  } else if (stat.isDirectory()) {
    yield { kind: 'directory', path }
    yield* walk(file, `${path}/`)
  } else
    yield {
      kind: 'left-out',
      why: `${path} is a ${stat.isFIFO() ? 'FIFO' : stat.isSocket() ? 'socket' : 'device'}`,
    }
}
