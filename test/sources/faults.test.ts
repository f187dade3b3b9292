import { once } from 'node:events'
import { createServer } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fullUri, parseSourceLocation } from '../../src/sources/location.ts'
import { type Answering, startFaultServer } from './support/fault-server.ts'
import { bytesOf, MiB, openStage, type Stage, sha256 } from './support/stage.ts'
import { startTransfer, storedTree } from './support/transfer-run.ts'

let stage: Stage
const large = bytesOf(30 * MiB + 12_345)
const small = bytesOf(70_000)

beforeAll(async () => {
  stage = await openStage()
})
afterAll(() => stage[Symbol.asyncDispose]())

/** Fetches one file and tells how that went. */
async function fetchFile(answering: Answering, path = '/file.bin') {
  await using server = await startFaultServer(answering)
  const run = await startTransfer(stage.store, stage.fetcher, `${server.origin}${path}`)
  const result = await run.done.then(
    ({ pinnedSource }) => ({ pinnedSource, error: undefined }),
    (error: Error & { code?: string }) => ({ pinnedSource: undefined, error }),
  )
  const stored = result.error === undefined ? storedTree(stage.store, run.id) : {}
  return { ...result, log: run.log, stored, server, progress: run.progress }
}

const expectBytes = (got: Awaited<ReturnType<typeof fetchFile>>, bytes: Buffer): void => {
  expect(got.error).toBeUndefined()
  expect(Object.values(got.stored)).toEqual([sha256(bytes)])
}

describe('a large file', () => {
  test('is fetched in parts over several connections', async () => {
    const got = await fetchFile((_, { serve }) => serve(large))
    expectBytes(got, large)
    expect(got.pinnedSource).toContain('ETag "v1"')
    // One byte more: whether it is still the same file.
    expect(got.server.sentBytes).toBe(large.length + 1)
    expect(got.server.connections).toBeGreaterThan(3)
    for (const { headers } of got.server.requests.slice(1, -1))
      expect(headers).toMatchObject({ 'if-match': '"v1"', 'accept-encoding': 'identity' })
  })

  test('survives resets, and fetches no byte twice that arrived', async () => {
    const got = await fetchFile((_, { serve }, n) =>
      serve(large, n % 3 === 1 ? { cutAfter: 100_000 } : {}),
    )
    expectBytes(got, large)
    expect(got.server.sentBytes).toBeLessThan(large.length + 2 * MiB)
  })

  test('survives a connection that stalls', async () => {
    const got = await fetchFile((_, { serve }, n) =>
      serve(large, n === 2 || n === 0 ? { stallAfter: 5000 } : {}),
    )
    expectBytes(got, large)
  })

  test('is fetched over as many connections as a server takes', async () => {
    let open = 0
    const got = await fetchFile((_, { serve, response }) => {
      if (open >= 2) return void response.writeHead(503).end()
      open += 1
      response.on('close', () => {
        open -= 1
      })
      setTimeout(() => serve(large), 5)
    })
    expectBytes(got, large)
  })

  test('may be given in smaller parts than were asked for', async () => {
    const got = await fetchFile((request, { serve }) => {
      const [, start, end] = /bytes=(\d+)-(\d+)/.exec(request.headers.range ?? '') ?? []
      request.headers.range = `bytes=${start}-${Math.min(Number(end), Number(start) + MiB)}`
      serve(large)
    })
    expectBytes(got, large)
  })

  test.each<[string, Answering]>([
    ['without ranges', (_, { serve }) => serve(large, { ranges: false })],
    ['without ranges and length', (_, { serve }) => serve(large, { ranges: false, chunked: true })],
    ['with a weak entity tag', (_, { serve }) => serve(large, { etag: 'W/"v1"' })],
    ['without any validator', (_, { serve }) => serve(large, { etag: null })],
  ])('from a server %s comes as one stream', async (_, answering) => {
    const got = await fetchFile(answering)
    expectBytes(got, large)
    expect(got.log.join('\n')).toContain('cannot be resumed')
  })

  test('that can only be streamed begins again when it breaks off', async () => {
    const got = await fetchFile((_, { serve }, n) =>
      serve(large, { ranges: false, ...(n < 2 ? { cutAfter: 20 * MiB } : {}) }),
    )
    expectBytes(got, large)
    expect(got.log.join('\n')).toContain('begins again')
  })

  test('of unknown end by HTTP/1.0 is taken, and the log says that its end cannot be checked', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy())
      socket.once('data', () =>
        socket.end(Buffer.concat([Buffer.from('HTTP/1.0 200 OK\r\n\r\n'), large])),
      )
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const run = await startTransfer(stage.store, stage.fetcher, `http://127.0.0.1:${port}/f`)
    await run.done
    expect(storedTree(stage.store, run.id)).toEqual({ f: sha256(large) })
    expect(run.log.join('\n')).toContain('cannot be checked')
    server.close()
  })

  test.each<[string, Answering]>([
    [
      'starts its parts elsewhere',
      (request, { serve, response }, n) => {
        if (n === 0 || request.headers.range === undefined) return serve(large)
        const [, start, end] = /bytes=(\d+)-(\d+)/.exec(request.headers.range) ?? []
        const body = large.subarray(0, Number(end) - Number(start) + 1)
        response
          .writeHead(206, {
            etag: '"v1"',
            'content-length': String(body.length),
            'content-range': `bytes 0-${body.length - 1}/${large.length}`,
          })
          .end(body)
      },
    ],
    [
      'does not say of which version its parts are',
      (_, { serve }, n) => serve(large, n === 0 ? {} : { etag: null }),
    ],
    ['sends the whole for a part', (_, { serve }, n) => serve(large, { ranges: n === 0 })],
  ])('from a server that %s is streamed instead', async (_, answering) => {
    const got = await fetchFile((request, answer, n) => {
      // A request without a condition is the plain one: it is answered as it should be.
      answering(request, answer, request.headers.range === undefined ? 0 : n)
    })
    expectBytes(got, large)
    expect(got.log.join('\n')).toContain('begins again from its first byte')
  })

  test.each<[string, Answering]>([
    ['by its entity tag', (_, { serve }, n) => serve(large, { etag: n < 3 ? '"v1"' : '"v2"' })],
    [
      'though the server ignores conditions',
      (request, { serve }, n) => {
        delete request.headers['if-match']
        delete request.headers['if-range']
        serve(large, { etag: n < 3 ? '"v1"' : '"v2"' })
      },
    ],
    [
      'by its size under the same entity tag',
      (_, { serve }, n) => serve(n < 3 ? large : large.subarray(0, large.length - 1)),
    ],
    ['and became shorter', (_, { serve }, n) => serve(n < 1 ? large : large.subarray(0, 100))],
  ])('that changes while it is fetched is an error: %s', async (_, answering) => {
    const got = await fetchFile(answering)
    expect(got.error).toMatchObject({ code: 'origin_changed' })
    expect(got.error?.message).toContain('/file.bin')
  })

  test('whose range breaks off for ever ends with one clear error', async () => {
    const got = await fetchFile((request, { serve, response }) => {
      if (/bytes=8388608-/.test(request.headers.range ?? ''))
        return void response.writeHead(500).end()
      serve(large)
    })
    expect(got.error).toMatchObject({ code: 'origin_error' })
    expect(got.error?.message).toMatch(
      /127\.0\.0\.1:\d+\/file\.bin.*500.*given up after 4 attempts/,
    )
  })
})

