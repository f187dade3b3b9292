import { CkptdError } from '../../model/errors.ts'
import { parseRelativePath, quoteName, type RelativePath } from '../../model/relative-path.ts'
import type { ListedEntry } from '../fetch/messages.ts'
import { LISTINGS_AT_ONCE, MAX_LISTED_DIRECTORIES, MAX_LISTING_DEPTH } from '../limits.ts'
import type { Engine } from './engine.ts'
import { workPool } from './work-pool.ts'

/** An entry of a listing with its place in the tree. */
export interface FoundEntry {
  readonly path: RelativePath
  /** Its path below the transfer's address, encoded, without a directory's "/". */
  readonly href: string
  readonly listed: ListedEntry
}

interface PendingDirectory {
  readonly path: RelativePath | ''
  readonly href: string
  readonly depth: number
}

/** Lists a directory and all below it; `visit` gets the entries of one directory, some at a time. */
export async function walkTree(
  { session, displayUri }: Engine,
  visit: (entries: readonly FoundEntry[]) => void,
): Promise<void> {
  const pending: PendingDirectory[] = [{ path: '', href: '', depth: 0 }]
  const pool = workPool(LISTINGS_AT_ONCE)
  let found = 1

  const list = (directory: PendingDirectory): Promise<void> =>
    session.listDirectory(directory.href, (listed) => {
      const entries = listed.map((entry) => place(directory, entry))
      visit(entries)
      for (const { path, href, listed } of entries)
        if (listed.directory) {
          found += 1
          pending.push({ path, href: `${href}/`, depth: directory.depth + 1 })
        }
      if (found > MAX_LISTED_DIRECTORIES)
        throw new CkptdError(
          'limit_exceeded',
          `${displayUri} has more than ${MAX_LISTED_DIRECTORIES} directories`,
        )
    })
  for (;;) {
    const next = pending.pop()
    if (next === undefined) {
      // Listings under way may find more.
      await pool.drained()
      if (pending.length === 0) return
      continue
    }
    if (next.depth > MAX_LISTING_DEPTH)
      throw new CkptdError(
        'limit_exceeded',
        `the directories of ${displayUri} go deeper than ${MAX_LISTING_DEPTH} levels, at ${quoteName(next.path)}; a link on the server may lead in a circle`,
      )
    await pool.start(() => list(next))
  }
}

function place(directory: PendingDirectory, listed: ListedEntry): FoundEntry {
  const path =
    directory.path === '' ? listed.name : parseRelativePath(`${directory.path}/${listed.name}`)
  return { path, href: `${directory.href}${listed.href}`, listed }
}
