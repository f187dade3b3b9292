import type { Socket } from 'node:net'
import { MAX_HEAD_BYTES, parseRangeHead, type RangeHead } from './range-head.ts'

/**
 * A connection of its own for ranges of one file. What the general HTTP client costs (a new
 * buffer for every 64 KiB) is most of the work of a fast download; here one buffer of the
 * thread takes every read, and the answer is read in its one usual form only.
 */
export interface RangeConnection extends Disposable {
  /**
   * Sends a request and hands the body's bytes to `sink`, which must be done with them when it
   * returns. `admit` looks at the head. Resolves with `false`, before any byte of the body was
   * handed on, where the answer is not the usual one or not admitted.
   */
  fetch(request: RangeRequest): Promise<boolean>
}

export interface RangeRequest {
  readonly url: URL
  readonly headers: Readonly<Record<string, string>>
  readonly admit: (head: RangeHead) => boolean
  readonly sink: (bytes: Buffer) => void
}

/** Opens a socket to where a URL leads; every byte it receives is passed to `onBytes`. */
export type Dial = (
  url: URL,
  onBytes: (bytes: Buffer) => void,
  signal: AbortSignal,
) => Promise<Socket>

interface Exchange {
  readonly request: RangeRequest
  readonly resolve: (admitted: boolean) => void
  readonly reject: (error: unknown) => void
  head: RangeHead | undefined
  headBytes: Buffer
  leftBytes: number
}

export function rangeConnection(dial: Dial, stallMs: number, signal: AbortSignal): RangeConnection {
  let socket: Socket | undefined
  let origin: string | undefined
  let current: Exchange | undefined

  const drop = (error?: Error): void => {
    socket?.destroy(error)
    socket = undefined
  }
  const settle = (how: (exchange: Exchange) => void): void => {
    const ended = current
    current = undefined
    if (ended !== undefined) how(ended)
  }
  const onBytes = (bytes: Buffer): void => {
    try {
      // Bytes that nobody asked for: this connection is not what it seems.
      if (current === undefined) drop()
      else receive(current, bytes)
    } catch (error) {
      drop()
      settle(({ reject }) => reject(error))
    }
  }
  const receive = (exchange: Exchange, bytes: Buffer): void => {
    const body = exchange.head === undefined ? readHead(exchange, bytes) : bytes
    if (body === 'more') return
    if (body === 'unusual') {
      drop()
      settle(({ resolve }) => resolve(false))
      return
    }
    const own = body.subarray(0, exchange.leftBytes)
    exchange.leftBytes -= own.length
    if (own.length > 0) exchange.request.sink(own)
    if (exchange.leftBytes > 0) return
    if (own.length < body.length || exchange.head?.reusable !== true) drop()
    settle(({ resolve }) => resolve(true))
  }
  const connect = async (url: URL): Promise<Socket> => {
    const connected = await dial(url, onBytes, signal)
    connected.setTimeout(stallMs, () => connected.destroy(timedOut()))
    const lost = (error?: Error): void => {
      if (socket === connected) socket = undefined
      else if (socket !== undefined) return
      settle(({ reject }) => reject(error ?? connectionLost()))
    }
    connected.on('error', lost)
    connected.on('end', () => connected.destroy())
    connected.on('close', () => lost())
    return connected
  }
  const onAbort = (): void => {
    drop()
    settle(({ reject }) => reject(signal.reason))
  }
  signal.addEventListener('abort', onAbort, { once: true })

  const send = async (request: RangeRequest): Promise<boolean> => {
    signal.throwIfAborted()
    if (socket === undefined || origin !== request.url.origin) {
      drop()
      origin = request.url.origin
      socket = await connect(request.url)
    }
    const { promise, resolve, reject } = Promise.withResolvers<boolean>()
    current = {
      request,
      resolve,
      reject,
      head: undefined,
      headBytes: Buffer.alloc(0),
      leftBytes: 0,
    }
    socket.write(requestText(request), 'latin1')
    return promise
  }
  return {
    fetch: async (request) => {
      const reused = socket !== undefined
      let arrived = false
      const watched: RangeRequest = {
        ...request,
        admit: (head) => {
          arrived = true
          return request.admit(head)
        },
      }
      try {
        return await send(watched)
      } catch (error) {
        // The server may close a connection in the same moment in which it is used again.
        if (!reused || arrived || signal.aborted) throw error
        return send(watched)
      }
    },
    [Symbol.dispose]: () => {
      signal.removeEventListener('abort', onAbort)
      drop()
    },
  }
}

/** Collects the head; returns the bytes after it, or that more of it is to come. */
function readHead(exchange: Exchange, bytes: Buffer): Buffer | 'more' | 'unusual' {
  const begun = exchange.headBytes.length
  const all = begun === 0 ? bytes : Buffer.concat([exchange.headBytes, bytes])
  const end = all.indexOf('\r\n\r\n')
  if (end === -1 || end > MAX_HEAD_BYTES) {
    if (all.length > MAX_HEAD_BYTES) return 'unusual'
    // The buffer that was read into serves the next read.
    exchange.headBytes = Buffer.from(all)
    return 'more'
  }
  const head = parseRangeHead(all.toString('latin1', 0, end))
  if (head === undefined || !exchange.request.admit(head)) return 'unusual'
  exchange.head = head
  exchange.leftBytes = head.lengthBytes
  return all.subarray(end + 4)
}

function requestText({ url, headers }: RangeRequest): string {
  const lines = Object.entries({ host: url.host, connection: 'keep-alive', ...headers })
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\n${head}\r\n`
}

function connectionLost(): Error {
  return Object.assign(new Error('the connection was closed'), { code: 'ECONNRESET' })
}

function timedOut(): Error {
  return Object.assign(new Error('no byte arrived in time'), { code: 'ETIMEDOUT' })
}
