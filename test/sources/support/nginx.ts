import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Nginx extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly origin: string
  readonly root: string
  /** One line a request, when none is under way: `status bytes-sent range connection path`. */
  requests(): Promise<string[]>
  /** Forgets them, also those that are still under way (of a client that was killed). */
  clearRequests(): Promise<void>
}

/** A real nginx of the test's own, on loopback, serving `<directory>/www`. */
export async function startNginx(directory: string, locations = ''): Promise<Nginx> {
  const root = join(directory, 'www')
  mkdirSync(root, { recursive: true })
  const port = await freePort()
  const log = join(directory, 'access.log')
  const config = join(directory, 'nginx.conf')
  writeFileSync(log, '')
  writeFileSync(
    config,
    `daemon off; user root; worker_processes 1; pid ${directory}/nginx.pid; error_log ${directory}/error.log;
events { worker_connections 512; }
http {
  log_format line '$status $body_bytes_sent "$http_range" $connection $request_uri';
  access_log ${log} line;
  types { text/html html; }
  default_type application/octet-stream;
  client_body_temp_path ${directory}/t1; proxy_temp_path ${directory}/t2; fastcgi_temp_path ${directory}/t3;
  uwsgi_temp_path ${directory}/t4; scgi_temp_path ${directory}/t5;
  sendfile on; keepalive_requests 100000;
  server {
    listen 127.0.0.1:${port};
    root ${root};
    location / { autoindex on; }
    location = /status { stub_status; access_log off; }
    ${locations}
  }
}`,
  )
  const child = spawn('nginx', ['-c', config], { stdio: ['ignore', 'ignore', 'inherit'] })
  await listening(port, child)
  const origin = `http://127.0.0.1:${port}`
  return {
    origin,
    root,
    requests: async () => {
      await untilIdle(origin)
      return readFileSync(log, 'utf8').split('\n').filter(Boolean)
    },
    clearRequests: async () => {
      await untilIdle(origin)
      writeFileSync(log, '')
    },
    [Symbol.asyncDispose]: () => end(child),
  }
}

/** Python's own file server on a directory. */
export async function startPythonServer(
  directory: string,
): Promise<{ readonly origin: string } & AsyncDisposable> {
  const port = await freePort()
  const child = spawn(
    'python3',
    ['-m', 'http.server', String(port), '--bind', '127.0.0.1', '-d', directory],
    { stdio: 'ignore' },
  )
  await listening(port, child)
  return { origin: `http://127.0.0.1:${port}`, [Symbol.asyncDispose]: () => end(child) }
}

/** A request is logged when it ends, which for one that was cut off may be a second later. */
async function untilIdle(origin: string): Promise<void> {
  for (let tries = 0; tries < 1_000; tries++) {
    const status = await (await fetch(`${origin}/status`)).text()
    // The one being written is this one.
    if (/Reading: 0 Writing: 1 /.test(status)) return
    await sleep(10)
  }
  throw new Error('the server does not come to rest')
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  server.close()
  return address.port
}

async function listening(port: number, child: ChildProcess): Promise<void> {
  for (let tries = 0; tries < 200; tries++) {
    if (child.exitCode !== null) throw new Error(`the server ended with ${child.exitCode}`)
    const socket = connect(port, '127.0.0.1')
    const open = await new Promise<boolean>((resolve) => {
      socket.once('connect', () => resolve(true))
      socket.once('error', () => resolve(false))
    })
    socket.destroy()
    if (open) return
    await sleep(25)
  }
  throw new Error('the server does not listen')
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}
