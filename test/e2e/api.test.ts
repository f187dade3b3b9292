import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Client } from 'undici'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Checkpoint } from '../../src/agent-protocol/checkpoint.ts'
import type { MountRow } from '../../src/agent-protocol/host.ts'
import type { Job } from '../../src/agent-protocol/job.ts'
import { startDaemon, type TestDaemon, until } from '../support/daemon.ts'
import { startWebServer, type WebServer } from '../support/web-server.ts'

let daemon: TestDaemon
let web: WebServer
interface ErrorAnswer {
  readonly code: string
  readonly message: string
  readonly errorMessage: string
  readonly hint: string
  readonly details: Record<string, unknown>
}

beforeAll(async () => {
  web = await startWebServer({ '/a.bin': 'a', '/b.bin': Buffer.alloc(100_000, 'b') })
  daemon = await startDaemon()
})
afterAll(async () => {
  await daemon?.[Symbol.asyncDispose]()
  await web?.[Symbol.asyncDispose]()
})

const create = (name: string, more: object = {}): Promise<Checkpoint> =>
  daemon.ok<Checkpoint>('POST', '/checkpoint', {
    name,
    source_type: 'web',
    source_uri: `${web.address}/a.bin`,
    ...more,
  })

describe('answers', () => {
  it('are exactly application/json, errors too, and carry what the public client reads', async () => {
    const client = new Client('http://localhost', { socketPath: daemon.socket })
    for (const path of ['/checkpoint', '/checkpoint/absent', '/checkpoint/public']) {
      const response = await client.request({
        method: 'GET',
        path,
        headers: { 'content-type': 'application/json' },
        body: 'null',
      })
      expect(response.headers['content-type'], path).toBe('application/json')
      await response.body.dump()
    }
    await client.close()
    const { status, body } = await daemon.call<ErrorAnswer>('GET', '/checkpoint/absent')
    expect(status).toBe(404)
    expect(body.errorMessage).toBe(body.message)
    expect(body).toMatchObject({
      code: 'not_found',
      message: 'Checkpoint Not Found - the project "default" has none with the id or name "absent"',
      retryable: false,
    })
  })

  it('name the field that is wrong and what it may be, in one sentence', async () => {
    const job = { name: 'j', type: 'holiday' }
    expect((await daemon.call<ErrorAnswer>('POST', '/v1/jobs', job)).body.message).toBe(
      'Invalid Request - "type" in the body must be one of "training", "inference", "notebook", "endpoint"',
    )
    const checkpoints = { name: 'j', model: { checkpoints: [1] } }
    expect((await daemon.call<ErrorAnswer>('POST', '/v1/jobs', checkpoints)).body.message).toBe(
      'Invalid Request - "model.checkpoints.0" in the body must be string or must be object',
    )
    expect((await daemon.call<ErrorAnswer>('POST', '/v1/jobs', {})).body.message).toBe(
      'Invalid Request - the body must have required properties name',
    )
    const path = '/v1/jobs/x/workers/0/mount?wait=-1'
    expect((await daemon.call<ErrorAnswer>('POST', path, {})).body.message).toBe(
      'Invalid Request - "worker" in the address must be >= 1',
    )
  })

  it.each([
    ['a broken escape', '/checkpoint/%zz'],
    ['a name that is too long', `/checkpoint/${'x'.repeat(1001)}`],
  ])('to %s in the address are errors of the table, too', async (_, path) => {
    const { status, body } = await daemon.call<ErrorAnswer>('GET', path)
    expect(status).toBe(400)
    expect(body).toMatchObject({ code: 'invalid_request', retryable: false })
    expect(body.errorMessage).toBe(body.message)
    expect(body.hint).not.toBe('')
  })

  it('go with a log of nothing but JSON lines', async () => {
    await daemon.call('GET', '/checkpoint/absent')
    const lines = daemon.output().trim().split('\n')
    expect(lines.filter((line) => !line.startsWith('{'))).toEqual([])
  })

  it('describe themselves at /openapi.json', async () => {
    const document = await daemon.ok<{ paths: Record<string, unknown> }>('GET', '/openapi.json')
    expect(Object.keys(document.paths)).toContain('/checkpoint/{reference}')
    expect(Object.keys(document.paths)).toContain('/v1/jobs/{reference}/workers/{worker}/mount')
  })

  it.each([
    ['no name', { source_type: 'web', source_uri: 'http://x/a' }, 'invalid_request'],
    ['a bad name', { name: 'a/b', source_type: 'web', source_uri: 'http://x/a' }, 'invalid_name'],
    [
      'a reserved name',
      { name: 'public', source_type: 'web', source_uri: 'http://x/a' },
      'invalid_name',
    ],
    ['an unknown source', { name: 'x', source_type: 'floppy', source_uri: 'a:' }, 'invalid_source'],
    [
      'a path against its rule',
      { name: 'x', source_type: 'web', source_uri: 's3://b/a' },
      'invalid_source',
    ],
    [
      'a source to come',
      { name: 'x', source_type: 'aws', source_uri: 's3://b/a' },
      'unsupported_source',
    ],
    [
      'an unknown option',
      { name: 'x', source_type: 'web', source_uri: 'http://x/a', source_options: { a: 'b' } },
      'invalid_source',
    ],
    [
      'a bad project',
      { name: 'x', source_type: 'web', source_uri: 'http://x/a', project_uuid: '../x' },
      'invalid_request',
    ],
  ])('refuse %s and store nothing', async (_, body, code) => {
    const before = await daemon.ok<Checkpoint[]>('GET', '/checkpoint')
    const answer = await daemon.call<ErrorAnswer>('POST', '/checkpoint', body)
    expect(answer.status).toBe(400)
    expect(answer.body.code).toBe(code)
    expect(await daemon.ok('GET', '/checkpoint')).toEqual(before)
  })
})

