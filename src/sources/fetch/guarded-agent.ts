import { lookup, type LookupAddress } from 'node:dns'
import { isIP, type LookupFunction } from 'node:net'
import { Agent, buildConnector } from 'undici'
import { CkptdError } from '../../model/errors.ts'
import type { AddressGuard } from '../address-guard.ts'
import type { FetchLimits } from '../limits.ts'

/**
 * Connections to allowed addresses only. What is checked is what is connected to: a literal
 * before connecting, the answers of a name inside the look-up whose result is used, and the
 * peer of every socket once more. No proxy of the environment is used.
 */
export function guardedAgent(guard: AddressGuard, limits: FetchLimits): Agent {
  const connect = buildConnector({
    timeout: limits.connectMs,
    allowH2: false,
    autoSelectFamily: true,
    lookup: guardedLookup(guard),
  })
  return new Agent({
    allowH2: false,
    pipelining: 1,
    headersTimeout: limits.stallMs,
    bodyTimeout: limits.stallMs,
    connect: (options, callback) => {
      const { hostname } = options
      const literal = isIP(hostname) === 0 ? undefined : guard.refusal(hostname)
      if (literal !== undefined) callback(refused(hostname, hostname, literal), null)
      else
        connect(options, (error, socket) => {
          const peer = socket?.remoteAddress ?? ''
          const kind = socket === null ? undefined : guard.refusal(peer)
          if (socket === null) callback(error, null)
          else if (kind === undefined) callback(null, socket)
          else {
            socket.destroy()
            callback(refused(hostname, peer, kind), null)
          }
        })
    },
  })
}

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
