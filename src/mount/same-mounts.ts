import { fstatSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { directoryNames } from './attach-checkpoint.ts'
import { openDataDirectory, openView } from './data-directory.ts'
import {
  type Descriptor,
  DIRECTORY,
  findBeneath,
  openMounted,
  READABLE_DIRECTORY,
  whatIsAt,
} from './descriptor.ts'
import { assertReadOnly } from './detached-mount.ts'
import type { MountHost, WorkerRef } from './mount-host.ts'
import { findOutputs } from './outputs-directory.ts'
import type { MountedView, MountWorkerParams } from './protocol.ts'
import { describeWorker } from './worker-ref.ts'

/** Throws `conflict` unless what is mounted for a worker is exactly what is asked for. */
export function assertSameMounts(
  host: MountHost,
  workerFd: number,
  ref: WorkerRef,
  { views, output }: MountWorkerParams,
): void {
  const same =
    (whatIsAt(workerFd, 'checkpoint') === 'mount') === views.length > 0 &&
    (whatIsAt(workerFd, 'output') === 'mount') === (output !== undefined) &&
    (views.length === 0 || hasViews(host, workerFd, views)) &&
    (output === undefined || hasOutput(host, workerFd, ref))
  if (same) return
  throw new CkptdError('conflict', `${describeWorker(ref)} has other mounts than these already`)
}

function hasViews(host: MountHost, workerFd: number, views: readonly MountedView[]): boolean {
  using data = openDataDirectory(host)
  using checkpoint = openMounted(workerFd, 'checkpoint', READABLE_DIRECTORY)
  assertReadOnly(checkpoint.fd)
  const isView = (mounted: Descriptor, { view }: MountedView): boolean => {
    using expected = openView(data.fd, view, host.peerUid)
    assertReadOnly(mounted.fd)
    return isSameDirectory(mounted.fd, expected.fd)
  }
  const [first] = views
  if (first?.directory === '') return isView(checkpoint, first)
  if (whatIsAt(workerFd, 'parts') === 'nothing') return false
  const names = new Set(directoryNames(checkpoint.fd))
  return (
    names.size === views.length &&
    views.every((view) => {
      if (!names.has(view.directory)) return false
      using part = openMounted(checkpoint.fd, view.directory, DIRECTORY)
      return isView(part, view)
    })
  )
}

function hasOutput(host: MountHost, workerFd: number, ref: WorkerRef): boolean {
  using outputs = findOutputs(host)
  if (outputs === undefined) return false
  using expected = findBeneath(outputs.fd, ref.key, DIRECTORY)
  using mounted = openMounted(workerFd, 'output', DIRECTORY)
  return expected !== undefined && isSameDirectory(mounted.fd, expected.fd)
}

function isSameDirectory(a: number, b: number): boolean {
  const [one, other] = [fstatSync(a, { bigint: true }), fstatSync(b, { bigint: true })]
  return one.dev === other.dev && one.ino === other.ino
}
