import { CkptdError } from '../../model/errors.ts'
import { baseName, quoteName, type RelativePath } from '../../model/relative-path.ts'
import type { Engine } from './engine.ts'
import type { TreePlan } from './tree-plan.ts'
import { type FoundEntry, walkTree } from './tree-walk.ts'

/**
 * Lists the origin again when everything is fetched: what was fetched is one state of it only
 * if the listing is still the one that was planned. Throws `origin_changed` and names what is
 * new, changed or gone.
 */
export async function compareTree(engine: Engine): Promise<void> {
  const { ingest } = engine
  let found = 0
  await walkTree(engine, (entries) => {
    found += entries.length
    for (const entry of entries) compareEntry(engine, entry)
  })
  if (found !== ingest.totals().entries) await nameMissing(engine)
}

function compareEntry({ ingest }: Engine, { path, listed }: FoundEntry): void {
  const row = ingest.find(path)
  if (row === undefined || row.kind !== (listed.directory ? 'directory' : 'file'))
    throw changed(path, 'is new')
  if (row.kind === 'directory') return
  const plan = JSON.parse(row.plan ?? 'null') as TreePlan | null
  if (plan?.stamp !== listed.stamp) throw changed(path, 'is another file now')
}

/** Something is gone; which it is costs one more look at the listings. */
async function nameMissing({ ingest, session, displayUri }: Engine): Promise<never> {
  let listedDirectory: string | undefined
  let names = new Set<string>()
  for (const { path, kind } of ingest.iterate()) {
    const directory = path.slice(0, -baseName(path).length)
    if (directory !== listedDirectory) {
      names = new Set()
      const href = directory.split('/').map(encodeURIComponent).join('/')
      await session.listDirectory(href, (entries) => {
        for (const { name } of entries) names.add(name)
      })
      listedDirectory = directory
    }
    if (!names.has(baseName(path))) throw changed(path, `is gone (it was a ${kind})`)
  }
  throw new CkptdError(
    'origin_changed',
    `the listing of ${displayUri} changed while it was fetched`,
  )
}

function changed(path: RelativePath, how: string): CkptdError {
  return new CkptdError(
    'origin_changed',
    `the origin changed while it was fetched: ${quoteName(path)} ${how}`,
    { details: { path } },
  )
}
