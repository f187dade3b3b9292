import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/**
 * A `podman` whose containers are processes: `run … img COMMAND…` runs the command apart from
 * itself, waits for it and exits as it did, unless it is killed first (`--label=early`: ends at
 * SIGTERM without passing it on, as podman does at its beginning). `container inspect`,
 * `wait` and `kill` work on what is left. Every call is written down, a line an argument.
 */
const PODMAN = `#!/bin/sh
state=$(dirname "$0")/state
printf '%s\\n' "$@" '' >>"$state/calls"
while [ "$1" = --root ]; do shift 2; done
case "$1 $2" in
"container inspect")
  [ -e "$state/$5" ] || { echo "Error: no such container $5" >&2; exit 125; }
  if kill -0 "$(cat "$state/$5")" 2>/dev/null; then echo running 0
  else echo exited "$(cat "$state/$5.exit")"; fi
  exit ;;
"container wait")
  while kill -0 "$(cat "$state/$3")" 2>/dev/null; do sleep 0.05; done
  cat "$state/$3.exit"
  exit ;;
"container kill")
  kill -s "\${4#SIG}" "$(cat "$state/$5")"
  exit ;;
esac
shift
file= proxy=yes
while [ "$1" != img ]; do
  [ "$1" = --cidfile ] && file=$2
  [ "$1" = --sig-proxy=false ] && proxy=no
  [ "$1" = --label=early ] && proxy=early
  [ "$1" = --fail ] && { echo "Error: no such image" >&2; exit 125; }
  shift
done
shift
id=$(printf '%012d' $$)
[ "$proxy" = early ] && trap 'exit 1' TERM
[ "$proxy" = yes ] && for s in TERM INT HUP QUIT USR1 USR2 WINCH CONT; do trap "kill -s $s \\$(cat "$state/$id")" $s; done
printf %s "$id" >"$file"
setsid "\${0%podman}conmon" "$state/$id" "$@" &
while [ ! -e "$state/$id.exit" ]; do sleep 0.05; done
exit "$(cat "$state/$id.exit")"
`

/** Stands between client and container as the real one does: it outlives the client. */
const CONMON = `#!/bin/sh
state=$1
shift
env --default-signal sh -c 'until [ -s "$0" ]; do sleep 0.01; done; exec "$@"' "$state" "$@" &
echo $! >"$state"
trap '' TERM INT HUP
wait $!
echo $? >"$state.exit"
`

export interface FakeRuntime extends AsyncDisposable {
  readonly podman: string
  /** The arguments of every call so far. */
  calls(): Promise<string[][]>
}

export async function makeFakeRuntime(): Promise<FakeRuntime> {
  const directory = await mkdtemp(join(tmpdir(), 'ckpt-podman-'))
  const podman = join(directory, 'podman')
  await mkdir(join(directory, 'state'))
  await writeFile(podman, PODMAN, { mode: 0o755 })
  await writeFile(join(directory, 'conmon'), CONMON, { mode: 0o755 })
  return {
    podman,
    async calls() {
      const text = await readFile(join(directory, 'state', 'calls'), 'utf8')
      return text
        .split('\n\n')
        .slice(0, -1)
        .map((call) => call.split('\n'))
    },
    async [Symbol.asyncDispose]() {
      await endContainers(join(directory, 'state'))
      await rm(directory, { recursive: true, maxRetries: 10 })
    },
  }
}

/** What a failed test left running. */
async function endContainers(state: string): Promise<void> {
  const names = await readdir(state)
  for (const id of names.filter((name) => /^\d+$/.test(name) && !names.includes(`${name}.exit`)))
    process.kill(Number(await readFile(join(state, id), 'utf8')), 'SIGKILL')
}
