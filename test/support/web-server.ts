import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A web server in memory: strong ETags, ranges, index pages; it remembers what was asked. */
export interface WebServer extends AsyncDisposable {
  readonly address: string
  readonly files: Map<string, Buffer>
  readonly requests: { readonly path: string; readonly headers: IncomingMessage['headers'] }[]
  /** Bytes of bodies that were written to sockets. */
  readonly sentBytes: () => number
  /** While set, answers wait for it. */
  hold: Promise<void> | undefined
}

export async function startWebServer(files: Record<string, Buffer | string>): Promise<WebServer> {
  const store = new Map(Object.entries(files).map(([path, bytes]) => [path, Buffer.from(bytes)]))
  let sent = 0
  const requests: WebServer['requests'] = []
  const server = createServer((request, response) => {
    requests.push({ path: request.url ?? '', headers: request.headers })
    void (web.hold ?? Promise.resolve()).then(() => {
      sent += answer(store, request, response)
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const web: WebServer = {
    address: `http://127.0.0.1:${port}`,
    files: store,
    requests,
    sentBytes: () => sent,
    hold: undefined,
    [Symbol.asyncDispose]: () => {
      server.closeAllConnections()
      return new Promise((resolve) => server.close(() => resolve()))
    },
  }
  return web
}

function answer(
  files: Map<string, Buffer>,
  request: IncomingMessage,
  response: ServerResponse,
): number {
  const path = decodeURIComponent((request.url ?? '/').split('?')[0] ?? '/')
  if (path.endsWith('/')) return answerIndex(files, path, response)
  const bytes = files.get(path)
  if (bytes === undefined) {
    response.writeHead(404).end()
    return 0
  }
  const etag = `"${bytes.length}-${bytes.subarray(0, 16).toString('hex')}"`
  if (request.headers['if-none-match'] === etag) {
    response.writeHead(304, { etag }).end()
    return 0
  }
  const range = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? '')
  const start = Number(range?.[1] ?? 0)
  const end = Math.min(bytes.length - 1, Number(range?.[2] || bytes.length - 1))
  const body = bytes.subarray(start, end + 1)
  response.writeHead(range === null ? 200 : 206, {
    etag,
    'accept-ranges': 'bytes',
    'content-length': body.length,
    ...(range === null ? {} : { 'content-range': `bytes ${start}-${end}/${bytes.length}` }),
  })
  response.end(body)
  return body.length
}

function answerIndex(files: Map<string, Buffer>, path: string, response: ServerResponse): number {
  const names = new Set<string>()
  for (const name of files.keys())
    if (name.startsWith(path)) names.add(name.slice(path.length).replace(/\/.*$/, '/'))
  const links = [...names].map((name) => `<li><a href="${encodeURI(name)}">${name}</a></li>`)
  response.writeHead(200, { 'content-type': 'text/html' })
  response.end(
    `<html><head><title>Directory listing for ${path}</title></head><body><ul>${links.join('')}</ul></body></html>`,
  )
  return 0
}
