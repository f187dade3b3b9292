import { constants, fstatSync, openSync } from 'node:fs'
import { createServer, type Server, type Socket } from 'node:net'
import { basename, dirname } from 'node:path'
import { CkptdError } from '../model/errors.ts'
import { chownByDescriptor, listenUnix, O_PATH, unlinkat } from '../os/linux.ts'
import { descriptor, NAME_ONLY, openBeneath, unlessErrno } from './descriptor.ts'

const BACKLOG = 16

export interface ListenOptions {
  /** A path to make, or a listening descriptor that somebody handed over. */
  readonly socket: string | { readonly fd: number }
  readonly owner: { readonly uid: number; readonly gid: number }
  readonly onConnection: (socket: Socket) => void
}

/** Listens at once: whoever connects after this call has returned is served. */
export function listen(options: ListenOptions): Server {
  const server = createServer(options.onConnection)
  const fd =
    typeof options.socket === 'string'
      ? makeSocket(options.socket, options.owner)
      : options.socket.fd
  server.listen({ fd })
  return server
}

/**
 * Makes the socket with mode 0600 from its first moment and gives it to the daemon's user. The
 * directory may be that user's: hence the owner is changed on what is found to be our socket,
 * not on whatever bears its name by then.
 */
function makeSocket(path: string, owner: { uid: number; gid: number }): number {
  removeSocket(path)
  const umask = process.umask(0o177)
  let fd: number
  try {
    fd = listenUnix(path, BACKLOG)
  } finally {
    process.umask(umask)
  }
  using directory = descriptor(openSync(dirname(path), O_PATH | constants.O_DIRECTORY))
  using socket = openBeneath(directory.fd, basename(path), NAME_ONLY)
  const stat = fstatSync(socket.fd)
  if (!stat.isSocket() || stat.uid !== 0 || stat.nlink !== 1)
    throw new CkptdError('conflict', `somebody replaced the socket ${path}`)
  chownByDescriptor(socket.fd, owner.uid, owner.gid)
  return fd
}

/** Nobody listens there any more: the lock says so. Nothing but a socket is removed. */
export function removeSocket(path: string): void {
  using directory = descriptor(openSync(dirname(path), O_PATH | constants.O_DIRECTORY))
  const isSocket = unlessErrno('ENOENT', () => {
    using found = openBeneath(directory.fd, basename(path), NAME_ONLY)
    return fstatSync(found.fd).isSocket()
  })
  if (isSocket === undefined) return
  if (!isSocket) throw new CkptdError('conflict', `${path} is there and no socket; remove it`)
  unlessErrno('ENOENT', () => unlinkat(directory.fd, basename(path), { directory: false }))
}
