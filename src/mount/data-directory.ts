import { constants, fstatSync, openSync } from 'node:fs'
import { CkptdError } from '../model/errors.ts'
import { errnoName, O_PATH } from '../os/linux.ts'
import { type Descriptor, DIRECTORY, descriptor, openBeneath } from './descriptor.ts'
import type { MountHost } from './mount-host.ts'

type Place = Pick<MountHost, 'dataDir' | 'peerUid'>

/**
 * Opens the data directory, which must be the peer's: were its path redirected, it could lead
 * only to what the peer owns anyway. Everything below is opened from this descriptor.
 */
export function openDataDirectory({ dataDir, peerUid }: Place): Descriptor {
  const directory = descriptor(openDirectory(dataDir))
  const { uid } = fstatSync(directory.fd)
  if (uid === peerUid) return directory
  directory[Symbol.dispose]()
  throw new CkptdError(
    'mount_failed',
    `the data directory ${dataDir} belongs to user ${uid}, not to the daemon’s user ${peerUid}`,
  )
}

function openDirectory(path: string): number {
  try {
    return openSync(path, O_PATH | constants.O_DIRECTORY)
  } catch (cause) {
    throw new CkptdError('mount_failed', `the data directory ${path} cannot be opened`, { cause })
  }
}

/** Opens a whole view, by name only: a directory of the peer's below `views/`. */
export function openView(dataFd: number, view: string, peerUid: number): Descriptor {
  const directory = openNamed(dataFd, `views/${view}`, `the view ${view}`)
  const { uid } = fstatSync(directory.fd)
  if (uid === peerUid) return directory
  directory[Symbol.dispose]()
  throw new CkptdError('mount_failed', `the view ${view} belongs to user ${uid}, not to the daemon`)
}

function openNamed(dataFd: number, path: string, what: string): Descriptor {
  try {
    return openBeneath(dataFd, path, DIRECTORY)
  } catch (cause) {
    const errno = errnoName(cause)
    if (errno === 'ENOENT') throw new CkptdError('not_found', `${what} does not exist`, { cause })
    const why =
      errno === 'ELOOP' || errno === 'EXDEV'
        ? 'a link or another mount lies on its path'
        : `${errno}`
    throw new CkptdError('mount_failed', `${what} is refused: ${why}`, {
      details: { errno },
      cause,
    })
  }
}
