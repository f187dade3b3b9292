/**
 * What podman (to 5.x) and docker (to 28.x) take before and after the word `run`. Only whether
 * an option takes a value matters here: it decides which argument is the command, and which the
 * image. Both programs share one table, as no name means a value in one and a switch in the other.
 */
export interface FlagTable {
  /** Long names of options followed by a value. */
  readonly valued: ReadonlySet<string>
  /** Long names of switches, which take a value only as `--name=value`. */
  readonly switches: ReadonlySet<string>
  /** Letters of short options followed by a value, in the same argument or the next. */
  readonly valuedLetters: string
  readonly switchLetters: string
}

const words = (text: string): ReadonlySet<string> => new Set(text.trim().split(/\s+/))

export const GLOBAL_FLAGS: FlagTable = {
  valued: words(`
    cgroup-manager config conmon connection context cpu-profile db-backend default-mounts-file
    events-backend hooks-dir host identity imagestore log-level memory-profile module namespace
    network-backend network-cmd-path network-config-dir out pull-option registries-conf root
    rundir runroot runtime runtime-flag ssh storage-driver storage-opt tls-ca tls-cert tls-key
    tlscacert tlscert tlskey tmpdir url volumepath`),
  switches: words('debug help noout remote syslog tls tlsverify trace transient-store version'),
  valuedLetters: 'cHl',
  switchLetters: 'Dhrv',
}

export const RUN_FLAGS: FlagTable = {
  valued: words(`
    add-host annotation arch attach authfile blkio-weight blkio-weight-device cap-add cap-drop
    cert-dir cgroup-conf cgroup-parent cgroupns cgroups chrootdirs cidfile conmon-pidfile
    cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus
    cpuset-cpus cpuset-mems creds decryption-key detach-keys device device-cgroup-rule
    device-read-bps device-read-iops device-write-bps device-write-iops dns dns-opt dns-option
    dns-search domainname entrypoint env env-file env-merge expose gidmap gpus group-add
    group-entry health-cmd health-interval health-log-destination health-max-log-count
    health-max-log-size health-on-failure health-retries health-start-interval
    health-start-period health-startup-cmd health-startup-interval health-startup-retries
    health-startup-success health-startup-timeout health-timeout hosts-file hostname hostuser
    image-volume init-ctr init-path intel-rdt-closid io-maxbandwidth io-maxiops ip ip6 ipc
    isolation kernel-memory label label-file link link-local-ip log-driver log-opt mac-address
    memory memory-reservation memory-swap memory-swappiness mount name net net-alias network
    network-alias oom-score-adj os passwd-entry personality pid pidfile pids-limit platform pod
    pod-id-file preserve-fd preserve-fds publish pull rdt-class requires restart retry
    retry-delay runtime sdnotify seccomp-policy secret security-opt shm-size shm-size-systemd
    signature-policy stop-signal stop-timeout storage-opt subgidname subuidname sysctl systemd
    timeout tmpfs tz uidmap ulimit umask unsetenv user userns uts variant volume volume-driver
    volumes-from workdir`),
  switches: words(`
    detach disable-content-trust env-host help http-proxy init interactive no-healthcheck
    no-hostname no-hosts oom-kill-disable passwd privileged publish-all quiet read-only
    read-only-tmpfs replace rm rmi rootfs sig-proxy tls-verify tty unsetenv-all use-api-socket`),
  valuedLetters: 'acehlmpuvw',
  switchLetters: 'diPqt',
}
