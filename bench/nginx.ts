import { spawn } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { until } from '../test/support/daemon.ts'

const PORT = 18_480

/** nginx over a directory; below /throttled/ each connection is slow. */
export async function startNginx(
  root: string,
  throttleBytesPerSecond: number,
): Promise<AsyncDisposable & { address: string }> {
  const own = `${root}/nginx`
  mkdirSync(own)
  writeFileSync(
    `${own}/conf`,
    `daemon off; user root; worker_processes 1; pid ${own}/pid; error_log stderr;
events { worker_connections 256; }
http {
  access_log off; sendfile on; autoindex on;
  client_body_temp_path ${own}/b; proxy_temp_path ${own}/p; fastcgi_temp_path ${own}/f; uwsgi_temp_path ${own}/u; scgi_temp_path ${own}/s;
  server { listen 127.0.0.1:${PORT}; root ${root}; location /throttled/ { alias ${root}/; limit_rate ${throttleBytesPerSecond}; } }
}`,
  )
  const child = spawn('nginx', ['-c', `${own}/conf`], { stdio: ['ignore', 'ignore', 'inherit'] })
  const ended = new Promise((resolve) => child.once('exit', resolve))
  await until(
    () =>
      new Promise((resolve) => {
        const socket = connect(PORT, '127.0.0.1', () => {
          socket.destroy()
          resolve(true)
        })
        socket.on('error', () => resolve(false))
      }),
  )
  return {
    address: `http://127.0.0.1:${PORT}`,
    [Symbol.asyncDispose]: async () => {
      child.kill('SIGQUIT')
      await ended
    },
  }
}
