import type { Socket } from 'node:net'
import { CkptdError, toErrorRecord } from '../model/errors.ts'
import { peerCredentials } from '../os/linux.ts'
import type { Logger } from './logger.ts'

/** How long a newcomer waits for a former peer's end to be noticed. */
const GRACE_MS = 100

/**
 * Lets in one peer at a time, and only the daemon's user or root. A daemon that was restarted
 * replaces its dead predecessor; a second live one is refused.
 */
export function createPeerGate(
  options: { readonly peerUid: number; readonly log: Logger },
  admit: (socket: Socket) => void,
): (socket: Socket) => void {
  let present: Socket | undefined
  const refuse = (socket: Socket, why: string): void => {
    options.log.warn({ why }, 'a connection to the mount helper is refused')
    const error = toErrorRecord(new CkptdError('mounts_unavailable', why))
    socket.end(`${JSON.stringify({ id: 0, error })}\n`)
    socket.resume()
  }
  const enter = (socket: Socket): void => {
    if (socket.destroyed) return
    if (present !== undefined) {
      refuse(socket, 'another daemon is connected to the mount helper')
      return
    }
    present = socket
    socket.once('close', () => {
      present = undefined
    })
    admit(socket)
  }
  return (socket) => {
    socket.on('error', (error) => options.log.warn({ err: error }, 'the peer’s connection broke'))
    try {
      const { uid, pid } = peerCredentials(descriptorOf(socket))
      if (uid !== options.peerUid && uid !== 0) {
        refuse(socket, `process ${pid} of user ${uid} is not the daemon`)
        return
      }
    } catch (error) {
      options.log.warn({ err: error }, 'a peer’s credentials cannot be read')
      socket.destroy()
      return
    }
    if (present === undefined) {
      enter(socket)
      return
    }
    const proceed = (): void => {
      clearTimeout(grace)
      present?.off('close', proceed)
      enter(socket)
    }
    const grace = setTimeout(proceed, GRACE_MS)
    // A peer with many requests under way is not read, and its end would go unnoticed.
    present.resume()
    // Registered after the handler that clears `present`, so it runs after it.
    present.once('close', proceed)
  }
}

/** Node.js offers no public way to a connected socket's descriptor. */
function descriptorOf(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle?: { fd?: number } | null }
  if (typeof handle?.fd !== 'number' || handle.fd < 0) throw new Error('the socket is closed')
  return handle.fd
}
