import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import { main } from '../../src/cli/main.ts'
import { type FakeDaemon, refuse, sendEvents, startFakeDaemon } from './fake-daemon.ts'
import { fakeIo } from './fake-io.ts'
import {
  CHECKPOINT_ID,
  checkpoint,
  daemonStatus,
  details,
  diskUsage,
  errorBody,
  event,
  JOB_ID,
  job,
  mountRow,
  OUTPUT_ID,
  progress,
  verifyReport,
} from './resources.ts'
import { ckpt } from './run-main.ts'

let daemon: FakeDaemon | undefined

async function daemonWith(routes: (app: FastifyInstance) => void): Promise<FakeDaemon> {
  daemon = await startFakeDaemon(routes)
  return daemon
}

afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]()
  daemon = undefined
})

const evil = 'a\u001b]0;owned\u0007'

describe('ckpt list', () => {
  test('has the columns ID, STATUS, NAME, SIZE', async () => {
    const daemon = await daemonWith((app) => app.get('/checkpoint', () => [checkpoint()]))
    const { out, status } = await ckpt(daemon, ['list'])
    expect(status).toBe(0)
    expect(out.split('\n')[0]?.split(/\s+/)).toEqual(['ID', 'STATUS', 'NAME', 'SIZE'])
    expect(out.split('\n')[1]).toBe(`${CHECKPOINT_ID}  ready   llama  1.50 GiB`)
  })

  test('calls a ready one with damaged bytes damaged', async () => {
    const damaged = checkpoint({ error: errorBody('corrupt', '1 of its objects are damaged') })
    const daemon = await daemonWith((app) => app.get('/checkpoint', () => [damaged]))
    const { out } = await ckpt(daemon, ['list'])
    expect(out.split('\n')[1]).toBe(`${CHECKPOINT_ID}  damaged  llama  1.50 GiB`)
  })

  test('cuts a long name on a terminal, and nowhere else', async () => {
    const name = `start-${'x'.repeat(180)}-end`
    const daemon = await daemonWith((app) => app.get('/checkpoint', () => [checkpoint({ name })]))
    const terminal = await ckpt(daemon, ['list'], fakeIo({ isTTY: true, columns: 80 }))
    for (const line of terminal.out.split('\n')) expect(line.length).toBeLessThanOrEqual(80)
    expect(terminal.out).toMatch(/start-x+…x+-end/)
    const json = await ckpt(daemon, ['list', '--json'], fakeIo({ isTTY: true, columns: 80 }))
    for (const { out } of [await ckpt(daemon, ['list']), json]) expect(out).toContain(name)
  })

  test('answers with one JSON document on request, wherever --json stands', async () => {
    const daemon = await daemonWith((app) => app.get('/checkpoint', () => [checkpoint()]))
    for (const argv of [
      ['list', '--json'],
      ['--json', 'list'],
    ])
      expect(JSON.parse((await ckpt(daemon, argv)).out)).toEqual([checkpoint()])
  })

  test('acts for the project of the flag, else of the variable, else "default"', async () => {
    const daemon = await daemonWith((app) => app.get('/checkpoint', () => []))
    await ckpt(daemon, ['list', '--project', 'a b'])
    await ckpt(daemon, ['list'], fakeIo({ env: { CKPT_PROJECT: 'other' } }))
    await ckpt(daemon, ['list'], fakeIo({ env: { CKPT_PROJECT: '' } }))
    expect(daemon.requests.map(({ line }) => line)).toEqual([
      'GET /checkpoint?project_uuid=a%20b',
      'GET /checkpoint?project_uuid=other',
      'GET /checkpoint?project_uuid=default',
    ])
  })

  test('shows a hostile name without obeying it', async () => {
    const daemon = await daemonWith((app) =>
      app.get('/checkpoint', () => [checkpoint({ name: evil })]),
    )
    expect((await ckpt(daemon, ['list'])).out).toContain('a\\x1b]0;owned\\x07')
    expect((await ckpt(daemon, ['list', '--json'])).out).not.toContain('\u001b')
  })

  test('finds the daemon by CKPTD_SOCKET', async () => {
    const { socket } = await daemonWith((app) => app.get('/checkpoint', () => []))
    const io = fakeIo({ env: { CKPTD_SOCKET: socket } })
    expect(await main(['list'], io)).toBe(0)
  })
})

