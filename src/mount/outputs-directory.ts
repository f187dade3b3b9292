import { fchmodSync, fchownSync, fstatSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { errnoName, mkdirat } from '../os/linux.ts'
import { openDataDirectory } from './data-directory.ts'
import {
  type Descriptor,
  findBeneath,
  openBeneath,
  READABLE_DIRECTORY,
  unlessErrno,
} from './descriptor.ts'
import type { MountHost } from './mount-host.ts'

type Place = Pick<MountHost, 'dataDir' | 'peerUid'>

/**
 * Opens `outputs/`, root's own and closed to everybody else: the peer owns the directory above
 * and may put something of its own in this place, so owner and mode are asked each time.
 */
export function openOutputs(dataFd: number): Descriptor {
  unlessErrno('EEXIST', () => mkdirat(dataFd, 'outputs', 0o700))
  const outputs = openOwn(dataFd)
  if (isRoots(outputs.fd)) return outputs
  outputs[Symbol.dispose]()
  throw new CkptdError(
    'mount_failed',
    'outputs/ in the data directory is not root’s own with mode 0711 or stricter; move it away',
  )
}

/** Undefined where no worker ever had an output, or nothing is there to ask. */
export function findOutputs(place: Place): Descriptor | undefined {
  using data = openDataDirectory(place)
  using outputs = findBeneath(data.fd, 'outputs', READABLE_DIRECTORY)
  return outputs === undefined ? undefined : openOutputs(data.fd)
}

function openOwn(dataFd: number): Descriptor {
  try {
    return openBeneath(dataFd, 'outputs', READABLE_DIRECTORY)
  } catch (cause) {
    throw new CkptdError(
      'mount_failed',
      `outputs/ in the data directory is refused: it is a link, a mount or no directory (${errnoName(cause)})`,
      { cause },
    )
  }
}

function isRoots(fd: number): boolean {
  const { uid, mode } = fstatSync(fd)
  return uid === 0 && (mode & 0o066) === 0
}

/**
 * Makes a worker's output directory, or takes the one it had before a reboot, and opens it.
 * Mode and owner are set on the descriptor: the umask has no say, and a crash between the two
 * steps is mended when the worker is mounted again.
 */
export function makeOutput(
  outputsFd: number,
  key: string,
  owner: { uid: number; gid: number } | undefined,
): Descriptor {
  unlessErrno('EEXIST', () => mkdirat(outputsFd, key, 0o700))
  const directory = openBeneath(outputsFd, key, READABLE_DIRECTORY)
  fchownSync(directory.fd, owner?.uid ?? 0, owner?.gid ?? 0)
  fchmodSync(directory.fd, owner === undefined ? 0o777 : 0o755)
  return directory
}
