import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { text } from 'node:stream/consumers'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { makeScratch, type Scratch } from '../support/scratch.ts'
import { type Nginx, startNginx } from './support/nginx.ts'
import { bytesOf, MiB, sha256 } from './support/stage.ts'

let scratch: Scratch
let nginx: Nginx
const size = 200 * MiB
const files: Record<string, string> = {}

beforeAll(async () => {
  scratch = makeScratch('resume')
  nginx = await startNginx(
    scratch.path,
    `location /slow/ { alias ${scratch.join('www')}/; limit_rate 4m; }
     location /stream/ { alias ${scratch.join('www')}/; max_ranges 0; limit_rate 30m; }`,
  )
  const large = bytesOf(size)
  put('large.bin', large)
  files['large.bin'] = sha256(large)
  mkdirSync(scratch.join('www/tree/sub'), { recursive: true })
  for (let n = 0; n < 300; n++) put(`tree/sub/${n}.txt`, Buffer.from(`file ${n}`))
  for (let n = 0; n < 2; n++) put(`tree/large${n}.bin`, bytesOf(90 * MiB))
  execFileSync('tar', ['-C', scratch.join('www/tree'), '-cf', scratch.join('www/tree.tar'), '.'])
  const pack = (program: string, ...args: string[]): void => {
    execFileSync(program, [...args, 'tree', 'large.bin'], { cwd: scratch.join('www') })
  }
  pack('tar', '-cf', 'large.tar')
  pack('zip', '-qr0', 'large.zip')
  for (const name of ['large.tar', 'large.zip']) age(name)
})
afterAll(async () => {
  await nginx[Symbol.asyncDispose]()
  await scratch[Symbol.asyncDispose]()
})

function put(path: string, bytes: Buffer): void {
  const file = scratch.join('www', path)
  writeFileSync(file, bytes)
  age(path)
}

/** Files that were modified just now are not pinned by their time. */
function age(path: string): void {
  const file = scratch.join('www', path)
  const old = Date.now() / 1000 - 3600
  utimesSync(file, old, old)
}

interface Outcome {
  readonly signal: NodeJS.Signals | null
  readonly tree: Record<string, string | null>
  readonly log: string[]
  readonly pinnedSource: string
  readonly error?: { readonly code: string; readonly message: string }
  /** Bytes of bodies that the server sent meanwhile. */
  readonly sentBytes: number
  readonly requests: string[]
}

async function run(path: string, failpoint?: string): Promise<Outcome> {
  await nginx.clearRequests()
  const child = spawn(
    process.execPath,
    [
      new URL('./support/transfer-child.ts', import.meta.url).pathname,
      scratch.join('data'),
      `${nginx.origin}${path}`,
    ],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      env: {
        ...process.env,
        ...(failpoint === undefined ? {} : { CKPTD_FAILPOINT: `${failpoint}=kill` }),
      },
    },
  )
  const [output, [code, signal]] = await Promise.all([text(child.stdout), once(child, 'exit')])
  if (signal === null) expect(code).toBe(0)
  const requests = await nginx.requests()
  const sentBytes = requests.reduce((sum, line) => sum + Number(line.split(' ')[1]), 0)
  const told = output === '' ? { tree: {}, log: [], pinnedSource: '' } : JSON.parse(output)
  return { ...told, signal: signal as NodeJS.Signals | null, sentBytes, requests }
}