test('ckpt list-public lists the public ones', async () => {
  const daemon = await daemonWith((app) => app.get('/checkpoint/public', () => [checkpoint()]))
  expect((await ckpt(daemon, ['list-public'])).out).toContain('llama')
})

describe('ckpt show', () => {
  const tree = details({
    count: '4',
    size: '1.50 GiB',
    contents: [
      { path: 'latest', kind: 'symlink', target: 'shards' },
      { path: 'run.sh', kind: 'file', size: 17, executable: true },
      { path: 'shards', kind: 'directory' },
      { path: 'shards/1.safetensors', kind: 'file', size: 1_610_612_736 },
    ],
  })

  test('shows its state, its users and its tree', async () => {
    const used_by = [{ job_uuid: JOB_ID, name: 'tune', mounted_workers: 2 }]
    const daemon = await daemonWith((app) => {
      app.get('/checkpoint/:ref', () => checkpoint({ used_by }))
      app.get('/checkpoint/:ref/details', () => tree)
    })
    const { out } = await ckpt(daemon, ['show', 'my model/50%'])
    expect(daemon.requests[0]?.line).toBe('GET /checkpoint/my%20model%2F50%25?project_uuid=default')
    expect(out).toContain(`Used by  job tune (${JOB_ID}), mounted by 2 workers`)
    expect(out.slice(out.indexOf('Tree:'))).toBe(
      [
        'Tree: 4 entries, 1.50 GiB',
        '             latest -> shards',
        '       17 B  run.sh*',
        '             shards/',
        '   1.50 GiB  shards/1.safetensors',
        '',
      ].join('\n'),
    )
  })

  test('reads a large tree in pages and says what it leaves out', async () => {
    const daemon = await daemonWith((app) => {
      app.get('/checkpoint/:ref', () => checkpoint())
      app.get<{ Querystring: { offset: string; limit: string } }>(
        '/checkpoint/:ref/details',
        ({ query }) => {
          const length = Math.min(Number(query.limit), 12_000 - Number(query.offset))
          const contents = Array.from({ length }, (_, at) => ({
            path: `f${Number(query.offset) + at}`,
            kind: 'file' as const,
            size: 1,
          }))
          return details({ count: '12000', contents })
        },
      )
    })
    const some = await ckpt(daemon, ['show', 'x'])
    expect(some.out).toContain('f999\n… and 11000 more (--entries 12000 shows all)')
    const all = await ckpt(daemon, ['show', 'x', '--entries', '12000', '--json'])
    const { details: shown } = JSON.parse(all.out) as { details: { contents: unknown[] } }
    expect(shown.contents).toHaveLength(12_000)
    expect(shown.contents[11_999]).toMatchObject({ path: 'f11999' })
  })

  test('says why a failed one failed and what to do, and asks for no tree', async () => {
    const error = errorBody('origin_denied', 'the origin says 403')
    const daemon = await daemonWith((app) =>
      app.get('/checkpoint/:ref', () => checkpoint({ status: 'failed', error })),
    )
    const { out, status } = await ckpt(daemon, ['show', 'x'])
    expect(status).toBe(0)
    expect(out).toContain('Error    the origin says 403')
    expect(out).toContain(`Hint     ${error.hint}`)
    expect(daemon.requests).toHaveLength(1)
  })

  test('of an unknown one is a sentence, a hint and exit status 4', async () => {
    const daemon = await daemonWith((app) =>
      app.get('/checkpoint/:ref', () => refuse('not_found', 'Checkpoint Not Found')),
    )
    const { out, err, status } = await ckpt(daemon, ['show', 'x'])
    expect({ out, status }).toEqual({ out: '', status: 4 })
    expect(err).toMatch(/^ckpt: Checkpoint Not Found\nhint: .+\n$/)
  })
})

test('ckpt rename gives it another name', async () => {
  const daemon = await daemonWith((app) =>
    app.patch('/checkpoint/:ref', () => checkpoint({ name: 'new' })),
  )
  const { out } = await ckpt(daemon, ['rename', 'old', 'new'])
  expect(out).toBe(`${CHECKPOINT_ID} is now called new\n`)
  expect(daemon.requests[0]).toEqual({
    line: 'PATCH /checkpoint/old?project_uuid=default',
    body: { name: 'new' },
  })
})

