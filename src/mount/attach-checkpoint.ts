import { fchmodSync, readdirSync } from 'node:fs'
import { failpoint } from '../os/failpoint.ts'
import { mkdirat, moveMount, unmount } from '../os/linux.ts'
import { openView } from './data-directory.ts'
import {
  type Descriptor,
  DIRECTORY,
  findBeneath,
  openBeneath,
  openMounted,
  READABLE_DIRECTORY,
  whatIsAt,
} from './descriptor.ts'
import { assertReadOnly, cloneReadOnly } from './detached-mount.ts'
import type { MountedView } from './protocol.ts'

/**
 * Attaches a worker's views at its `checkpoint` directory in one step: a single view with no
 * directory of its own as it is; others side by side below a parent that is read-only too.
 */
export function attachCheckpoint(
  workerFd: number,
  dataFd: number,
  views: readonly MountedView[],
  peerUid: number,
): void {
  mkdirat(workerFd, 'checkpoint', 0o755)
  const [first] = views
  using tree =
    first?.directory === ''
      ? cloneView(dataFd, first.view, peerUid)
      : assembleParts(workerFd, dataFd, views, peerUid)
  using target = openBeneath(workerFd, 'checkpoint', DIRECTORY)
  moveMount(tree.fd, target.fd)
  detachParts(workerFd)
}

function cloneView(dataFd: number, view: string, peerUid: number): Descriptor {
  using directory = openView(dataFd, view, peerUid)
  return cloneReadOnly(directory.fd)
}

/**
 * Mounts each view at `parts/<directory>`, then clones the whole. The clone is private before
 * the parts are unmounted: as a peer of the tmpfs it would lose them with it.
 */
function assembleParts(
  workerFd: number,
  dataFd: number,
  views: readonly MountedView[],
  peerUid: number,
): Descriptor {
  mkdirat(workerFd, 'parts', 0o755)
  using parts = openBeneath(workerFd, 'parts', READABLE_DIRECTORY)
  fchmodSync(parts.fd, 0o755)
  for (const { view, directory } of views) {
    mkdirat(parts.fd, directory, 0o755)
    using tree = cloneView(dataFd, view, peerUid)
    using target = openBeneath(parts.fd, directory, DIRECTORY)
    moveMount(tree.fd, target.fd)
    failpoint('mountd.part-attached')
  }
  const whole = cloneReadOnly(parts.fd, { recursive: true })
  try {
    for (const { directory } of views) {
      using part = openMounted(whole.fd, directory, DIRECTORY)
      assertReadOnly(part.fd)
    }
    return whole
  } catch (error) {
    whole[Symbol.dispose]()
    throw error
  }
}

/** Unmounts the parts at their first place; what the checkpoint shows is the clone. */
export function detachParts(workerFd: number): void {
  using parts = findBeneath(workerFd, 'parts', READABLE_DIRECTORY)
  if (parts === undefined) return
  for (const name of directoryNames(parts.fd)) detach(parts.fd, name)
}

/** Unmounts whatever is mounted at a name; EBUSY is thrown, for a busy mount is never cut off. */
export function detach(directoryFd: number, name: string): void {
  while (whatIsAt(directoryFd, name) === 'mount') unmount(`/proc/self/fd/${directoryFd}/${name}`)
}

/** The names in a directory that root made: each is valid Unicode. */
export function directoryNames(directoryFd: number): string[] {
  return readdirSync(`/proc/self/fd/${directoryFd}`)
}
