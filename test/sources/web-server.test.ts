import { mkdirSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { compareUtf8 } from '../../src/model/relative-path.ts'
import { type Nginx, startNginx, startPythonServer } from './support/nginx.ts'
import { bytesOf, MiB, openStage, type Stage, sha256 } from './support/stage.ts'
import { startTransfer, storedTree } from './support/transfer-run.ts'

let stage: Stage
let nginx: Nginx
const large = bytesOf(24 * MiB + 7)

beforeAll(async () => {
  stage = await openStage()
  const { scratch } = stage
  writeFileSync(scratch.join('htpasswd'), 'me:{PLAIN}s3cret\n')
  const www = scratch.join('www')
  nginx = await startNginx(
    scratch.path,
    `location /json/ { alias ${www}/; autoindex on; autoindex_format json; }
     location /noranges/ { alias ${www}/; max_ranges 0; etag off; }
     location /slow/ { alias ${www}/; limit_rate 6m; }
     location /weak/ { alias ${www}/; etag off; add_header ETag 'W/"1"'; }
     location /dated/ { alias ${www}/; etag off; }
     location /closed/ { alias ${www}/; auth_basic x; auth_basic_user_file ${scratch.join('htpasswd')}; autoindex on; }
     location /moved/ { rewrite ^/moved/(.*)$ /closed/$1 redirect; }
     location /busy/ { alias ${www}/; if (-f ${www}/busy) { add_header Retry-After 1 always; return 503; } }
     location /bare/ { alias ${www}/tree/; autoindex off; }`,
  )
  put('large.bin', large)
})
afterAll(async () => {
  await nginx[Symbol.asyncDispose]()
  await stage[Symbol.asyncDispose]()
})

/** An hour old, so that its time of modification pins it. */
function put(path: string, bytes: Buffer | string): void {
  const file = join(nginx.root, path)
  mkdirSync(dirname(file), { recursive: true })
  writeFileSync(file, bytes)
  const old = Date.now() / 1000 - 3600
  utimesSync(file, old, old)
}

describe('a file of a real nginx', () => {
  test.each([
    ['/large.bin', 'ETag', false],
    ['/dated/large.bin', 'Last-Modified', false],
    ['/noranges/large.bin', 'Last-Modified', true],
    ['/weak/large.bin', 'no version told', true],
  ])('%s is pinned by %s', async (path, pinned, stream) => {
    await nginx.clearRequests()
    const run = await startTransfer(stage.store, stage.fetcher, nginx.origin + path)
    expect((await run.done).pinnedSource).toContain(pinned)
    expect(storedTree(stage.store, run.id)).toEqual({ 'large.bin': sha256(large) })
    expect(run.log.join('\n').includes('cannot be resumed')).toBe(stream)
    const requests = await nginx.requests()
    if (stream) expect(requests.length).toBeLessThan(3)
    else expect(requests.every((line) => /^(206|304) /.test(line))).toBe(true)
  })

  test('that is overwritten while it is fetched is an error, and nothing of it is stored', async () => {
    put('changing.bin', large)
    const run = await startTransfer(
      stage.store,
      stage.fetcher,
      `${nginx.origin}/slow/changing.bin`,
      {
        // Its version is known by then, and each connection is throttled.
        log: (line) => {
          if (line.startsWith('Fetching')) put('changing.bin', bytesOf(large.length - 1))
        },
      },
    )
    await expect(run.done).rejects.toMatchObject({ code: 'origin_changed' })
    expect(() => storedTree(stage.store, run.id)).toThrow('is not stored')
  })

  test('is fetched over many connections at once, of which each is throttled', async () => {
    await nginx.clearRequests()
    const run = await startTransfer(stage.store, stage.fetcher, `${nginx.origin}/slow/large.bin`)
    await run.done
    const connections = (await nginx.requests()).map((line) => line.split(' ').at(-2))
    expect(new Set(connections).size).toBeGreaterThan(1)
    expect(run.progress.at(-1)).toMatchObject({
      bytes_done: large.length,
      bytes_total: large.length,
    })
  })

  test('comes with the credentials of the address, also after a redirect within the server', async () => {
    const { host } = new URL(nginx.origin)
    const run = await startTransfer(
      stage.store,
      stage.fetcher,
      `http://me:s3cret@${host}/moved/large.bin`,
    )
    await run.done
    expect(storedTree(stage.store, run.id)).toEqual({ 'large.bin': sha256(large) })
    const without = await startTransfer(
      stage.store,
      stage.fetcher,
      `${nginx.origin}/closed/large.bin`,
    )
    await expect(without.done).rejects.toMatchObject({ code: 'origin_denied' })
  })

  test('is waited for while the server is busy', async () => {
    put('busy', '')
    let waits = 0
    const run = await startTransfer(stage.store, stage.fetcher, `${nginx.origin}/busy/large.bin`, {
      log: (line) => {
        if (!line.includes('503; asked again in 1s')) return
        if (waits++ === 0) unlinkSync(join(nginx.root, 'busy'))
      },
    })
    await run.done
    expect(waits).toBeGreaterThan(0)
  })
})

const TREE: Record<string, string | null> = {
  'config.json': '{}',
  'weights/a b+ü&<x>#1%.txt': 'odd',
  'weights/naïve “quoted” \\back.bin': 'x',
  'weights/deep/er/empty.bin': '',
  '-dash': 'd',
  'a%2Fb': 'percent',
  'semi;colon:colon': 's',
  ' space ': 'sp',
  '日本語/モデル.safetensors': 'j',
  index: 'no index page',
  hollow: null,
  'hollow2/inner': null,
}

function putTree(root: string): Record<string, string | null> {
  const expected: Record<string, string | null> = {}
  for (const [path, text] of Object.entries(TREE)) {
    for (let at = path.indexOf('/'); at !== -1; at = path.indexOf('/', at + 1))
      expected[path.slice(0, at)] = null
    if (text === null) mkdirSync(join(nginx.root, root, path), { recursive: true })
    else put(`${root}/${path}`, text)
    expected[path] = text === null ? null : sha256(text)
  }
  return Object.fromEntries(Object.entries(expected).sort(([a], [b]) => compareUtf8(a, b)))
}

describe('a directory', () => {
  test('of nginx, as HTML and as JSON, and of Python is the same tree', async () => {
    const expected = putTree('tree')
    await using python = await startPythonServer(join(nginx.root))
    for (const uri of [
      `${nginx.origin}/tree/`,
      `${nginx.origin}/json/tree/`,
      `${python.origin}/tree/`,
    ]) {
      const run = await startTransfer(stage.store, stage.fetcher, uri)
      const { pinnedSource } = await run.done
      expect(storedTree(stage.store, run.id), uri).toEqual(expected)
      expect(pinnedSource).toContain('10 files')
    }
  })

  test('holds large files beside small ones, whether the listing tells their size or not', async () => {
    const names: Record<string, string> = {}
    for (let n = 0; n < 5; n++) {
      const bytes = bytesOf(9 * MiB + n)
      put(`mixed/${n}/large.bin`, bytes)
      put(`mixed/${n}/small.bin`, `small ${n}`)
      names[`${n}/large.bin`] = sha256(bytes)
      names[`${n}/small.bin`] = sha256(`small ${n}`)
    }
    await using python = await startPythonServer(nginx.root)
    for (const uri of [`${nginx.origin}/mixed/`, `${python.origin}/mixed/`]) {
      const run = await startTransfer(stage.store, stage.fetcher, uri)
      await run.done
      expect(storedTree(stage.store, run.id)).toMatchObject(names)
      expect(run.progress.at(-1)).toMatchObject({
        files_done: 10,
        bytes_done: 5 * 9 * MiB + 10 + 35,
      })
    }
  })

  test('may be empty', async () => {
    mkdirSync(join(nginx.root, 'void'))
    const run = await startTransfer(stage.store, stage.fetcher, `${nginx.origin}/void/`)
    await run.done
    expect(storedTree(stage.store, run.id)).toEqual({})
  })

  test('is fetched with the credentials of the address', async () => {
    putTree('tree')
    const { host } = new URL(nginx.origin)
    const run = await startTransfer(
      stage.store,
      stage.fetcher,
      `http://me:s3cret@${host}/closed/tree/`,
    )
    await run.done
    expect(Object.keys(storedTree(stage.store, run.id))).toHaveLength(17)
  })

  test.each<[string, (root: string) => void, RegExp]>([
    ['is new', (root) => put(`${root}/sub/new.txt`, 'n'), /"sub\/new\.txt" is new/],
    ['is gone', (root) => unlinkSync(join(nginx.root, root, 'sub/b.txt')), /"sub\/b\.txt" is gone/],
    [
      'is another file now',
      (root) => put(`${root}/a.txt`, 'longer than before'),
      /"a\.txt" is another/,
    ],
  ])(
    'in which a file %s after it was fetched is an error that names it',
    async (how, change, message) => {
      const root = `changing-${how.replaceAll(' ', '-')}`
      put(`${root}/a.txt`, 'a')
      put(`${root}/sub/b.txt`, 'b')
      put(`${root}/sub/c.txt`, 'c')
      const run = await startTransfer(stage.store, stage.fetcher, `${nginx.origin}/${root}/`, {
        log: (line) => {
          if (line.startsWith('Listing again')) change(root)
        },
      })
      await expect(run.done).rejects.toMatchObject({ code: 'origin_changed' })
      await expect(run.done).rejects.toThrow(message)
    },
  )

  test('in which links go in a circle ends with an error that shows it', async () => {
    put('circle/a.txt', 'a')
    symlinkSync('.', join(nginx.root, 'circle/again'))
    const run = await startTransfer(stage.store, stage.fetcher, `${nginx.origin}/circle/`)
    // The server itself gives up at 40 links.
    await expect(run.done).rejects.toThrow(/circle\/again\/again\/.*403/)
  })

  test('that is no listing is refused', async () => {
    put('site/index.html', '<html><title>Hi</title><a href="x.bin">x</a></html>')
    for (const [path, code] of [
      ['/site/', 'origin_error'],
      ['/bare/', 'origin_denied'],
      ['/absent/', 'origin_not_found'],
    ]) {
      const run = await startTransfer(stage.store, stage.fetcher, nginx.origin + path)
      await expect(run.done, path).rejects.toMatchObject({ code })
    }
  })
})