describe('ckpt remove', () => {
  test('removes nothing where the answer is no checkpoint', async () => {
    const daemon = await daemonWith((app) => app.get('/checkpoint/public', () => []))
    const { err, status } = await ckpt(daemon, ['remove', 'public', '--force'])
    expect(status).toBe(1)
    expect(err).toContain('ckpt: the daemon’s answer is no checkpoint\nhint: Name')
    expect(daemon.requests).toHaveLength(1)
  })

  const removable = (app: FastifyInstance): void => {
    app.get('/checkpoint/:ref', () => checkpoint())
    app.delete('/checkpoint/:ref', () => checkpoint({ status: 'archived' }))
  }
  const deletions = ({ requests }: FakeDaemon): string[] =>
    requests.map(({ line }) => line).filter((line) => line.startsWith('DELETE'))

  test('asks on a terminal, and removes by id what it asked about', async () => {
    const daemon = await daemonWith(removable)
    const yes = await ckpt(daemon, ['remove', 'llama'], fakeIo({ isTTY: true, reply: 'y' }))
    expect(yes.err).toBe(`Remove "llama" (${CHECKPOINT_ID}), 1.50 GiB? [y/N] `)
    expect(deletions(daemon)).toEqual([
      `DELETE /checkpoint/${CHECKPOINT_ID}?project_uuid=default&force=false`,
    ])
  })

  test.each([['n'], [''], ['yess'], [undefined]])('takes %j for a no', async (reply) => {
    const daemon = await daemonWith(removable)
    const io = fakeIo({ isTTY: true, ...(reply === undefined ? {} : { reply }) })
    expect((await ckpt(daemon, ['remove', 'llama'], io)).status).toBe(1)
    expect(deletions(daemon)).toEqual([])
  })

  test('refuses where nobody can be asked, unless --force is given', async () => {
    const daemon = await daemonWith(removable)
    const refused = await ckpt(daemon, ['remove', 'llama'])
    expect(refused.status).toBe(2)
    expect(refused.err).toContain('--force')
    expect(daemon.requests).toEqual([])
    expect((await ckpt(daemon, ['remove', 'llama', '--force'])).status).toBe(0)
    expect(deletions(daemon)).toEqual([
      `DELETE /checkpoint/${CHECKPOINT_ID}?project_uuid=default&force=true`,
    ])
  })

  test('shows the refusal of the daemon as it is', async () => {
    const daemon = await daemonWith((app) => {
      app.get('/checkpoint/:ref', () => checkpoint())
      app.delete('/checkpoint/:ref', () => refuse('in_use', 'it is used by job "tune"'))
    })
    const { status, err } = await ckpt(daemon, ['remove', 'llama', '--force'])
    expect(status).toBe(5)
    expect(err).toMatch(/^ckpt: it is used by job "tune"\nhint: .*\n$/)
  })

  const users = [{ job_uuid: JOB_ID, name: evil, mounted_workers: 1 }]
  test.each([
    [
      'is in use',
      checkpoint({ used_by: users }),
      `is used by job a\\x1b]0;owned\\x07 (${JOB_ID}), mounted by 1 worker`,
    ],
    [
      'is being filled',
      checkpoint({ status: 'downloading' }),
      'is being filled\nhint: Give --force',
    ],
    [
      'is being saved',
      checkpoint({ status: 'downloading', source_type: 'trainml' }),
      'is being saved from a job’s output\nhint: Wait',
    ],
  ])('asks nothing about one that %s', async (_, found, said) => {
    const daemon = await daemonWith((app) => app.get('/checkpoint/:ref', () => found))
    const io = fakeIo({ isTTY: true, reply: 'y' })
    const { status, err } = await ckpt(daemon, ['remove', 'llama'], io)
    expect(status).toBe(5)
    expect(err).toContain(`ckpt: "llama" (${CHECKPOINT_ID}) ${said}`)
    expect(err).not.toContain('Remove')
    expect(deletions(daemon)).toEqual([])
  })
})

