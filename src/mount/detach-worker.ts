import { detach, detachParts, directoryNames } from './attach-checkpoint.ts'
import {
  type Descriptor,
  findBeneath,
  openMounted,
  READABLE_DIRECTORY,
  whatIsAt,
} from './descriptor.ts'
import { removeDirectory } from './worker-directory.ts'

/** Unmounts a worker's output, then its checkpoint from the inside out; EBUSY is thrown. */
export function detachWorker(workerFd: number): void {
  detach(workerFd, 'output')
  for (const name of mountedParts(workerFd)) detachPart(workerFd, name)
  detach(workerFd, 'checkpoint')
  detachParts(workerFd)
}

/** The mounts inside the checkpoint; none where it is one view as a whole. */
function mountedParts(workerFd: number): string[] {
  if (whatIsAt(workerFd, 'parts') === 'nothing' || whatIsAt(workerFd, 'checkpoint') !== 'mount')
    return []
  using checkpoint = openCheckpoint(workerFd)
  return directoryNames(checkpoint.fd)
}

function detachPart(workerFd: number, name: string): void {
  using checkpoint = openCheckpoint(workerFd)
  detach(checkpoint.fd, name)
}

/** Keeps the mount busy while it is open. */
function openCheckpoint(workerFd: number): Descriptor {
  return openMounted(workerFd, 'checkpoint', READABLE_DIRECTORY)
}

/** Removes the mount points, empty and mounted nowhere any more. */
export function removeMountPoints(workerFd: number): void {
  removeDirectory(workerFd, 'output')
  removeDirectory(workerFd, 'checkpoint')
  removeParts(workerFd)
  removeDirectory(workerFd, 'parts')
}

function removeParts(workerFd: number): void {
  using parts = findBeneath(workerFd, 'parts', READABLE_DIRECTORY)
  if (parts === undefined) return
  for (const name of directoryNames(parts.fd)) removeDirectory(parts.fd, name)
}