describe('after SIGKILL', () => {
  test('a file goes on behind the bytes that were recorded as durable', async () => {
    rmSync(scratch.join('data'), { recursive: true, force: true })
    // Killed right before the second mark is recorded: the first one stands at 64 MiB or more.
    expect((await run('/slow/large.bin', 'ingest.progress-flushed:2')).signal).toBe('SIGKILL')
    const second = await run('/slow/large.bin')
    expect(second.tree).toEqual({ 'large.bin': files['large.bin'] })
    expect(second.log.join('\n')).toMatch(/Going on with large\.bin at/)
    const from = Math.min(
      ...second.requests.map((line) =>
        Number(/bytes=(\d+)-/.exec(line.replace('bytes=0-0', ''))?.[1] ?? size),
      ),
    )
    expect(from).toBeGreaterThanOrEqual(64 * MiB)
    expect(second.sentBytes).toBeLessThanOrEqual(size - from + 1)
    // Each is the same whole afterwards: nothing is fetched again at all.
    const third = await run('/slow/large.bin')
    expect(third.sentBytes).toBe(0)
    expect(third.pinnedSource).toBe(second.pinnedSource)
  })

  test('a file that was overwritten meanwhile is an error, never a mixture', async () => {
    rmSync(scratch.join('data'), { recursive: true, force: true })
    put('other.bin', bytesOf(size))
    expect((await run('/slow/other.bin', 'ingest.progress-flushed:2')).signal).toBe('SIGKILL')
    put('other.bin', bytesOf(size + 1))
    const second = await run('/slow/other.bin')
    expect(second.error).toMatchObject({ code: 'origin_changed' })
    expect(second.tree).toEqual({ 'other.bin': null })
  })

  test('a file that cannot be fetched in parts begins again', async () => {
    rmSync(scratch.join('data'), { recursive: true, force: true })
    expect((await run('/stream/large.bin', 'ingest.progress-flushed')).signal).toBe('SIGKILL')
    expect((await run('/stream/large.bin')).tree).toEqual({ 'large.bin': files['large.bin'] })
  })

  test.each([
    'transfer.planned',
    'transfer.file-fetched',
    'ingest.recorded:2',
    'ingest.progress-flushed',
  ])('at %s a directory goes on, and what is stored is not fetched again', async (failpoint) => {
    rmSync(scratch.join('data'), { recursive: true, force: true })
    const first = await run('/tree/', failpoint)
    expect(first.signal).toBe('SIGKILL')
    const second = await run('/tree/')
    expect(Object.keys(second.tree)).toHaveLength(303)
    expect(Object.values(second.tree).filter((digest) => digest === null)).toHaveLength(1)
    // It is listed once more, to be compared.
    expect(second.requests.filter((line) => line.endsWith(' /tree/'))).toHaveLength(1)
    const again = await run('/tree/')
    expect(again.requests).toHaveLength(2)
    expect(again.tree).toEqual(second.tree)
  })

  test.each(['large.tar', 'large.zip'])('%s goes on within a large member', async (name) => {
    rmSync(scratch.join('data'), { recursive: true, force: true })
    // Of the large files the last one is under way when its second mark is recorded.
    expect((await run(`/slow/${name}`, 'ingest.progress-flushed:4')).signal).toBe('SIGKILL')
    const second = await run(`/slow/${name}`)
    expect(second.tree['large.bin']).toBe(files['large.bin'])
    expect(Object.keys(second.tree)).toHaveLength(305)
    expect(second.log.join('\n')).toMatch(/Going on with large\.(tar|zip) /)
    // Neither the members before it nor what is durable of it comes again.
    expect(second.sentBytes).toBeLessThan(size - 64 * MiB + 24 * MiB)
  })

  test('an archive that was overwritten meanwhile is an error, never a mixture', async () => {
    rmSync(scratch.join('data'), { recursive: true, force: true })
    put('other.tar', readFileSync(scratch.join('www/large.tar')))
    expect((await run('/slow/other.tar', 'ingest.recorded:2')).signal).toBe('SIGKILL')
    put('other.tar', readFileSync(scratch.join('www/tree.tar')))
    expect((await run('/slow/other.tar')).error).toMatchObject({ code: 'origin_changed' })
  })

  test.each(['ingest.progress-flushed', 'ingest.recorded:2', 'transfer.extracted'])(
    'at %s an archive goes on',
    async (failpoint) => {
      rmSync(scratch.join('data'), { recursive: true, force: true })
      const first = await run('/tree.tar', failpoint)
      expect(first.signal).toBe('SIGKILL')
      const second = await run('/tree.tar')
      expect(Object.keys(second.tree)).toHaveLength(303)
      // Everything is stored but not known to be the last: the end of the archive is read again.
      if (failpoint === 'transfer.extracted') expect(second.sentBytes).toBeLessThan(size / 4)
    },
  )
})