describe('ckpt jobs and ckpt job', () => {
  const finished = job({
    status: 'finished',
    worker_count: 2,
    data: { output_type: 'trainml', output_uri: 'checkpoint' },
    workers: [
      { worker: 1, state: 'finished', outcome: 'succeeded', exit_code: 0, output_uuid: OUTPUT_ID },
      { worker: 2, state: 'finished', outcome: 'failed', exit_code: 3 },
    ],
  })
  const finishing = job({
    workers: [
      {
        worker: 1,
        state: 'finishing',
        held_by: [{ pid: 7, command: 'python', path: '/opt/trainml/checkpoint' }],
      },
    ],
  })

  test('jobs lists them with the states of their workers', async () => {
    const daemon = await daemonWith((app) => app.get('/v1/jobs', () => [finished]))
    const [, row] = (await ckpt(daemon, ['jobs'])).out.split('\n')
    expect(row).toContain('2 finished')
    expect(row).toContain('llama')
  })

  test('jobs leaves out old finished ones unless all are wanted', async () => {
    const old = Array.from({ length: 23 }, (_, n) => ({ ...finished, name: `old-${n}` }))
    const daemon = await daemonWith((app) => app.get('/v1/jobs', () => [job(), ...old]))
    const { out } = await ckpt(daemon, ['jobs'])
    expect(out.split('\n')).toHaveLength(1 + 1 + 20 + 2)
    expect(out).toContain('registered')
    expect(out).toContain('old-3 ')
    expect(out).not.toContain('old-2 ')
    expect(out).toMatch(/\n… and 3 more that are finished \(--all shows them\)\n$/)
    expect((await ckpt(daemon, ['jobs', '--all'])).out.split('\n')).toHaveLength(1 + 24 + 1)
    expect(JSON.parse((await ckpt(daemon, ['--json', 'jobs'])).out)).toHaveLength(21)
  })

  test('job show says in sentences what went wrong with a worker', async () => {
    const error = errorBody('mounts_unavailable', 'the mount helper cannot be reached')
    const failing = job({ workers: [{ worker: 1, state: 'finishing', error }] })
    const daemon = await daemonWith((app) => app.get('/v1/jobs/:ref', () => failing))
    const { out } = await ckpt(daemon, ['job', 'show', 'tune'])
    expect(out).toMatch(/^worker 1: the mount helper cannot be reached\. Start the mount helper: /m)
  })

  test('job show lists the workers, and who holds what should be gone', async () => {
    const daemon = await daemonWith((app) => app.get('/v1/jobs/:ref', () => finishing))
    const { out } = await ckpt(daemon, ['job', 'show', 'tune'])
    expect(out).toContain('worker 1 is held by python (process 7): /opt/trainml/checkpoint')
  })

  test('job finish waits to the end and says meanwhile who holds it', async () => {
    let asked = 0
    const daemon = await daemonWith((app) => {
      app.get('/v1/jobs/:ref', () => (asked < 3 ? finishing : finished))
      app.post('/v1/jobs/:ref/finish', (_, reply) =>
        ++asked < 3 ? reply.code(202).send(finishing) : finished,
      )
    })
    const { out, err, status } = await ckpt(daemon, ['job', 'finish', 'tune', '--discard-output'])
    expect(status).toBe(0)
    expect(err).toBe('worker 1 is held by python (process 7): /opt/trainml/checkpoint\n')
    expect(out).toContain(OUTPUT_ID)
    expect(daemon.requests.filter(({ line }) => line.startsWith('POST'))).toEqual(
      [0, 20, 20].map((wait) => ({
        line: `POST /v1/jobs/${JOB_ID}/finish?project_uuid=default&wait=${wait}`,
        body: { discard_output: true },
      })),
    )
  })

  test('job finish --no-wait only begins it', async () => {
    const daemon = await daemonWith((app) => {
      app.get('/v1/jobs/:ref', () => finishing)
      app.post('/v1/jobs/:ref/finish', (_, reply) => reply.code(202).send(finishing))
    })
    const { out, status } = await ckpt(daemon, ['job', 'finish', 'tune', '--no-wait'])
    expect(status).toBe(0)
    expect(out).toContain('worker 1 is held by python')
  })

  test('job finish --worker finishes one, and tells at once that its container runs', async () => {
    const daemon = await daemonWith((app) => {
      app.get('/v1/jobs/:ref', () => finished)
      app.post('/v1/jobs/:ref/workers/1/finish', () => finished.workers[0])
      app.post('/v1/jobs/:ref/workers/2/finish', () => refuse('worker_running', 'it still runs'))
    })
    expect((await ckpt(daemon, ['job', 'finish', 'tune', '--worker', '1'])).status).toBe(0)
    const running = await ckpt(daemon, ['job', 'finish', 'tune', '--worker', '2'])
    expect(running.status).toBe(5)
    expect(running.err).toContain('ckpt: it still runs')
  })

  test('job finish says when an output could not be saved', async () => {
    const error = errorBody('too_large', 'the tree is too large')
    const lost = job({
      data: { output_type: 'trainml', output_uri: 'checkpoint' },
      workers: [{ worker: 1, state: 'finishing', error }],
    })
    const daemon = await daemonWith((app) => {
      app.get('/v1/jobs/:ref', () => lost)
      app.post('/v1/jobs/:ref/finish', (_, reply) => reply.code(202).send(lost))
    })
    const { status, err } = await ckpt(daemon, ['job', 'finish', 'tune'])
    expect(status).toBe(10)
    expect(err).toContain('ckpt: worker 1: the tree is too large')
  })

  test('job finish can be left; the finishing goes on', async () => {
    const io = fakeIo()
    const daemon = await daemonWith((app) => {
      app.get('/v1/jobs/:ref', () => finishing)
      app.post<{ Querystring: { wait: string } }>('/v1/jobs/:ref/finish', ({ query }, reply) => {
        if (query.wait !== '0') io.raise('SIGINT')
        return query.wait === '0' ? reply.code(202).send(finishing) : new Promise(() => undefined)
      })
    })
    const { status, err } = await ckpt(daemon, ['job', 'finish', 'tune'], io)
    expect(status).toBe(130)
    expect(err).toContain(`the finishing goes on. See: ckpt job show ${JOB_ID} --socket`)
  })
})