describe('a checkpoint', () => {
  it('passes through downloading, and its events end with the result', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    web.hold = promise
    const created = await create('held')
    expect(created.status).toBe('new')
    await until(
      async () => (await daemon.ok<Checkpoint>('GET', '/checkpoint/held')).status === 'downloading',
    )
    resolve()
    web.hold = undefined
    const client = new Client('http://localhost', { socketPath: daemon.socket })
    const response = await client.request({
      method: 'GET',
      path: `/v1/checkpoints/${created.id}/events`,
    })
    const events = (await response.body.text())
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { type: string; msg?: string })
    await client.close()
    expect(events[0]?.msg).toBe('Starting data download from web')
    expect(events.filter(({ type }) => type === 'log').at(-1)?.msg).toBe('Download complete')
    expect(events.at(-1)?.type).toBe('result')
  })

  it('is found by id first, then by name, the newest of that name', async () => {
    const first = await create('twin')
    await daemon.waitReady(first.id)
    const second = await create('twin')
    await daemon.waitReady(second.id)
    expect((await daemon.ok<Checkpoint>('GET', '/checkpoint/twin')).id).toBe(second.id)
    expect((await daemon.ok<Checkpoint>('GET', `/checkpoint/${first.id}`)).id).toBe(first.id)
  })

  it('is unknown to another project, under id and name, in jobs too', async () => {
    const { id } = await create('mine')
    await daemon.waitReady('mine')
    for (const reference of [id, 'mine']) {
      expect((await daemon.call('GET', `/checkpoint/${reference}?project_uuid=other`)).status).toBe(
        404,
      )
      expect(
        (await daemon.call('DELETE', `/checkpoint/${reference}?project_uuid=other&force=true`))
          .status,
      ).toBe(404)
      const job = await daemon.call<ErrorAnswer>('POST', '/v1/jobs', {
        name: 'j',
        project_uuid: 'other',
        model: { checkpoints: [reference] },
      })
      expect(job.status).toBe(404)
    }
  })

  it('is fetched in full although another project has the same bytes', async () => {
    const before = web.sentBytes()
    await daemon.ok('POST', '/checkpoint', {
      name: 'theirs',
      project_uuid: 'p1',
      source_type: 'web',
      source_uri: `${web.address}/b.bin`,
    })
    await until(
      async () =>
        (await daemon.ok<Checkpoint>('GET', '/checkpoint/theirs?project_uuid=p1')).status ===
        'ready',
    )
    const first = web.sentBytes() - before
    await daemon.ok('POST', '/checkpoint', {
      name: 'ours',
      project_uuid: 'p2',
      source_type: 'web',
      source_uri: `${web.address}/b.bin`,
    })
    await until(
      async () =>
        (await daemon.ok<Checkpoint>('GET', '/checkpoint/ours?project_uuid=p2')).status === 'ready',
    )
    expect(first).toBe(100_000)
    expect(web.sentBytes() - before - first).toBe(first)
  })

  it('cannot be removed while a job is configured to use it, not even by force; the refusal lists the jobs', async () => {
    const { id } = await create('used')
    await daemon.waitReady(id)
    const job = await daemon.ok<Job>('POST', '/v1/jobs', {
      name: 'user of it',
      model: { checkpoints: ['used'] },
    })
    const refused = await daemon.call<ErrorAnswer>('DELETE', `/checkpoint/${id}?force=true`)
    expect(refused.status).toBe(409)
    expect(refused.body.code).toBe('in_use')
    expect(refused.body.message).toContain('user of it')
    expect(refused.body.message).toContain(job.id)
    await daemon.ok('POST', `/v1/jobs/${job.id}/finish?wait=60`, {})
    expect((await daemon.ok<Checkpoint>('DELETE', `/checkpoint/${id}`)).status).toBe('archived')
    expect((await daemon.call('GET', `/checkpoint/${id}`)).status).toBe(404)
  })

  it('that is being filled is removed by force only, which cancels the filling', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    web.hold = promise
    try {
      const { id } = await create('filling')
      expect((await daemon.call<ErrorAnswer>('DELETE', `/checkpoint/${id}`)).body.code).toBe(
        'conflict',
      )
      expect((await daemon.call('DELETE', `/checkpoint/${id}?force=true`)).status).toBe(200)
      await until(() => !readdirSync(join(daemon.dataDir, 'staging')).includes(id))
    } finally {
      resolve()
      web.hold = undefined
    }
  })

  it('keeps its names and bytes in jobs when it is renamed', async () => {
    const { id } = await create('before')
    await daemon.waitReady(id)
    const job = await daemon.ok<Job>('POST', '/v1/jobs', {
      name: 'fixed',
      model: { checkpoints: ['before', { id: 'twin' }] },
    })
    await daemon.ok('PATCH', `/checkpoint/${id}`, { name: 'after' })
    expect((await daemon.call('GET', '/checkpoint/before')).status).toBe(404)
    const shown = await daemon.ok<Job>('GET', `/v1/jobs/${job.id}`)
    expect(shown.model.checkpoints.map(({ directory }) => directory)).toEqual(['before', 'twin'])
    const sidecar = JSON.parse(
      readFileSync(join(daemon.dataDir, 'checkpoints', `${id}.json`), 'utf8'),
    ) as { name: string }
    expect(sidecar.name).toBe('after')
    await daemon.ok('POST', `/v1/jobs/${job.id}/finish?wait=60`, {})
  })
})

