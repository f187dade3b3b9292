import { spawnSync } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'

/**
 * The places where a process can die between two steps that must not be torn apart. The crash
 * tests go through all of them.
 */
export const FAILPOINTS = [
  'ingest.written',
  'ingest.hashed',
  'ingest.flushed',
  'ingest.placed',
  'ingest.directory-flushed',
  'ingest.recorded',
  'ingest.progress-flushed',
  'manifest.written',
  'manifest.renamed',
  'manifest.recorded',
  'view.building',
  'view.flushed',
  'view.renamed',
  'view.recorded',
  'publish.sidecar-written',
  'publish.recorded',
  'transfer.planned',
  'transfer.file-fetched',
  'transfer.extracted',
  'removal.marked',
  'removal.view-removed',
  'removal.object-unlinked',
  'removal.finished',
  'job.registered',
  'mount.leased',
  'mount.attached',
  'mount.recorded',
  'release.unmounted',
  'release.recorded',
  'finish.recorded',
  'capture.handed-over',
  'capture.ingested',
  'capture.published',
  'capture.cleaned',
  'mountd.marked',
  'mountd.output-made',
  'mountd.part-attached',
  'mountd.view-attached',
  'mountd.output-attached',
  'mountd.mounted',
  'mountd.cdi-written',
  'mountd.release-recorded',
  'mountd.view-detached',
  'mountd.released',
  'mountd.copied',
  'mountd.taken-over',
  'mountd.handed-over',
  'mountd.discarded',
  'mountd.entry-removed',
] as const
export type Failpoint = (typeof FAILPOINTS)[number]

/**
 * `CKPTD_FAILPOINT=name[:n]=action`: at the n-th passage (default 1) `kill` sends SIGKILL to
 * this process; `exec:PROGRAM` runs PROGRAM with the point's name as its argument and waits
 * (the power-cut tests copy the disk there), at every passage from the n-th on.
 */
interface Plan {
  readonly name: string
  readonly nth: number
  readonly action: string
}

function readPlans(): readonly Plan[] {
  const text = process.env['CKPTD_FAILPOINT']
  if (text === undefined || text === '') return []
  return text.split(',').map((item) => {
    const match = /^([a-z.*-]+)(?::(\d+))?=(kill|exec:.+)$/.exec(item)
    if (
      match === null ||
      (match[1] !== '*' && !(FAILPOINTS as readonly string[]).includes(match[1] ?? ''))
    )
      throw new Error(`CKPTD_FAILPOINT: cannot read "${item}"`)
    return { name: match[1] ?? '', nth: Number(match[2] ?? 1), action: match[3] ?? '' }
  })
}

const plans = readPlans()
const passages = new Map<string, number>()

export function failpoint(name: Failpoint): void {
  if (plans.length === 0) return
  const passage = (passages.get(name) ?? 0) + 1
  passages.set(name, passage)
  for (const plan of plans) {
    if (plan.name !== '*' && plan.name !== name) continue
    if (plan.action === 'kill') {
      if (passage === plan.nth && isFirstRun()) process.kill(process.pid, 'SIGKILL')
    } else if (passage >= plan.nth)
      spawnSync(plan.action.slice('exec:'.length), [name, String(passage)], { stdio: 'inherit' })
  }
}

/** With `CKPTD_FAILPOINT_MARKER=FILE` a process started again does not die again. */
function isFirstRun(): boolean {
  const marker = process.env['CKPTD_FAILPOINT_MARKER']
  if (marker === undefined) return true
  try {
    closeSync(openSync(marker, 'wx'))
    return true
  } catch {
    return false
  }
}