test('ckpt mounts lists what is mounted for whom', async () => {
  const daemon = await daemonWith((app) => app.get('/v1/mounts', () => [mountRow()]))
  expect((await ckpt(daemon, ['mounts'])).out).toContain('/run/ckptd/jobs/7c9e/1/checkpoint')
  expect(JSON.parse((await ckpt(daemon, ['mounts', '--json'])).out)).toEqual([mountRow()])
})

test('ckpt df shows what fills the disk and what each project is billed', async () => {
  const daemon = await daemonWith((app) => app.get('/v1/df', () => diskUsage()))
  const { out } = await ckpt(daemon, ['df'])
  expect(out).toContain('Disk            1.00 TiB, 512.00 GiB free')
  expect(out).toMatch(/123 objects, each once +3\.00 GiB\n/)
  expect(out).toMatch(/damaged, in quarantine\/ +4\.00 KiB\n/)
  expect(out).toContain('1 output directory kept beside it')
  expect(out).toMatch(/default +2 +5\.00 GiB +5\.00 GiB +41\.57 GiB +0 B\n/)
})

test('ckpt status shows whether it can mount, and what is being filled', async () => {
  const mounts = { available: false, reason: 'the helper does not run' }
  const daemon = await daemonWith((app) => {
    app.get('/v1/status', () => daemonStatus({ mounts }))
    app.get('/checkpoint', () => [
      checkpoint(),
      checkpoint({ name: 'coming', status: 'downloading', progress: progress() }),
    ])
  })
  const { out } = await ckpt(daemon, ['status'])
  expect(out).toContain('not available: the helper does not run')
  expect(out).toContain('coming: fetching 50.0%')
  expect(out).not.toContain('llama')
})