describe('secrets', () => {
  it('of an address are in no answer, log, or file but the sealed column', async () => {
    const uri = `${web.address.replace('http://', 'http://alice:hunter2secret@')}/a.bin?token=topsecrettoken`
    const created = await daemon.ok<Checkpoint>('POST', '/checkpoint', {
      name: 'secretive',
      source_type: 'web',
      source_uri: uri,
    })
    expect(created.source_uri).toBe(`${web.address}/a.bin?…`)
    await daemon.waitReady('secretive')
    expect(
      web.requests.some(
        ({ headers }) =>
          headers.authorization ===
          `Basic ${Buffer.from('alice:hunter2secret').toString('base64')}`,
      ),
    ).toBe(true)
    const failing = await daemon.ok<Checkpoint>('POST', '/checkpoint', {
      name: 'failing',
      source_type: 'web',
      source_uri: uri.replace('a.bin', 'absent.bin'),
    })
    await until(
      async () =>
        (await daemon.ok<Checkpoint>('GET', `/checkpoint/${failing.id}`)).status === 'failed',
    )
    const seen = [
      daemon.output(),
      JSON.stringify(await daemon.ok('GET', '/checkpoint')),
      ...['ckptd.db', 'ckptd.db-wal', `checkpoints/${created.id}.json`].map((name) =>
        readFileSync(join(daemon.dataDir, name), 'latin1'),
      ),
    ]
    for (const text of seen) expect(text).not.toMatch(/hunter2secret|topsecrettoken/)
  })
})

