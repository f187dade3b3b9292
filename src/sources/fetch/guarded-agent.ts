import { type LookupAddress, lookup } from 'node:dns'
import { isIP, type LookupFunction, type OnReadOpts } from 'node:net'
import { Agent, buildConnector } from 'undici'
import { CkptdError } from '../../model/errors.ts'
import type { AddressGuard } from '../address-guard.ts'
import type { FetchLimits } from '../limits.ts'
import type { Dial } from './range-connection.ts'

/**
 * Connects to allowed addresses only. What is checked is what is connected to: a literal before
 * connecting, the answers of a name inside the look-up whose result is used, and the peer of
 * every socket once more. No proxy of the environment is used.
 */
export function guardedConnector(
  guard: AddressGuard,
  { connectMs }: FetchLimits,
  onread?: OnReadOpts,
): buildConnector.connector {
  const connect = buildConnector({
    timeout: connectMs,
    allowH2: false,
    autoSelectFamily: true,
    lookup: guardedLookup(guard),
    ...(onread === undefined ? {} : { onread }),
  })
  return (options, callback) => {
    const { hostname } = options
    const literal = isIP(hostname) === 0 ? undefined : guard.refusal(hostname)
    if (literal !== undefined) callback(refused(hostname, hostname, literal), null)
    else
      connect(options, (error, socket) => {
        if (error !== null) {
          callback(error, null)
          return
        }
        const peer = socket.remoteAddress ?? ''
        const kind = guard.refusal(peer)
        if (kind === undefined) callback(null, socket)
        else {
          socket.destroy()
          callback(refused(hostname, peer, kind), null)
        }
      })
  }
}

export function guardedAgent(guard: AddressGuard, limits: FetchLimits): Agent {
  return new Agent({
    allowH2: false,
    pipelining: 1,
    headersTimeout: limits.stallMs,
    bodyTimeout: limits.stallMs,
    connect: guardedConnector(guard, limits),
  })
}

/**
 * Opens connections that read into one buffer of the thread: each read is handed on, and done
 * with, before the next one begins.
 */
export function guardedDial(guard: AddressGuard, limits: FetchLimits): Dial {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES)
  return (url, onBytes, signal) =>
    new Promise((resolve, reject) => {
      const onread: OnReadOpts = {
        buffer,
        callback: (bytes) => {
          onBytes(buffer.subarray(0, bytes))
          return true
        },
      }
      const { hostname, protocol, host, port } = url
      const plain = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname
      guardedConnector(
        guard,
        limits,
        onread,
      )({ hostname: plain, host, protocol, port }, (error, socket) => {
        if (socket === null) reject(error)
        else if (signal.aborted) {
          socket.destroy()
          reject(signal.reason as Error)
        } else resolve(socket)
      })
    })
}

/** One read from a socket, in bytes: with several times less, the calls cost more than the copying. */
const READ_BYTES = 1024 * 1024

function guardedLookup(guard: AddressGuard): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) {
        callback(error, [])
        return
      }
      const allowed: LookupAddress[] = found.filter(
        ({ address }) => guard.refusal(address) === undefined,
      )
      const [first] = allowed
      if (first === undefined) {
        const address = found[0]?.address ?? ''
        callback(refused(hostname, address, guard.refusal(address) ?? 'unreadable'), [])
      } else if (options.all) callback(null, allowed)
      else callback(null, first.address, first.family)
    })
  }
}

function refused(host: string, address: string, kind: string): CkptdError {
  const which = host === address ? `the address ${address}` : `${host} is ${address}, which`
  return new CkptdError('address_refused', `${which} is refused: it is a ${kind} address`, {
    details: { host, address },
  })
}