describe('ckpt verify', () => {
  const bad = [
    {
      kind: 'object' as const,
      sha256: 'ab'.repeat(32),
      executable: false,
      problem: 'its bytes differ',
      other_checkpoints: 2,
      checkpoints: [{ checkpoint_uuid: CHECKPOINT_ID, name: 'llama', paths: ['a.bin', 'b.bin'] }],
      mounted_by: [{ job_uuid: JOB_ID, name: 'tune', worker: 1 }],
    },
  ]

  test('of everything, without damage, is exit status 0', async () => {
    const daemon = await daemonWith((app) =>
      app.post('/v1/verify', (_, reply) =>
        sendEvents(reply, [
          { type: 'progress', progress: progress({ phase: 'verifying' }) },
          { type: 'result', report: verifyReport() },
        ]),
      ),
    )
    const { out, status } = await ckpt(daemon, ['verify'])
    expect(status).toBe(0)
    expect(out).toMatch(/^verifying 50\.0%.*\nchecked 123 objects, 3\.00 GiB: no damage\n$/)
  })

  test('names what is damaged, who has it, and exits with 7', async () => {
    const daemon = await daemonWith((app) =>
      app.post('/v1/checkpoints/:ref/verify', (_, reply) =>
        sendEvents(reply, [{ type: 'result', report: verifyReport({ bad }) }]),
      ),
    )
    const { out, err, status } = await ckpt(daemon, ['verify', 'llama'])
    expect(status).toBe(7)
    expect(out).toContain(`  in checkpoint llama (${CHECKPOINT_ID}): b.bin\n`)
    expect(out).toContain(`  mounted by job tune (${JOB_ID}), worker 1\n`)
    expect(out).toContain('  and in 2 checkpoints of other projects\n')
    expect(err).toContain('ckpt: damage was found in 1 place\n')
  })

  test('that ends without a result is no success', async () => {
    const daemon = await daemonWith((app) =>
      app.post('/v1/verify', (_, reply) =>
        sendEvents(reply, [{ type: 'progress', progress: progress() }]),
      ),
    )
    expect((await ckpt(daemon, ['verify'])).status).toBe(3)
  })
})

describe('a command line', () => {
  const nobody = { socket: '/nonexistent/ckptd.sock' }

  test('without a daemon is exit status 3, with what to do', async () => {
    const { status, err } = await ckpt(nobody, ['list'])
    expect(status).toBe(3)
    expect(err).toMatch(
      /^ckpt: no daemon answers at \/nonexistent\/ckptd\.sock: .*\nhint: .*ckptd serve/,
    )
  })

  test.each([
    [[]],
    [['lisst']],
    [['list', '--nope']],
    [['show']],
    [['show', '']],
    [['show', 'x', '--entries', '0']],
    [['create', 'a', 'b']],
    [['create', 'a', 'b', '--source', 'web', '--option', 'novalue']],
    [['create', 'a', 'b', '--source', 'web', '--option', 'k=1', '--option', 'k=2']],
    [['job']],
    [['job', 'finish', 'j', '--worker', '1.5']],
    [['list', '--project', '']],
    [['run', '--name', 'j', '--', 'podman', 'run', '-d', 'img']],
    [['run', '--name', 'j', '--output', 'nothing', '--', 'podman', 'run', 'img']],
    [['run', '--name', 'j', '--output-owner', 'me', '--', 'podman', 'run', 'img']],
    [['run', '--name', 'j']],
  ])('that is wrong is exit status 2 before anybody is asked: %j', async (argv) => {
    const { status, out, err } = await ckpt(nobody, argv)
    expect({ status, out }).toEqual({ status: 2, out: '' })
    expect(err).not.toBe('')
  })

  test('may ask for help and for the version', async () => {
    const help = await ckpt(nobody, ['--help'])
    expect(help.status).toBe(0)
    expect(help.out).toContain('Exit status:')
    expect((await ckpt(nobody, ['run', '--help'])).out).toContain('{ckpt}')
    expect((await ckpt(nobody, ['--version'])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })

  test('that only root can perform says so, before anything is registered', async () => {
    const { status, err } = await ckpt(nobody, ['run', '--name', 'j', '--no-container', '--', 'ls'])
    expect(status).toBe(9)
    expect(err).toContain('needs root')
  })
})

test('an answer that is no JSON is a failure, not a crash', async () => {
  const daemon = await daemonWith((app) => app.get('/checkpoint', () => 'hello'))
  expect(await ckpt(daemon, ['list'])).toMatchObject({
    status: 1,
    err: 'ckpt: the daemon’s answer is no JSON\n',
  })
})

test('events on the wire are those of the schema', () => {
  expect(event({ type: 'log', time: 0, msg: 'x' })).toBeDefined()
})