describe('a mount', () => {
  it.each([[undefined], [null], [{}]])(
    'and a finish take %j for a body that says nothing',
    async (body) => {
      const job = await daemon.ok<Job>('POST', '/v1/jobs', {
        name: 'says nothing',
        model: { checkpoints: ['twin'] },
      })
      const path = `/v1/jobs/${job.id}/workers/1`
      expect((await daemon.call('POST', `${path}/mount?wait=60`, body)).status).toBe(200)
      expect((await daemon.call('POST', `${path}/finish?wait=60`, body)).status).toBe(200)
      expect((await daemon.call('POST', `/v1/jobs/${job.id}/finish?wait=60`, body)).status).toBe(
        200,
      )
    },
  )

  it('waits for its checkpoints with 202 and progress, joins when asked again, and outlives its asker', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    web.hold = promise
    await create('slow')
    const job = await daemon.ok<Job>('POST', '/v1/jobs', {
      name: 'waits',
      model: { checkpoints: ['slow'] },
    })
    const path = `/v1/jobs/${job.id}/workers/1/mount`
    const pending = await daemon.call<{ waiting_for: { name: string; status: string }[] }>(
      'POST',
      path,
      {},
    )
    expect(pending.status).toBe(202)
    expect(pending.body.waiting_for.map(({ name }) => name)).toEqual(['slow'])
    const asking = new AbortController()
    const client = new Client('http://localhost', { socketPath: daemon.socket })
    const hanging = client
      .request({ method: 'POST', path: `${path}?wait=60`, signal: asking.signal })
      .catch(() => 'hung up')
    asking.abort()
    expect(await hanging).toBe('hung up')
    await client.destroy()
    resolve()
    web.hold = undefined
    // Nobody asks, and yet it is mounted.
    await until(
      async () =>
        (await daemon.ok<Job>('GET', `/v1/jobs/${job.id}`)).workers[0]?.state === 'mounted',
    )
    expect((await daemon.call('POST', path, {})).status).toBe(200)
    await daemon.ok('POST', `/v1/jobs/${job.id}/finish?wait=60`, {})
    expect((await daemon.call<ErrorAnswer>('POST', path, {})).body.code).toBe('conflict')
  })

  it('is listed while it is there, and not before and after', async () => {
    const job = await daemon.ok<Job>('POST', '/v1/jobs', {
      name: 'listed',
      worker_count: 2,
      model: { checkpoints: ['twin'] },
    })
    const listed = async (): Promise<string[]> =>
      (await daemon.ok<MountRow[]>('GET', '/v1/mounts'))
        .filter(({ job_uuid }) => job_uuid === job.id)
        .map(({ path }) => path)
    expect(await listed()).toEqual([])
    await daemon.ok('POST', `/v1/jobs/${job.id}/workers/1/mount?wait=60`)
    const [path = ''] = await listed()
    const held = openSync(path, 'r')
    await daemon.ok('POST', `/v1/jobs/${job.id}/finish`)
    expect(await listed()).toEqual([path])
    closeSync(held)
    await daemon.ok('POST', `/v1/jobs/${job.id}/finish?wait=60`)
    expect(await listed()).toEqual([])
  })

  it('of a checkpoint that fails is answered with why', async () => {
    const { promise, resolve } = Promise.withResolvers<void>()
    web.hold = promise
    await create('doomed', { source_uri: `${web.address}/absent` })
    const job = await daemon.ok<Job>('POST', '/v1/jobs', {
      name: 'doomed',
      model: { checkpoints: ['doomed'] },
    })
    const answer = daemon.call<ErrorAnswer>(
      'POST',
      `/v1/jobs/${job.id}/workers/1/mount?wait=60`,
      {},
    )
    resolve()
    web.hold = undefined
    expect((await answer).body.code).toBe('checkpoint_failed')
    expect((await answer).body.message).toContain('404')
    await daemon.ok('POST', `/v1/jobs/${job.id}/finish?wait=60`, {})
  })

  it('has a CDI device where the runner asks for one, gone when it is released', async () => {
    const job = await daemon.ok<Job>('POST', '/v1/jobs', {
      name: 'cdi',
      model: { checkpoints: ['twin'] },
    })
    const mount = await daemon.ok<{ cdi_device: string }>(
      'POST',
      `/v1/jobs/${job.id}/workers/1/mount?wait=60`,
      { cdi: true },
    )
    expect(mount.cdi_device).toMatch(/^[a-z./]+=/)
    expect(readdirSync(daemon.scratch.join('cdi')).some((name) => name.includes(job.id))).toBe(true)
    await daemon.ok('POST', `/v1/jobs/${job.id}/finish?wait=60`, {})
    expect(readdirSync(daemon.scratch.join('cdi'))).toEqual([])
  })
})
