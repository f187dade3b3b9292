import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'

export interface FaultServer extends AsyncDisposable {
  readonly origin: string
  readonly port: number
  readonly requests: IncomingMessage[]
  readonly connections: number
  /** Bytes of bodies that were handed to the network. */
  readonly sentBytes: number
}

export type Answering = (request: IncomingMessage, answer: FaultAnswer, n: number) => void

export interface FaultAnswer {
  readonly response: ServerResponse
  /** Answers as a correct server of these bytes would, ranges and conditions included. */
  readonly serve: (bytes: Buffer, options?: ServeOptions) => void
}

export interface ServeOptions {
  readonly etag?: string | null
  readonly ranges?: boolean
  /** Ends the connection after so many bytes of the body. */
  readonly cutAfter?: number
  /** Sends nothing more after so many bytes. */
  readonly stallAfter?: number
  readonly headers?: Readonly<Record<string, string>>
  /** Sends without telling the length. */
  readonly chunked?: boolean
}

/** A server of a test's own; `n` counts requests from 0. */
export async function startFaultServer(
  answering: Answering,
  options: { tls?: { key: string; cert: string } } = {},
): Promise<FaultServer> {
  const requests: IncomingMessage[] = []
  let sentBytes = 0
  const onRequest = (request: IncomingMessage, response: ServerResponse): void => {
    const n = requests.push(request) - 1
    const serve = (bytes: Buffer, options: ServeOptions = {}): void => {
      const etag = options.etag === undefined ? '"v1"' : options.etag
      if (etag !== null) response.setHeader('etag', etag)
      const match = request.headers['if-match']
      if (match !== undefined && etag !== null && match !== etag)
        return void response.writeHead(412).end()
      const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
      const condition = request.headers['if-range']
      const partial =
        options.ranges !== false &&
        range !== null &&
        (condition === undefined || etag === null || condition === etag)
      const start = partial ? Number(range[1]) : 0
      const end = partial && range[2] ? Math.min(Number(range[2]) + 1, bytes.length) : bytes.length
      if (partial && start >= bytes.length) {
        return void response.writeHead(416, { 'content-range': `bytes */${bytes.length}` }).end()
      }
      const body = bytes.subarray(start, end)
      response.writeHead(partial ? 206 : 200, {
        ...(options.chunked === true ? {} : { 'content-length': String(body.length) }),
        ...(partial ? { 'content-range': `bytes ${start}-${end - 1}/${bytes.length}` } : {}),
        ...options.headers,
      })
      const limit = options.cutAfter ?? options.stallAfter ?? Infinity
      sentBytes += Math.min(limit, body.length)
      if (body.length <= limit) return void response.end(body)
      response.write(body.subarray(0, limit), () => {
        if (options.cutAfter !== undefined) setTimeout(() => request.socket.destroy(), 10)
      })
    }
    answering(request, { response, serve }, n)
  }
  const server =
    options.tls === undefined ? createServer(onRequest) : createTlsServer(options.tls, onRequest)
  let connections = 0
  server.on('connection', () => {
    connections += 1
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return {
    port,
    origin: `${options.tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    requests,
    get connections() {
      return connections
    },
    get sentBytes() {
      return sentBytes
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}