describe('a small file', () => {
  test.each<[string, Answering]>([
    ['with ranges', (_, { serve }) => serve(small)],
    ['without ranges', (_, { serve }) => serve(small, { ranges: false })],
    ['without length', (_, { serve }) => serve(small, { ranges: false, chunked: true })],
    ['after a reset', (_, { serve }, n) => serve(small, n < 2 ? { cutAfter: 1000 } : {})],
    ['after a stall', (_, { serve }, n) => serve(small, n === 0 ? { stallAfter: 1000 } : {})],
    [
      'after 500',
      (_, { serve, response }, n) => (n < 2 ? response.writeHead(500).end() : serve(small)),
    ],
  ])('is fetched %s', async (_, answering) => expectBytes(await fetchFile(answering), small))

  test('that is empty is fetched', async () => {
    expectBytes(await fetchFile((_, { serve }) => serve(Buffer.alloc(0))), Buffer.alloc(0))
    expectBytes(
      await fetchFile((_, { serve }) => serve(Buffer.alloc(0), { ranges: false })),
      Buffer.alloc(0),
    )
  })

  test('with a body longer than it says is not stored', async () => {
    const server = createServer((socket) => {
      socket.on('error', () => socket.destroy())
      socket.on('data', () =>
        socket.write(
          'HTTP/1.1 206 OK\r\nContent-Length: 9\r\nContent-Range: bytes 0-3/4\r\nETag: "a"\r\n\r\n123456789',
        ),
      )
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as { port: number }
    const run = await startTransfer(stage.store, stage.fetcher, `http://127.0.0.1:${port}/f`)
    await expect(run.done).rejects.toMatchObject({ code: 'origin_error' })
    server.close()
  })
})

describe('an answer that is no file', () => {
  test.each([
    [401, 'origin_denied'],
    [403, 'origin_denied'],
    [404, 'origin_not_found'],
    [410, 'origin_not_found'],
    [400, 'origin_error'],
    [451, 'origin_error'],
    [204, 'origin_error'],
  ])('%i is told at once', async (status, code) => {
    const got = await fetchFile((_, { response }) => void response.writeHead(status).end())
    expect(got.error).toMatchObject({ code })
    expect(got.error?.message).toContain(String(status))
    expect(got.server.requests).toHaveLength(1)
  })

  test('Retry-After is kept to', async () => {
    const at: number[] = []
    const got = await fetchFile((_, { serve, response }, n) => {
      at.push(performance.now())
      if (n === 0) response.writeHead(429, { 'retry-after': '1' }).end()
      else serve(small)
    })
    expectBytes(got, small)
    expect((at[1] ?? 0) - (at[0] ?? 0)).toBeGreaterThan(950)
    expect(got.log.join('\n')).toMatch(/answers 429; asked again in \d+s/)
    expect(got.progress.some(({ waiting_for }) => waiting_for?.includes('429'))).toBe(true)
  })

  test('bytes that the server insists on encoding never get into the store', async () => {
    const got = await fetchFile(
      (_, { response }) =>
        void response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(small)),
    )
    expect(got.error).toMatchObject({ code: 'origin_error' })
    expect(got.error?.message).toContain('encoding')
  })

  test('nor do they in parts that come after a plain beginning', async () => {
    const got = await fetchFile((_, { serve }, n) =>
      serve(large, n === 0 ? {} : { headers: { 'content-encoding': 'br' } }),
    )
    expect(got.error?.message).toContain('encoding')
  })

  test('a compressed file whose compression the server declares is taken as it is', async () => {
    const tar = gzipSync(small)
    const got = await fetchFile(
      (_, { serve }) => serve(tar, { headers: { 'content-encoding': 'x-gzip' } }),
      '/a.tar.gz',
    )
    // Its bytes reach the extraction, which finds that they are no tar.
    expect(got.error).toMatchObject({ code: 'bad_archive' })
  })
})

describe('a redirect', () => {
  test('is followed, and credentials stay at home', async () => {
    await using other = await startFaultServer((_, { serve }) => serve(large))
    await using home = await startFaultServer(
      (_, { response }) =>
        void response
          .writeHead(302, { location: `http://x:y@127.0.0.1:${other.port}/there?sig=t0ken` })
          .end(),
    )
    const uri = `http://me:s3cret@127.0.0.1:${home.port}/file.bin`
    const run = await startTransfer(stage.store, stage.fetcher, uri)
    const { pinnedSource } = await run.done
    expect(storedTree(stage.store, run.id)).toEqual({ 'file.bin': sha256(large) })
    expect(home.requests[0]?.headers.authorization).toBe(
      `Basic ${Buffer.from('me:s3cret').toString('base64')}`,
    )
    expect(other.requests.every(({ headers }) => headers.authorization === undefined)).toBe(true)
    expect(other.requests.length).toBeGreaterThan(3)
    // Where it led to is remembered until all is there.
    expect(home.requests).toHaveLength(2)
    expect(pinnedSource + run.log.join()).not.toMatch(/s3cret|t0ken/)
  })

  test('that expires is followed anew', async () => {
    let tokens = 0
    await using other = await startFaultServer((request, { serve, response }, n) => {
      // The first address serves three requests.
      if (request.url === '/t1' && n > 3) return void response.writeHead(403).end()
      serve(large)
    })
    await using home = await startFaultServer(
      (_, { response }) =>
        void response
          .writeHead(307, { location: `http://127.0.0.1:${other.port}/t${++tokens}` })
          .end(),
    )
    const run = await startTransfer(stage.store, stage.fetcher, `${home.origin}/file.bin`)
    await run.done
    expect(storedTree(stage.store, run.id)).toEqual({ 'file.bin': sha256(large) })
    expect(tokens).toBeGreaterThan(1)
  })

  test.each([
    ['in a circle', '/file.bin', /redirects more than 10 times/],
    ['to a file', 'file:///etc/passwd', /redirects to file:/],
    ['to nowhere', 'http://[', /no valid address/],
  ])('%s is refused', async (_, location, message) => {
    const got = await fetchFile(
      (_, { response }) => void response.writeHead(302, { location }).end(),
    )
    expect(got.error).toMatchObject({ code: 'origin_error' })
    expect(got.error?.message).toMatch(message)
  })

  test.each([
    'http://169.254.169.254/latest/',
    'http://[::1]:1/',
    'http://10.0.0.1/',
    'http://2130706433.nip.invalid/',
  ])('to %s gets no connection', async (location) => {
    const got = await fetchFile(
      (_, { response }) => void response.writeHead(302, { location }).end(),
    )
    expect(got.error).toMatchObject({
      code: location.includes('invalid') ? 'origin_error' : 'address_refused',
    })
  })
})

test('directories without end are refused', async () => {
  await using server = await startFaultServer((_, { response }) => {
    response.setHeader('content-type', 'text/html')
    response.end('<title>Index of /</title><a href="../">../</a><a href="again/">again/</a></html>')
  })
  const run = await startTransfer(stage.store, stage.fetcher, `${server.origin}/d/`)
  await expect(run.done).rejects.toMatchObject({ code: 'limit_exceeded' })
  await expect(run.done).rejects.toThrow(/deeper than 64 levels.*circle/)
})

test.each([
  ['..%2f..%2fetc%2fpasswd', 'invalid_path'],
  ['a%00b', 'invalid_path'],
  ['%ff', 'invalid_path'],
  ['a" /><a href="a/', 'invalid_path'],
])('a listing with the name %j is refused', async (name, code) => {
  await using server = await startFaultServer((_, { response }) => {
    response.setHeader('content-type', 'text/html')
    response.end(`<title>Index of /</title><a href="${name}">x</a></html>`)
  })
  const run = await startTransfer(stage.store, stage.fetcher, `${server.origin}/d/`)
  await expect(run.done).rejects.toMatchObject({ code })
})

test('a listing that breaks off is asked for again', async () => {
  const page = '<title>Index of /</title><a href="a">a</a><a href="b">b</a></html>'
  let asked = 0
  await using server = await startFaultServer((request, { response, serve }) => {
    if (request.url !== '/d/') return serve(small)
    response.setHeader('content-type', 'text/html')
    response.setHeader('content-length', page.length)
    if (asked++ > 0) return void response.end(page)
    response.write(page.slice(0, 40), () => request.socket.destroy())
  })
  const run = await startTransfer(stage.store, stage.fetcher, `${server.origin}/d/`)
  await run.done
  expect(Object.keys(storedTree(stage.store, run.id))).toEqual(['a', 'b'])
})

test('without permission, this machine is refused by address and by name', async () => {
  await using strict = await openStage({ allowNetworks: [] })
  await using server = await startFaultServer((_, { serve }) => serve(small))
  for (const host of [
    '127.0.0.1',
    'localhost',
    '[::ffff:127.0.0.1]',
    '0.0.0.0',
    '2130706433',
    '127.1',
  ]) {
    const run = await startTransfer(strict.store, strict.fetcher, `http://${host}:${server.port}/f`)
    await expect(run.done, host).rejects.toMatchObject({ code: 'address_refused' })
  }
  expect(server.requests).toHaveLength(0)
})

test('secrets of an address are in no error, log line or progress', async () => {
  const uri = (port: number): string => `http://me:s3cret@127.0.0.1:${port}/file.bin?X-Sig=t0ken`
  const answers: Answering[] = [
    (_, { response }) => void response.writeHead(403).end(),
    (_, { response }) => void response.writeHead(503).end(),
    (request) => void request.socket.destroy(),
    (_, { response }) => void response.writeHead(302, { location: '/file.bin?X-Sig=t0ken' }).end(),
    (_, { response }) =>
      void response.writeHead(302, { location: 'ftp://me:s3cret@h/?t0ken' }).end(),
    (_, { response }) => void response.writeHead(200, { 'content-encoding': 's3' }).end('x'),
    (_, { serve }, n) => serve(large, { etag: n < 2 ? '"v1"' : '"v2"' }),
  ]
  for (const answering of answers) {
    await using server = await startFaultServer(answering)
    const location = parseSourceLocation('web', uri(server.port), {})
    expect(fullUri(location)).toBe(uri(server.port))
    const run = await startTransfer(stage.store, stage.fetcher, uri(server.port))
    const error = await run.done.then(
      () => new Error('it was accepted'),
      (error: Error) => error,
    )
    const everything = [
      error.stack,
      JSON.stringify(error),
      String(error.cause),
      ...run.log,
      JSON.stringify(run.progress),
    ]
    expect(everything.join('\n')).not.toMatch(/s3cret|t0ken/)
    expect(error.message).toContain('127.0.0.1')
  }
})

test('a transfer is cancelled though its server sends nothing more', async () => {
  await using server = await startFaultServer((_, { serve }) => serve(large, { stallAfter: 1000 }))
  const controller = new AbortController()
  const run = await startTransfer(stage.store, stage.fetcher, `${server.origin}/f`, {
    signal: controller.signal,
  })
  setTimeout(() => controller.abort(), 300)
  await expect(run.done).rejects.toMatchObject({ code: 'cancelled' })
})
