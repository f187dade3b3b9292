import type { Socket } from 'node:net'
import { CkptdError, toErrorRecord } from '../model/errors.ts'
import { readLines } from './lines.ts'
import type { Logger } from './logger.ts'
import { isVerb, parseParams, parseRequest, type Reply, type Request } from './message.ts'
import { MAX_REQUEST_BYTES, type MountVerbs, PROTOCOL_VERSION } from './protocol.ts'

/** Requests under way at once; beyond that nothing is read until some are answered. */
const MAX_UNDER_WAY = 64
/** A peer that connects and then says nothing keeps others out. */
const HANDSHAKE_MS = 10_000

/** Serves one peer until its socket closes. A verb that is under way then goes on. */
export function servePeer(socket: Socket, verbs: MountVerbs, log: Logger): void {
  let isGreeted = false
  let underWay = 0

  const reply = (message: Reply): void => {
    if (socket.destroyed) return
    if (!socket.write(`${JSON.stringify(message)}\n`)) socket.pause()
  }
  const resume = (): void => {
    if (underWay < MAX_UNDER_WAY && !socket.writableNeedDrain) socket.resume()
  }
  socket.on('drain', resume)

  const handshake = setTimeout(() => {
    log.warn({}, 'the peer of the mount helper did not say hello')
    socket.destroy()
  }, HANDSHAKE_MS)
  socket.once('close', () => clearTimeout(handshake))

  const greet = (request: Request): void => {
    clearTimeout(handshake)
    try {
      if (request.verb !== 'hello')
        throw new CkptdError('invalid_request', 'the first request must be hello')
      const { protocol } = parseParams('hello', request.params)
      if (protocol !== PROTOCOL_VERSION)
        throw new CkptdError(
          'mounts_unavailable',
          `the mount helper speaks protocol ${PROTOCOL_VERSION}, the daemon ${protocol}; restart both after an upgrade`,
        )
      isGreeted = true
      reply({ id: request.id, answer: { protocol: PROTOCOL_VERSION, pid: process.pid } })
    } catch (error) {
      log.warn({ err: error }, 'the peer of the mount helper is refused')
      socket.end(`${JSON.stringify({ id: request.id, error: toErrorRecord(error) })}\n`)
    }
  }

  const serve = (request: Request): void => {
    underWay += 1
    if (underWay >= MAX_UNDER_WAY) socket.pause()
    const settle = (message: Reply): void => {
      underWay -= 1
      reply(message)
      resume()
    }
    const fail = (error: unknown): void => {
      const record = toErrorRecord(error)
      if (record.code === 'internal') log.error({ err: error, verb: request.verb }, 'a verb failed')
      else log.warn({ err: error, verb: request.verb }, 'a request is refused')
      settle({ id: request.id, error: record })
    }
    try {
      const answer = perform(verbs, request)
      if (!(answer instanceof Promise)) settle({ id: request.id, answer })
      else answer.then((value) => settle({ id: request.id, answer: value }), fail)
    } catch (error) {
      fail(error)
    }
  }

  readLines(socket, {
    maxBytes: MAX_REQUEST_BYTES,
    onTooLong: () => {
      log.warn({}, `the peer sent a message longer than ${MAX_REQUEST_BYTES} bytes`)
      socket.destroy()
    },
    onLine: (line) => {
      let request: Request
      try {
        request = parseRequest(line)
      } catch (error) {
        log.warn({ err: error }, 'the peer sent something that is no request')
        socket.destroy()
        return
      }
      if (isGreeted) serve(request)
      else greet(request)
    },
  })
}

function perform(verbs: MountVerbs, { verb, params }: Request): unknown {
  if (!isVerb(verb) || verb === 'hello')
    throw new CkptdError('invalid_request', `the mount helper does not know "${verb}"`)
  const call: (checked: never) => unknown = verbs[verb]
  return call(parseParams(verb, params) as never)
}
