import { type KernelMount, withoutDeletedMark } from './kernel-table.ts'
import type { MountHost } from './mount-host.ts'
import { findReleaseRecord, type ReleaseRecord, writeReleaseRecord } from './worker-directory.ts'
import { viewsOf, type WorkerMounts } from './worker-mounts.ts'

/**
 * Notes what is about to be unmounted, beside what was noted before: after the unmount the own
 * table knows nothing of it, and a copy elsewhere must be recognised then, by this helper or by
 * the next. Answers everything noted so far.
 */
export function recordRelease(
  host: MountHost,
  workerFd: number,
  mounts: WorkerMounts | undefined,
  what: 'all' | 'output',
): ReleaseRecord['roots'] {
  const before = findReleaseRecord(workerFd)
  const leaving = leavingMounts(mounts, what)
  if (mounts === undefined || leaving.length === 0) return before?.roots ?? []
  const roots = new Map(
    [...(before?.roots ?? []), ...leaving].map(({ device, root }) => {
      const path = withoutDeletedMark(root)
      return [`${device} ${path}`, { device, root: path }]
    }),
  )
  const record: ReleaseRecord = {
    roots: [...roots.values()],
    views: before?.views ?? viewsOf(mounts, host.jobs),
    output: before?.output ?? mounts.output.length > 0,
  }
  writeReleaseRecord(workerFd, record)
  return record.roots
}

export function leavingMounts(
  mounts: WorkerMounts | undefined,
  what: 'all' | 'output',
): KernelMount[] {
  if (mounts === undefined) return []
  return what === 'all' ? [...mounts.output, ...mounts.checkpoint] : mounts.output
}
