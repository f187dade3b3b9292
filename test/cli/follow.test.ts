import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, test } from 'vitest'
import type { CheckpointEvent } from '../../src/agent-protocol/checkpoint.ts'
import { type FakeDaemon, refuse, sendEvents, startFakeDaemon } from './fake-daemon.ts'
import { fakeIo } from './fake-io.ts'
import { CHECKPOINT_ID, checkpoint, errorBody, event, progress } from './resources.ts'
import { ckpt } from './run-main.ts'

let daemon: FakeDaemon | undefined

afterEach(async () => {
  await daemon?.[Symbol.asyncDispose]()
  daemon = undefined
})

const log = (msg: string): CheckpointEvent =>
  event({ type: 'log', time: Date.UTC(2031, 3, 5, 6, 7, 8), msg })
const result = event({ type: 'result', checkpoint: checkpoint() })
const moving = event({ type: 'progress', progress: progress() })
const stamp = '2031-04-05 06:07:08Z  '

/** A daemon whose checkpoint has these events; each connection gets the next list. */
async function daemonTelling(
  ...connections: (Iterable<CheckpointEvent> | AsyncIterable<CheckpointEvent>)[]
): Promise<FakeDaemon> {
  const left = [...connections]
  daemon = await startFakeDaemon((app: FastifyInstance) => {
    app.post('/checkpoint', () => checkpoint({ status: 'new' }))
    app.get('/v1/checkpoints/:ref/events', (_, reply) => sendEvents(reply, left.shift() ?? []))
  })
  return daemon
}

const create = ['create', 'llama', 'https://example.org/llama/', '--source', 'web']

