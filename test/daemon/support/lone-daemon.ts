import { chmodSync } from 'node:fs'
import { Client } from 'undici'
import { runDaemon } from '../../../src/daemon/daemon.ts'
import { loadConfig } from '../../../src/daemon/load-config.ts'
import { makeScratch, type Scratch } from '../../support/scratch.ts'

/** The daemon in the test's own process, without a mount helper, as anybody but root runs it. */
export interface LoneDaemon extends AsyncDisposable {
  readonly scratch: Scratch
  readonly socket: string
  call<T = unknown>(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: T }>
  /** Its orderly stop; resolves at its end. */
  stop(): Promise<void>
}

export async function startLoneDaemon(
  settings: Readonly<Record<string, unknown>> = {},
): Promise<LoneDaemon> {
  const scratch = makeScratch('lone-daemon')
  chmodSync(scratch.path, 0o755)
  const { config } = loadConfig(
    {
      data_dir: scratch.join('data'),
      runtime_dir: scratch.join('run'),
      allow_network: ['127.0.0.0/8'],
      log_level: 'error',
      ...settings,
    },
    {},
  )
  const stopping = new AbortController()
  const running = runDaemon(config, stopping.signal)
  const socket = scratch.join('run', 'ckptd.sock')
  const client = new Client('http://localhost', {
    socketPath: socket,
    headersTimeout: 0,
    bodyTimeout: 0,
    pipelining: 0,
  })
  const daemon: LoneDaemon = {
    scratch,
    socket,
    call: async (method, path, body) => {
      const response = await client.request({
        method,
        path,
        ...(body === undefined
          ? {}
          : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
      })
      return {
        status: response.statusCode,
        body: JSON.parse((await response.body.text()) || 'null') as never,
      }
    },
    stop: async () => {
      stopping.abort()
      await running
    },
    [Symbol.asyncDispose]: async () => {
      await client.destroy()
      await daemon.stop()
      await scratch[Symbol.asyncDispose]()
    },
  }
  await Promise.race([running, untilAnswered(daemon)])
  return daemon
}

async function untilAnswered(daemon: LoneDaemon): Promise<void> {
  for (;;) {
    const answered = await daemon.call('GET', '/v1/status').then(
      () => true,
      () => false,
    )
    if (answered) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
