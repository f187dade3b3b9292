import { Client } from 'undici'

/** The daemon's API on a socket, whoever listens there by then. */
export interface Api extends AsyncDisposable {
  call<T>(method: string, path: string, body?: unknown): Promise<{ status: number; body: T }>
  /** As `call`, but anything but 2xx fails with the daemon's answer. */
  ok<T>(method: string, path: string, body?: unknown): Promise<T>
}

export function openApi(socketPath: string): Api {
  const client = new Client('http://localhost', { socketPath, headersTimeout: 0, bodyTimeout: 0 })
  const call = async <T>(
    method: string,
    path: string,
    body?: unknown,
  ): Promise<{ status: number; body: T }> => {
    const content =
      body === undefined
        ? {}
        : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }
    const answer = await client.request({ method, path, ...content })
    const text = await answer.body.text()
    return { status: answer.statusCode, body: JSON.parse(text === '' ? 'null' : text) as T }
  }
  return {
    call,
    ok: async <T>(method: string, path: string, body?: unknown): Promise<T> => {
      const answer = await call<T>(method, path, body)
      if (answer.status < 300) return answer.body
      throw new Error(`${method} ${path}: ${answer.status} ${JSON.stringify(answer.body)}`)
    },
    [Symbol.asyncDispose]: () => client.destroy(),
  }
}