describe('ckpt create', () => {
  test('sends the source with its options, and follows the log until it is ready', async () => {
    const daemon = await daemonTelling([log('planning'), moving, log('Download complete'), result])
    const { out, status } = await ckpt(daemon, [...create, '--option', 'k=a=b'])
    expect(status).toBe(0)
    expect(daemon.requests[0]).toEqual({
      line: 'POST /checkpoint?project_uuid=default',
      body: {
        project_uuid: 'default',
        name: 'llama',
        source_type: 'web',
        source_uri: 'https://example.org/llama/',
        source_options: { k: 'a=b' },
        type: 'evefs',
      },
    })
    expect(out.split('\n')).toEqual([
      `${stamp}planning`,
      'fetching 50.0%  512.00 MiB/1.00 GiB  3/8 files  100.00 MiB/s  5s left',
      `${stamp}Download complete`,
      `llama is ready: 1.50 GiB in 8 files, ${CHECKPOINT_ID}`,
      '',
    ])
  })

  test('draws a bar on a terminal and leaves none behind', async () => {
    const daemon = await daemonTelling([log('planning'), moving, result])
    const { out } = await ckpt(daemon, create, fakeIo({ isTTY: true, columns: 120 }))
    expect(out).toContain('[############------------]')
    expect(out.split('\n').at(-2)).toContain('\r\u001b[Kllama is ready')
  })

  test('with --no-attach says the id and how to watch it', async () => {
    const daemon = await daemonTelling()
    const { out } = await ckpt(daemon, [...create, '--no-attach', '--project', 'p'])
    expect(out).toContain(CHECKPOINT_ID)
    expect(out).toContain(`ckpt attach ${CHECKPOINT_ID} --socket ${daemon.socket} --project p`)
    expect(daemon.requests).toHaveLength(1)
  })

  test('with --no-attach --json is the checkpoint', async () => {
    const daemon = await daemonTelling()
    const { out } = await ckpt(daemon, [...create, '--no-attach', '--json'])
    expect(JSON.parse(out)).toEqual(checkpoint({ status: 'new' }))
  })

  test('with --json gives every event on a line of its own', async () => {
    const events = [log('a\u001b'), moving, result]
    const daemon = await daemonTelling(events)
    const { out } = await ckpt(daemon, [...create, '--json'])
    expect(
      out
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual(events)
  })

  test('shows why it was refused', async () => {
    daemon = await startFakeDaemon((app) =>
      app.post('/checkpoint', () => refuse('invalid_source', 'a web path begins with http://')),
    )
    const { status, err } = await ckpt(daemon, create)
    expect(status).toBe(2)
    expect(err).toContain('ckpt: a web path begins with http://')
  })
})

describe('ckpt attach', () => {
  const attach = ['attach', 'llama']

  test('of one that failed shows the log, the error and exit status 6', async () => {
    const error = errorBody('origin_not_found', 'the origin says 404')
    const daemon = await daemonTelling([log('planning'), event({ type: 'error', error })])
    const { status, out, err } = await ckpt(daemon, attach)
    expect({ status, out }).toEqual({ status: 6, out: `${stamp}planning\n` })
    expect(err).toBe(`ckpt: the origin says 404\nhint: ${error.hint}\n`)
  })

  test('of an archived one does not call it ready', async () => {
    const gone = event({ type: 'result', checkpoint: checkpoint({ status: 'archived' }) })
    const daemon = await daemonTelling([gone])
    expect((await ckpt(daemon, attach)).status).toBe(6)
  })

  test('goes on after the daemon was restarted, without telling anything twice', async () => {
    const daemon = await daemonTelling(
      [log('one'), log('two')],
      [log('one'), log('two'), log('three'), result],
    )
    const { status, out, err } = await ckpt(daemon, attach)
    expect(status).toBe(0)
    expect(out.split('\n').slice(0, 3)).toEqual([`${stamp}one`, `${stamp}two`, `${stamp}three`])
    expect(err).toBe('ckpt: the daemon ended the stream; trying again\n')
  })

  test('goes on after a daemon that said it is going down', async () => {
    const error = errorBody('unavailable', 'ckptd is stopping')
    const daemon = await daemonTelling(
      [log('one'), event({ type: 'error', error })],
      [log('one'), result],
    )
    const { status, err } = await ckpt(daemon, attach)
    expect(status).toBe(0)
    expect(err).toBe('ckpt: ckptd is stopping; trying again\n')
  })

  test('goes on after a connection that broke in the middle of a line', async () => {
    let attempt = 0
    daemon = await startFakeDaemon((app) =>
      app.get('/v1/checkpoints/:ref/events', (_, reply) => {
        if (++attempt > 1) return sendEvents(reply, [log('one'), result])
        reply.hijack()
        reply.raw.writeHead(200, { 'transfer-encoding': 'chunked' })
        reply.raw.write(`${JSON.stringify(log('one'))}\n{"type":"lo`)
        setTimeout(() => reply.raw.destroy(), 50)
        return reply
      }),
    )
    const { status, out } = await ckpt(daemon, attach)
    expect(status).toBe(0)
    expect(out.match(/one/g)).toHaveLength(1)
  })

  test('gives up on a daemon that does not come back', async () => {
    const endless = async function* (): AsyncGenerator<CheckpointEvent> {
      yield log('one')
      await new Promise(() => undefined)
    }
    const daemon = await daemonTelling(endless())
    const watching = ckpt(daemon, attach)
    await expect.poll(() => daemon.requests.length).toBe(1)
    await daemon.stop()
    expect((await watching).status).toBe(3)
  })

  test('can be left with Ctrl-C: the work goes on, and how to come back is said', async () => {
    const io = fakeIo()
    const waiting = async function* (): AsyncGenerator<CheckpointEvent> {
      yield log('one')
      await expect.poll(() => io.out()).toContain('one')
      io.raise('SIGINT')
      await new Promise(() => undefined)
    }
    const daemon = await daemonTelling(waiting())
    const { status, err } = await ckpt(daemon, attach, io)
    expect(status).toBe(130)
    expect(err).toContain('the work goes on. Watch again: ckpt attach llama')
  })

  test('of an unknown one is exit status 4 at once', async () => {
    daemon = await startFakeDaemon((app) =>
      app.get('/v1/checkpoints/:ref/events', () => refuse('not_found', 'Checkpoint Not Found')),
    )
    expect((await ckpt(daemon, attach)).status).toBe(4)
  })
})

test('attach does not call a checkpoint with damaged bytes ready', async () => {
  const error = errorBody('corrupt', '1 of its objects are damaged; it cannot be mounted')
  const daemon = await daemonTelling([event({ type: 'result', checkpoint: checkpoint({ error }) })])
  const { status, out, err } = await ckpt(daemon, ['attach', 'llama'])
  expect(status).toBe(7)
  expect(out).toBe('')
  expect(err).toMatch(/^ckpt: "llama" is damaged: 1 of its objects are damaged; .*\nhint: /)
})
